//! The view from outside: who is alive below this process.

use std::collections::HashSet;
use std::fs;
use std::time::{Duration, Instant};

use outboard_keeper::pidfd::Pidfd;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stat {
    pub state: u8,
    pub ppid: u32,
    pub session: u32,
}

pub fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let after = text.iter().rposition(|&b| b == b')')? + 2;
    let text = String::from_utf8_lossy(&text[after..]).into_owned();
    let mut fields = text.split(' ');
    let state = fields.next()?.as_bytes()[0];
    let ppid = fields.next()?.parse().ok()?;
    let session = fields.nth(1)?.parse().ok()?;
    Some(Stat { state, ppid, session })
}

pub fn is_alive(pid: u32) -> bool {
    stat(pid).is_some_and(|stat| !matches!(stat.state, b'Z' | b'X'))
}

/// Everything below a process, zombies included.
pub fn below(root: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .expect("proc")
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((stat(pid)?.ppid, pid)))
        .collect();
    let mut found = vec![root];
    let mut at = 0;
    let mut known: HashSet<u32> = HashSet::from([root]);
    while at < found.len() {
        let children = parents.iter().filter(|&&(parent, _)| parent == found[at]);
        let new: Vec<u32> =
            children.map(|&(_, pid)| pid).filter(|pid| known.insert(*pid)).collect();
        found.extend(new);
        at += 1;
    }
    found.split_off(1)
}

pub fn living_below(root: u32) -> Vec<u32> {
    below(root).into_iter().filter(|&pid| is_alive(pid)).collect()
}

pub fn me() -> u32 {
    std::process::id()
}

/// Waits until this process has no child at all. As it is a subreaper, nobody below it can be left then. The case's own
/// alarm ends a wait that does not end.
pub fn wait_for_nobody() -> Duration {
    let began = Instant::now();
    loop {
        // SAFETY: waits for any child; a null status is allowed.
        let r = unsafe { libc::waitpid(-1, std::ptr::null_mut(), 0) };
        if r < 0 && std::io::Error::last_os_error().raw_os_error() == Some(libc::ECHILD) {
            return began.elapsed();
        }
    }
}

/// Reaps what has ended; says whether any child is left.
pub fn reap() -> bool {
    loop {
        // SAFETY: as above.
        match unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) } {
            0 => return true,
            r if r < 0 => return false,
            _ => {}
        }
    }
}

/// Kills everything below this process; gives those that were alive.
pub fn end_all() -> Vec<String> {
    let mut found = Vec::new();
    while reap() {
        for pid in living_below(me()) {
            if found.len() < 20 {
                found.push(format!(
                    "{pid} {:?}",
                    fs::read_to_string(format!("/proc/{pid}/cmdline"))
                ));
            }
            kill(pid);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    found
}

pub fn kill(pid: u32) {
    signal(pid, libc::SIGKILL);
}

/// By a descriptor, though everything here is below this process and cannot be reaped by others.
pub fn signal(pid: u32, number: i32) {
    if let Ok(pidfd) = Pidfd::open(pid) {
        pidfd.send_signal(number).ok();
    }
}

/// Looks again and again until something is so; the case's alarm bounds it.
pub fn until(what: impl Fn() -> bool) {
    while !what() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Rounds of a test that attacks at many moments.
pub fn rounds() -> u32 {
    if std::env::var_os("OUTBOARD_LONG").is_some() { 100 } else { 8 }
}

/// Some moment within `limit`: what is under way then is the test's subject, so nothing is waited for.
pub fn some_moment(round: u32, limit: Duration) {
    let scattered = u64::from(round).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    std::thread::sleep(limit.mul_f64(scattered as f64 / f64::from(1 << 24)));
}
