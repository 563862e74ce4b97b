//! What becomes of a task that panics: a defect of ours, and no reason to leave anything behind without an owner.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

/// A task's output, or what its panic said.
///
/// What the task had in hand is as it left it: whoever hears of the panic lets go of all that.
pub(crate) fn caught<F: Future>(task: F) -> impl Future<Output = Result<F::Output, String>> {
    let mut task = Box::pin(task);
    poll_fn(move |cx| match catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Err(panic) => Poll::Ready(Err(words(&*panic))),
    })
}

/// What a panic said.
fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("it said nothing").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn late(bad: bool) {
        tokio::task::yield_now().await;
        assert!(!bad, "no good");
    }

    #[tokio::test]
    async fn a_panic_is_an_end_with_words_and_anything_else_is_as_it_was() {
        assert_eq!(caught(async { 7 }).await, Ok(7));
        assert_eq!(caught(late(false)).await, Ok(()));
        assert_eq!(caught(late(true)).await, Err("no good".to_owned()));
    }
}
