//! Exit codes: a contract with scripts.

use crate::control::attach_client::{AttachError, CallError};
use crate::control::{ClientError, api};

/// What the process ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Exit {
    Done = 0,
    /// The plugin answered with an error, or with what is no valid answer.
    PluginError = 1,
    /// Usage, or an invalid manifest.
    Usage = 2,
    NoSupervisor = 3,
    UnknownPlugin = 4,
    Deadline = 5,
    /// Not available, or not in the state that was asked for.
    Unavailable = 6,
    /// Not permitted.
    Refused = 7,
    /// The state directory is in use, its socket's place is taken, another revision is in force, or something else is
    /// under way.
    Conflict = 8,
    Interrupted = 130,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    /// For an error of the management API.
    pub(super) fn of_client(error: &ClientError) -> Self {
        match error {
            ClientError::NoSupervisor { .. } => Self::NoSupervisor,
            ClientError::Refused { .. } => Self::Refused,
            ClientError::NotASocket { .. } => Self::Conflict,
            ClientError::Answered { code, data, .. } => {
                let class = data.as_ref().map(|data| data.class.as_str());
                if *code == api::code::CONFLICT {
                    return Self::Conflict;
                }
                if class == Some("nothing_named") || *code == api::code::INVALID_PARAMS {
                    return Self::Usage;
                }
                Self::of_code(i64::from(*code), class)
            }
            ClientError::NotAnswering { .. }
            | ClientError::Busy
            | ClientError::Lost
            | ClientError::Io { .. }
            | ClientError::Foreign { .. } => Self::Unavailable,
        }
    }

    /// For a call that has no result.
    pub(super) fn of_attach(error: &AttachError) -> Self {
        match error {
            AttachError::Call(error) => Self::of_call(error),
            AttachError::Silent { .. } => Self::Deadline,
            AttachError::Ended { .. } => Self::Unavailable,
            AttachError::Client(error) => Self::of_client(error),
        }
    }

    fn of_call(error: &CallError) -> Self {
        let details = error.details();
        // A plugin may use the supervisor's codes for reasons of its own.
        if details.source.as_deref() == Some("plugin") {
            return Self::PluginError;
        }
        Self::of_code(error.code, details.class.as_deref())
    }

    /// For a code of the error table and its class.
    fn of_code(code: i64, class: Option<&str>) -> Self {
        match (code, class) {
            (-31001, Some("not_found")) => Self::UnknownPlugin,
            (-31001, Some("no_supervisor")) => Self::NoSupervisor,
            (-31001 | -31003 | -31004 | -31008 | -31009, _) => Self::Unavailable,
            (-31002, _) => Self::Deadline,
            (-31011, _) => Self::Conflict,
            (-31006, _) => Self::Refused,
            (-32800, _) => Self::Interrupted,
            // The plugin's own, and -31005, -31007, -31010: what it said is not usable.
            _ => Self::PluginError,
        }
    }

    /// For what became of a swap.
    pub(super) fn of_swap(swap: &api::Swap) -> Self {
        use api::End::{Active, Resting, Unchanged};
        match swap.verdict {
            api::SwapVerdict::Switched | api::SwapVerdict::Unknown => Self::Done,
            api::SwapVerdict::RolledBack => Self::Unavailable,
            api::SwapVerdict::Abandoned => Self::Conflict,
            api::SwapVerdict::InForce => match &swap.outcome {
                Some(outcome) if !matches!(outcome.end, Active | Resting | Unchanged) => {
                    Self::Unavailable
                }
                Some(_) | None => Self::Done,
            },
        }
    }

    /// For what became of plugins: done only if each is as was asked.
    pub(super) fn of_change(change: &api::Change) -> Self {
        let as_asked = |end| {
            use api::End::{Active, Resting, Stopped, Unchanged};
            matches!(end, Active | Resting | Stopped | Unchanged)
        };
        if change.outcomes.iter().all(|outcome| as_asked(outcome.end)) {
            Self::Done
        } else if change.outcomes.iter().any(|outcome| outcome.end == api::End::Swapping) {
            Self::Conflict
        } else {
            Self::Unavailable
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(code: i64, data: &str) -> Exit {
        let error = format!(r#"{{"code":{code},"message":"m","data":{data}}}"#);
        Exit::of_attach(&AttachError::Call(serde_json::from_str(&error).unwrap()))
    }

    #[test]
    fn every_code_of_a_call_has_its_exit_code() {
        let host = |class: &str| format!(r#"{{"class":"{class}","source":"host"}}"#);
        for (code, class, exit) in [
            (-31001, "down", Exit::Unavailable),
            (-31001, "not_found", Exit::UnknownPlugin),
            (-31001, "no_supervisor", Exit::NoSupervisor),
            (-31002, "in_flight", Exit::Deadline),
            (-31003, "signal", Exit::Unavailable),
            (-31004, "queue_bytes", Exit::Unavailable),
            (-31005, "inbound_size", Exit::PluginError),
            (-31006, "reserved", Exit::Refused),
            (-31007, "shape", Exit::PluginError),
            (-31008, "restart", Exit::Unavailable),
            (-31009, "ready", Exit::Unavailable),
            (-31010, "handshake", Exit::PluginError),
            (-31011, "swap_under_way", Exit::Conflict),
            (-32800, "caller", Exit::Interrupted),
            (-32601, "method", Exit::PluginError),
            (42, "", Exit::PluginError),
        ] {
            assert_eq!(call(code, &host(class)), exit, "{code} {class}");
        }
    }

    #[test]
    fn a_plugin_cannot_claim_an_exit_code_of_the_supervisor() {
        assert_eq!(call(-31006, r#"{"source":"plugin"}"#), Exit::PluginError);
        assert_eq!(call(-31002, r#"{"source":"plugin"}"#), Exit::PluginError);
    }

    #[test]
    fn data_that_is_not_ours_does_not_hurt() {
        assert_eq!(call(-31002, "[1]"), Exit::Deadline);
        assert_eq!(call(7, "null"), Exit::PluginError);
    }

    #[test]
    fn the_management_api_has_its_exit_codes_too() {
        let answered = |code, class: &str| {
            Exit::of_client(&ClientError::Answered {
                code,
                message: String::new(),
                data: Some(Box::new(api::ErrorData {
                    class: class.to_owned(),
                    ..Default::default()
                })),
            })
        };
        assert_eq!(answered(-31001, "not_found"), Exit::UnknownPlugin);
        assert_eq!(answered(-32602, "nothing_named"), Exit::Usage);
        assert_eq!(answered(-31008, "host_exit"), Exit::Unavailable);
        assert_eq!(answered(-31011, "conflict"), Exit::Conflict);
        assert_eq!(answered(-32602, "config_rejected"), Exit::Usage);
        let state_dir = std::path::PathBuf::from("/s");
        assert_eq!(
            Exit::of_client(&ClientError::NoSupervisor { state_dir: state_dir.clone() }),
            Exit::NoSupervisor
        );
        assert_eq!(Exit::of_client(&ClientError::Refused { state_dir }), Exit::Refused);
    }
}
