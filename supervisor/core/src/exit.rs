//! The words for an end that nobody asked for.

use crate::event::{Class, Detail, Exit};
use crate::plugin::Run;

/// The class of an end that nobody asked for, and its words.
pub(crate) fn tell_exit(exit: &Exit, run: &Run) -> (Class, Detail) {
    let (class, detail, mut message) = match exit {
        Exit::Code(crate::restart::DO_NOT_RESTART) => {
            (Class::Exit, "do-not-restart", "exit 125".to_owned())
        }
        Exit::Code(code) => (Class::Exit, "unasked", format!("exit {code}")),
        Exit::Signal { name, core: true } => (Class::Signal, *name, format!("{name}, core dumped")),
        Exit::Signal { name, core: false } => (Class::Signal, *name, (*name).to_owned()),
        Exit::Oom => (Class::Oom, "memory", "killed for memory".to_owned()),
        Exit::Unknown => (Class::Exit, "unknown", "ended, nobody knows how".to_owned()),
    };
    if !run.opened {
        message.push_str(" before it answered the opening");
    }
    if let Exit::Code(code) = exit
        && let Some(meaning) = meaning(*code)
    {
        message.push_str(": ");
        message.push_str(&meaning);
    }
    // The signal's name is in the message and in the exit itself.
    let detail = match detail {
        "do-not-restart" => detail,
        _ if run.opened => detail,
        _ => "before-handshake",
    };
    (class, Detail { detail, message })
}

/// What a code means by custom (`sh(1p)`, EXIT STATUS; 125 as s6 has it), so that a wrapper's word is not taken for
/// the plugin's own.
fn meaning(code: i32) -> Option<String> {
    let signal = match code {
        crate::restart::DO_NOT_RESTART => return Some("it asks not to be restarted".to_owned()),
        126 => return Some("so a shell ends that cannot execute what it found".to_owned()),
        127 => return Some("so a shell ends that finds no such command".to_owned()),
        129 => "SIGHUP",
        130 => "SIGINT",
        131 => "SIGQUIT",
        132 => "SIGILL",
        134 => "SIGABRT",
        135 => "SIGBUS",
        136 => "SIGFPE",
        137 => "SIGKILL",
        139 => "SIGSEGV",
        141 => "SIGPIPE",
        143 => "SIGTERM",
        _ => return None,
    };
    Some(format!("so a shell ends when {signal} has ended what it ran"))
}
