//! The three tasks of a link, and what becomes of it when one of them panics.

use std::sync::Arc;

use outboard_core::{Detail, Event};
use serde_json::json;
use tokio::net::unix::pipe;

use super::super::caught::caught;
use super::Link;

impl Link {
    /// Starts its tasks. What any of them holds while it waits is in the link itself.
    pub(super) fn run(self: &Arc<Self>, stdin: Option<Arc<pipe::Sender>>) {
        self.task("the reader of its output", self.clone().read_stdout());
        self.task("the reader of its errors", self.clone().read_stderr());
        self.task("the writer to it", self.clone().write(stdin));
    }

    /// Runs one of them. A panic in it is a defect of ours and costs this generation, and nobody else.
    fn task(&self, what: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let (link, task) = (self.me.clone(), caught(task));
        tokio::spawn(async move {
            if let Err(message) = task.await
                && let Some(link) = link.upgrade()
            {
                link.panicked(what, &message);
            }
        });
    }

    /// Nobody serves this generation whole any more: it is ended and started again as if it had broken the protocol.
    fn panicked(&self, what: &'static str, message: &str) {
        let fields = json!({"where": what, "message": message});
        self.recorder.plugin(&self.slot, self.generation, "internal.panic", fields);
        let message = format!("a defect of outboard: {what} panicked");
        self.tell(Event::LinkBroken(Detail { detail: "internal-panic", message }));
    }
}
