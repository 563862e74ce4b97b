//! Who is at the other end of a connection, in words.

use std::fs;

use tokio::net::UnixStream;

/// The program and the number of a client. A bridge stands for whoever started it.
#[must_use]
pub(super) fn name_of(stream: &UnixStream) -> String {
    let pid = stream.peer_cred().ok().and_then(|peer| peer.pid());
    let Some(pid) = pid.and_then(|pid| u32::try_from(pid).ok()) else {
        return "another client".to_owned();
    };
    let (name, parent) = look(pid);
    match (name.as_deref(), parent.map(|parent| (parent, look(parent).0))) {
        (Some("outboard"), Some((parent, Some(name)))) => {
            format!("{name} (pid {parent}, by outboard attach, pid {pid})")
        }
        (Some(name), _) => format!("{name} (pid {pid})"),
        (None, _) => format!("pid {pid}"),
    }
}

/// The name of a process and the number of its parent (`proc_pid_stat(5)`), as far as the kernel tells.
fn look(pid: u32) -> (Option<String>, Option<u32>) {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return (None, None) };
    let Some((head, rest)) = stat.rsplit_once(") ") else { return (None, None) };
    let name = head.split_once('(').map(|(_, name)| printable(name));
    (name, rest.split(' ').nth(1).and_then(|parent| parent.parse().ok()))
}

/// A process gives itself its name.
fn printable(name: &str) -> String {
    name.chars().filter(|c| !crate::observe::is_unsafe(*c)).collect()
}
