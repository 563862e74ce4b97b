//! What a bridge says on standard error when it cannot go on.

use crate::control::ClientError;
use crate::control::attach_client::AttachError;

/// Why, and what to type. Standard output is the client's.
pub(in crate::cli) fn cannot(plugin: &str, error: &AttachError) -> String {
    let (what, help) = match error {
        AttachError::Client(ClientError::NoSupervisor { state_dir }) => {
            let name = state_dir.file_name().unwrap_or_default().to_string_lossy();
            (
                format!("no supervisor is running for state directory \"{name}\"."),
                format!("outboard run DIR · or: outboard attach --autostart DIR {plugin}"),
            )
        }
        AttachError::Client(error) => (format!("{error}."), "outboard status".to_owned()),
        AttachError::Silent { .. } => (format!("{plugin}: {error}."), "outboard status".to_owned()),
        AttachError::Ended { message, .. } => (
            format!("the session with {plugin} had to end: {message}."),
            "start the client's session anew".to_owned(),
        ),
        AttachError::Call(error) => {
            let details = error.details();
            let help = match (details.class.as_deref(), details.nearest) {
                (Some("not_found"), Some(near)) => format!("outboard attach {near}"),
                (Some("not_found"), None) => "outboard list".to_owned(),
                (Some("down"), _) => format!("outboard start {plugin}"),
                (Some("clients"), _) => "outboard status".to_owned(),
                _ => format!("outboard why {plugin}"),
            };
            let what = error.message.strip_prefix("outboard: ").unwrap_or(&error.message);
            (format!("{what}."), help)
        }
    };
    format!("outboard: {what}\nhelp: {help}\n")
}
