use outboard_plugin::{Plugin, Raw};

fn main() -> std::process::ExitCode {
    Plugin::new("echo", "1.0.0").method("echo", |params: Raw, _| Ok(params)).run()
}
