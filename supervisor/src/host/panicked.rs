//! The end of a supervisor one of whose shared parts has panicked.

use outboard_core::{Route, Settle, StopReason, Unavailable, WhileRestarting};
use serde_json::json;

use super::link::refuse_all;
use super::shared::End;
use super::supervisor::Supervisor;

impl Supervisor {
    /// A part that serves everybody is gone, and what it had in hand with it: nothing is repaired here. Callers get their
    /// ends, it is written down, and whoever waits for the end of the supervisor hears of it. The keeper ends every process
    /// as soon as this one has.
    pub(crate) fn panicked(&self, what: &'static str, message: String) {
        let shared = self.shared.clone();
        shared.recorder.supervisor("internal.panic", json!({"where": what, "message": message}));
        const WHY: StopReason = StopReason::HostExit;
        let closed = Route::Refuse(Unavailable::Stopping(WHY));
        for slot in shared.slots() {
            let (held, links) = {
                let mut router = slot.router();
                let links = router.links();
                (router.set(&closed, None), links)
            };
            refuse_all(&slot, held, WHY);
            for link in links {
                let unsent = link.settle_all(&Settle::Stopped(WHY), WhileRestarting::Fail);
                refuse_all(&slot, unsent, WHY);
            }
        }
        tokio::spawn(async move { shared.finish(End::Panicked).await });
    }
}
