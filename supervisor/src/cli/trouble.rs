//! What went wrong, in the one shape of errors: what, why, and one command to type.

use crate::control::attach_client::AttachError;
use crate::control::{ClientError, words};

use super::exit::Exit;

/// An error for people, with the exit code that it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) exit: Exit,
    pub(super) what: String,
    pub(super) cause: Vec<String>,
    /// One thing to do.
    pub(super) help: Option<String>,
}

impl Trouble {
    pub(super) fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self { exit, what: what.into(), cause: Vec::new(), help: None }
    }

    pub(super) fn cause(mut self, cause: impl Into<String>) -> Self {
        self.cause.push(cause.into());
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// A call to `plugin` that has no result.
    pub(super) fn of_call(plugin: &str, error: AttachError) -> Self {
        let exit = Exit::of_attach(&error);
        let error = match error {
            AttachError::Client(error) => return error.into(),
            AttachError::Silent { .. } => {
                return Self::new(exit, format!("{plugin}: {error}"))
                    .cause("neither the plugin nor the supervisor said a word")
                    .help("outboard status");
            }
            AttachError::Ended { .. } => {
                return Self::new(exit, format!("{plugin}: {error}")).help("outboard status");
            }
            AttachError::Call(error) => error,
        };
        let details = error.details();
        let mut trouble = Self::new(exit, error.message.clone());
        let mut cause = format!("code {}", error.code);
        if let Some(class) = &details.class {
            cause.push_str(&format!(", class {class}"));
        }
        // Whether a repeat may help is a question only where one could.
        let again = matches!(exit, Exit::Unavailable | Exit::Deadline);
        match details.sent.filter(|_| again) {
            Some(true) => cause.push_str("; it was sent, so a repeat may do it twice"),
            Some(false) => cause.push_str("; nothing was sent, so a repeat is safe"),
            None => {}
        }
        if let Some(ms) = details.retry_after_ms {
            let after = words::span(std::time::Duration::from_millis(ms));
            cause.push_str(&format!("; worth a try in {after}"));
        }
        trouble = trouble.cause(cause);
        if details == Default::default()
            && let Some(data) = &error.data
        {
            trouble = trouble.cause(format!("data {}", data.get()));
        }
        for line in &details.stderr {
            trouble = trouble.cause(format!("stderr: {line}"));
        }
        match (exit, details.nearest) {
            (Exit::UnknownPlugin, Some(near)) => trouble.help(format!("outboard call {near} …")),
            (Exit::UnknownPlugin, None) => trouble.help("outboard list"),
            // It waited for a process until its time was over.
            (Exit::Deadline, _) if details.sent == Some(false) => {
                trouble.help(format!("outboard why {plugin}"))
            }
            (Exit::Unavailable, _) => trouble.help(format!("outboard why {plugin}")),
            (Exit::PluginError, Some(near)) => trouble.help(format!("did you mean `{near}`?")),
            _ => trouble,
        }
    }
}

impl From<ClientError> for Trouble {
    fn from(error: ClientError) -> Self {
        let exit = Exit::of_client(&error);
        let trouble = Self::new(exit, error.to_string());
        match error {
            ClientError::NoSupervisor { .. } => trouble.help("outboard run DIR"),
            ClientError::Refused { .. } => {
                trouble.cause("only the same user and root may talk to it")
            }
            ClientError::NotASocket { path, .. } => trouble
                .cause("it was not put there by a supervisor, so it is left alone")
                .help(format!("look at it, and move it away: mv {0} {0}.old", path.display())),
            ClientError::NotAnswering { .. } => {
                trouble.cause("it is there, but stopped or starved: 10s were waited")
            }
            ClientError::Busy => trouble.cause("128 clients are connected"),
            ClientError::Lost => trouble.help("outboard status"),
            ClientError::Io { source, .. } => trouble.cause(source.to_string()),
            ClientError::Foreign { .. } => {
                trouble.cause("most likely it is another version").help("outboard --version")
            }
            ClientError::Answered { data, .. } => {
                let Some(data) = data else { return trouble };
                // What was asked for goes on: what becomes of it is to be seen.
                if data.class == "upgrade" {
                    return trouble.help("outboard status");
                }
                match (data.nearest, data.ids.is_empty()) {
                    (Some(near), _) => trouble.help(format!("did you mean `{near}`?")),
                    (None, false) => trouble.cause(format!("there are: {}", data.ids.join(", "))),
                    (None, true) => trouble,
                }
            }
        }
    }
}
