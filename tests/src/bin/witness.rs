//! The witness of one test: see [`outboard_tests::witness`].

fn main() -> std::io::Result<()> {
    outboard_tests::witness::serve()
}
