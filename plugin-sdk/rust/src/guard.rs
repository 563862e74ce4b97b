//! An author's code, which may panic.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use serde_json::json;

use crate::error::{Error, code};

thread_local! {
    static WANTED: Cell<bool> = const { Cell::new(false) };
    static BACKTRACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs an author's code; a panic becomes an error. The panic hook has printed it to stderr, so to the log, by then.
pub(crate) fn guarded<T>(
    what: &str,
    backtraces: bool,
    act: impl FnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    if backtraces {
        listen();
    }
    WANTED.set(backtraces);
    // What the closure could leave half done is the author's own state, as in any thread that panics.
    let outcome = catch_unwind(AssertUnwindSafe(act));
    WANTED.set(false);
    outcome.unwrap_or_else(|panic| {
        let words = panic_words(&*panic);
        let mut data = json!({ "class": "panic" });
        if let Some(backtrace) = BACKTRACE.take() {
            data["backtrace"] = json!(backtrace);
        }
        Err(Error::new(code::INTERNAL, format!("{what} panicked: {words}")).with_data(data))
    })
}

/// Keeps the backtrace of a panic for the answer, beside whatever else is done about it.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if WANTED.get() {
                BACKTRACE.set(Some(Backtrace::force_capture().to_string()));
            }
            others(panic);
        }));
    });
}

fn panic_words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
