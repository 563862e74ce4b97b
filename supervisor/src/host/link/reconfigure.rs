//! What a changed manifest changes of a link that lives on.

use outboard_manifest::Manifest;
use serde_json::Value;

use super::Link;

impl Link {
    /// The bounds of calls, from now on; what has been accepted stays accepted. The plugin's own word for its concurrency
    /// still counts where it is lower.
    pub(crate) fn set_bounds(&self, manifest: &Manifest) {
        let advertised = self.slot.told().of(self.generation).concurrency;
        let new = crate::dialects::limits(manifest);
        let mut state = self.state();
        state.again.rename(&manifest.calls.idempotent);
        let limits = state.peer.limits_mut();
        limits.in_flight = new.in_flight;
        limits.concurrency =
            advertised.map_or(new.concurrency, |n| new.concurrency.min(n as usize));
        limits.queue_bytes = new.queue_bytes;
        limits.queue_frames = new.queue_frames;
        limits.queue_calls = new.queue_calls;
        limits.plugin_requests = new.plugin_requests;
        drop(state);
        // A higher concurrency lets waiting calls go.
        self.kick.notify_one();
    }

    /// Tells the plugin its changed configuration; false when it cannot be told. What it answers comes as
    /// [`Happening::Reconfigured`](super::super::happening::Happening).
    pub(crate) fn reconfigure(&self, config: &Value, revision: u64) -> bool {
        let mut state = self.state();
        let Some(ask) = state.dialect.reconfigure(config, revision) else { return false };
        state.asks.push(ask);
        self.run_asks(&mut state);
        true
    }
}
