//! Prints what every state makes of every event: `cargo run -p outboard-core --example state_table`.

#![expect(clippy::print_stdout, reason = "printing the table is all it does")]

fn main() {
    print!("{}", outboard_core::state_table());
}
