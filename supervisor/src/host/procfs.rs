//! What `/proc` tells of a process (proc(5)). Everything here is advice: a process may be gone a moment later.

use std::fs;

/// Processes of one tree that are looked at.
const MEMBERS: usize = 512;

/// One look at a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ProcessLook {
    /// A debugger traces it (`TracerPid`).
    pub traced: bool,
    /// Stopped by a signal (state `T`).
    pub stopped: bool,
    /// On its way out: `PF_EXITING`, a zombie, or gone.
    pub exiting: bool,
    /// Nobody has this number.
    pub gone: bool,
    /// What it does, in words; `None` when that is not known.
    pub doing: Option<&'static str>,
}

/// Looks at process `pid`; 0 is nobody.
#[must_use]
pub(super) fn look(pid: u32) -> ProcessLook {
    if pid == 0 {
        return ProcessLook::default();
    }
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return ProcessLook { exiting: true, gone: true, ..ProcessLook::default() };
    };
    let traced = fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|status| {
        status
            .lines()
            .filter_map(|l| l.strip_prefix("TracerPid:"))
            .any(|tracer| tracer.trim() != "0")
    });
    let after = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let mut fields = after.split(' ');
    let state = fields.next().unwrap_or("");
    // Field 9 of stat(5) is the kernel's flags; the state is field 3.
    let flags: u64 = fields.nth(5).and_then(|f| f.parse().ok()).unwrap_or(0);
    const PF_EXITING: u64 = 0x4;
    ProcessLook {
        traced,
        stopped: state == "T",
        exiting: matches!(state, "Z" | "X" | "x") || flags & PF_EXITING != 0,
        gone: false,
        doing: match state {
            "R" => Some("running"),
            "S" | "I" => Some("sleeping"),
            "D" => Some("waiting for the kernel"),
            "T" => Some("stopped by a signal"),
            "t" => Some("stopped by a debugger"),
            "Z" | "X" | "x" => Some("dead"),
            _ => None,
        },
    }
}

/// The kernel's letter for what `pid` does; `None` when it is gone.
#[must_use]
pub(super) fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// CPU time and processes of the tree below `pid` in one number: when it is another, something moved.
///
/// Reads `/proc/PID/task/TID/children` recursively.
#[must_use]
pub(super) fn tree(pid: u32) -> u64 {
    let mut sum = 0_u64;
    for pid in members(pid) {
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        let after = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        // utime, stime, and those of reaped children: fields 14 to 17.
        let ticks: u64 =
            after.split(' ').skip(11).take(4).filter_map(|f| f.parse::<u64>().ok()).sum();
        sum = sum.wrapping_add(ticks).wrapping_add(u64::from(pid) << 20);
    }
    sum
}

/// Those below `pid` that have the pipe of this inode open.
#[must_use]
pub(super) fn holders(pid: u32, inode: u64) -> Vec<u32> {
    let pipe = format!("pipe:[{inode}]");
    let holds = |pid: &u32| {
        let fds = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        fds.map(|fd| fs::read_link(fd.path())).any(|to| to.is_ok_and(|to| to.as_os_str() == &*pipe))
    };
    members(pid).skip(1).filter(holds).collect()
}

/// `pid` and the processes below it, at most [`MEMBERS`]; nobody for 0.
fn members(pid: u32) -> impl Iterator<Item = u32> {
    let mut waiting = if pid == 0 { Vec::new() } else { vec![pid] };
    let next = std::iter::from_fn(move || {
        let pid = waiting.pop()?;
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        for task in tasks {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            waiting.extend(children.split_whitespace().filter_map(|c| c.parse::<u32>().ok()));
        }
        Some(pid)
    });
    next.take(MEMBERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_neither_stopped_nor_exiting_and_nobody_is_exiting() {
        let me = look(std::process::id());
        assert!(!me.stopped && !me.exiting && !me.gone);
        let nobody = look(u32::MAX >> 1);
        assert!(nobody.exiting && nobody.gone);
        assert!(tree(std::process::id()) > 0);
        assert!(me.doing.is_some());
    }

    #[test]
    fn nobody_below_this_process_holds_a_pipe_that_it_made() {
        let (_reader, writer) = std::io::pipe().unwrap();
        let inode = nix::sys::stat::fstat(&writer).unwrap().st_ino;
        assert_eq!(holders(std::process::id(), inode), [0; 0]);
        assert_eq!(holders(0, inode), [0; 0]);
    }
}
