//! Who lives below a process, as the kernel tells it.

use std::collections::BTreeMap;

use super::protocol::Process;

/// Every descendant of the calling process, zombies included.
///
/// A walk proves that someone is there, never that nobody is: processes come and go meanwhile. `ECHILD` proves that.
#[must_use]
pub(super) fn descendants() -> Vec<Process> {
    let mut found = BTreeMap::new();
    let mut open = children(std::process::id());
    while let Some(pid) = open.pop() {
        if let Some(process) = look_at(pid).filter(|_| !found.contains_key(&pid)) {
            open.extend(children(pid));
            found.insert(pid, process);
        }
    }
    found.into_values().collect()
}

/// Children of all threads of a process: a child belongs to the thread that made it.
fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    threads
        .filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("children")).ok())
        .flat_map(|list| {
            list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()
        })
        .collect()
}

impl Process {
    /// The process of this number; `None` when there is none.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        look_at(pid)
    }

    /// Whether it still runs: asked by number and start, so also right while it is handed to a new parent, when no
    /// walk from above meets it.
    #[must_use]
    pub fn lives(&self) -> bool {
        look_at(self.pid).is_some_and(|now| now.start == self.start && now.state != 'Z')
    }
}

/// One process; `None` when it has gone.
pub(super) fn look_at(pid: u32) -> Option<Process> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    // The name may hold anything, parentheses too: proc_pid_stat(5).
    let (head, rest) = stat.rsplit_once(") ")?;
    let (_, name) = head.split_once(" (")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let args = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let args = String::from_utf8_lossy(&args);
    Some(Process {
        pid,
        ppid: fields.get(1)?.parse().ok()?,
        start: fields.get(19)?.parse().ok()?,
        state: fields.first()?.chars().next()?,
        name: name.to_owned(),
        args: args.split_terminator('\0').map(str::to_owned).collect(),
    })
}
