//! From a manifest to the dialect of a link and its bounds.

use outboard_manifest::{Dialect as Name, Era, Manifest};
use outboard_wire::dialect::mcp::{Era as McpEra, McpSettings};
use outboard_wire::dialect::{Dialect, Mcp, Native, OpenLimits};
use outboard_wire::peer::Limits;

/// The dialect of one generation.
#[must_use]
pub(super) fn make(manifest: &Manifest) -> Box<dyn Dialect> {
    match manifest.dialect {
        Name::Mcp => Box::new(Mcp::new(McpSettings {
            era: match manifest.mcp.era {
                Era::Auto => McpEra::Auto,
                Era::Modern => McpEra::Modern,
                Era::Legacy => McpEra::Legacy,
            },
            client_capabilities: manifest.mcp.client_capabilities.clone(),
            log_level: manifest.mcp.log_level.map(str::to_owned),
            send_meta: manifest.mcp.send_meta,
            change_events: manifest.mcp.change_events,
        })),
        // `dialect = "lsp"` is refused by the manifest until there is one.
        Name::Native | Name::Lsp => Box::new(Native::new()),
    }
}

/// What the link bears.
#[must_use]
pub(super) fn limits(manifest: &Manifest) -> Limits {
    let size = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
    Limits {
        max_frame: manifest.wire.max_frame,
        max_send: manifest.wire.max_send,
        max_depth: manifest.wire.max_depth,
        in_flight: size(manifest.calls.in_flight),
        concurrency: size(manifest.calls.concurrency),
        queue_bytes: manifest.calls.queue_bytes,
        queue_frames: size(manifest.calls.queue_frames),
        queue_calls: manifest.calls.queue_calls,
        plugin_requests: size(manifest.calls.plugin_requests),
    }
}

/// What the opening tells the plugin of its bounds.
#[must_use]
pub(super) fn open_limits(manifest: &Manifest) -> OpenLimits {
    OpenLimits {
        max_frame: manifest.wire.max_frame,
        max_send: manifest.wire.max_send,
        max_depth: manifest.wire.max_depth,
        handshake: manifest.policy.start.handshake_timeout,
        ping_interval: manifest.policy.health.interval,
    }
}
