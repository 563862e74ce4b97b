//! The bundled Rust plugin: `echo` gives back what it gets, `sleep` takes its time, `linger` says who answers, `fail` fails.

use std::process::ExitCode;
use std::time::Duration;

use outboard_plugin::{Call, Error, Plugin, Raw, Value};
use serde_json::json;

fn main() -> ExitCode {
    Plugin::new("echo", env!("CARGO_PKG_VERSION"))
        .idempotent_method("echo", |params: Raw, _| Ok(params))
        .method("sleep", sleep)
        .method("linger", linger)
        .method("fail", fail)
        .run()
}

/// `{"ms": 1500}`: answers after that time, or at once when it is cancelled.
fn sleep(params: Value, call: &Call) -> Result<Value, Error> {
    let ms = params["ms"].as_u64().ok_or_else(|| Error::invalid_params("`ms` is a number"))?;
    if call.wait_cancelled(Duration::from_millis(ms)) {
        return Err(Error::cancelled());
    }
    Ok(json!({ "slept": ms }))
}

/// `{"ms": 20, "n": 5}`: after that time, what was asked and which run of the plugin answers it.
fn linger(params: Value, call: &Call) -> Result<Value, Error> {
    sleep(params.clone(), call)?;
    let generation = std::env::var("OUTBOARD_GENERATION").unwrap_or_default();
    Ok(json!({ "asked": params["n"], "generation": generation }))
}

/// `{"code": 7, "message": "out of ink"}`: an error of the plugin's own, as a vendor's code would give.
fn fail(params: Value, _: &Call) -> Result<Value, Error> {
    let message = params["message"].as_str().unwrap_or("failed on request");
    Err(Error::new(params["code"].as_i64().unwrap_or(1), message).with_data(params))
}
