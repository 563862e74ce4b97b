//! From a manifest to the dialect of a link and its bounds: for the host, and for whoever tries a plugin without one.

use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use outboard_manifest::{Dialect as Name, Era, Manifest};
use outboard_wire::dialect::lsp::{Folder, LspSettings};
use outboard_wire::dialect::mcp::{Era as McpEra, McpSettings};
use outboard_wire::dialect::{Dialect, Lsp, Mcp, Native, OpenLimits};
use outboard_wire::peer::Limits;

/// The dialect of one generation.
#[must_use]
pub(crate) fn make(manifest: &Manifest) -> Box<dyn Dialect> {
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
        Name::Lsp => Box::new(Lsp::new(LspSettings {
            root: manifest.lsp.root.as_deref().map(|root| folder(manifest, root)),
            folders: manifest.lsp.folders.iter().map(|path| folder(manifest, path)).collect(),
            settings: manifest.lsp.settings.clone(),
            initialization_options: manifest.lsp.initialization_options.clone(),
            capabilities: manifest.lsp.capabilities.clone(),
        })),
        Name::Native => Box::new(Native::new()),
    }
}

/// A folder of `[lsp]`: a URI as it is, or a path, relative to the manifest's folder.
fn folder(manifest: &Manifest, text: &str) -> Folder {
    let uri =
        if text.contains("://") { text.to_owned() } else { file_uri(&manifest.dir.join(text)) };
    let name = uri.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
    Folder { uri, name }
}

/// The URI of an absolute path, without `.` and `..` in it.
fn file_uri(path: &Path) -> String {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => plain.push(part),
        }
    }
    let mut uri = "file://".to_owned();
    for &byte in plain.as_os_str().as_bytes() {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => {
                uri.push(char::from(byte));
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

/// What the link bears.
#[must_use]
pub(crate) fn limits(manifest: &Manifest) -> Limits {
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
pub(crate) fn open_limits(manifest: &Manifest) -> OpenLimits {
    OpenLimits {
        max_frame: manifest.wire.max_frame,
        max_send: manifest.wire.max_send,
        max_depth: manifest.wire.max_depth,
        handshake: manifest.policy.start.handshake_timeout,
        ping_interval: manifest.policy.health.interval,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_a_uri_that_means_it() {
        for (path, uri) in [
            ("/srv/project", "file:///srv/project"),
            ("/srv/./a/../project/", "file:///srv/project"),
            ("/srv/my project/ż#?%", "file:///srv/my%20project/%C5%BC%23%3F%25"),
            ("/", "file:///"),
        ] {
            assert_eq!(file_uri(Path::new(path)), uri);
        }
    }
}
