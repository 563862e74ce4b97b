//! Who is whose child.

use nix::errno::Errno;

use super::proc::{ProcPath, Reader, number};

/// Lists children. A list is a moment's truth only: what forks and exits all the time is listed, gone, and alive under
/// another number. Whoever needs certainty stops the parents first, or waits for `ECHILD`.
pub(crate) struct Kin {
    reader: Reader,
    /// (parent, child), sorted: for kernels without `CONFIG_PROC_CHILDREN`. Made anew by [`Kin::refresh`].
    census: Option<Vec<(i32, i32)>>,
}

impl Kin {
    pub(crate) fn new() -> Kin {
        let mut reader = Reader::new();
        let supported = reader.read(c"/proc/thread-self/children").is_ok();
        Kin { reader, census: if supported { None } else { Some(Vec::new()) } }
    }

    #[cfg(test)]
    pub(crate) fn by_census() -> Kin {
        Kin { reader: Reader::new(), census: Some(Vec::new()) }
    }

    pub(crate) fn reader(&mut self) -> &mut Reader {
        &mut self.reader
    }

    /// To be called before each pass over a tree.
    pub(crate) fn refresh(&mut self) {
        let Some(census) = &mut self.census else { return };
        census.clear();
        for_each_number("/proc", |pid| {
            if let Some(stat) = self.reader.stat(pid) {
                census.push((stat.ppid, pid));
            }
        });
        census.sort_unstable();
    }

    /// Appends the children of `pid`, of all its threads, to `out`. A process that is gone has none.
    pub(crate) fn children(&mut self, pid: i32, threads: u32, out: &mut Vec<i32>) {
        if let Some(census) = &self.census {
            let first = census.partition_point(|&(parent, _)| parent < pid);
            let found = census[first..].iter().take_while(|&&(parent, _)| parent == pid);
            out.extend(found.map(|&(_, child)| child));
        } else if threads <= 1 {
            self.children_of_thread(pid, pid, out);
        } else {
            let tasks = ProcPath::new(format_args!("/proc/{pid}/task"));
            let tasks = tasks.as_cstr().to_str().expect("made of ASCII");
            for_each_number(tasks, |task| self.children_of_thread(pid, task, out));
        }
    }

    fn children_of_thread(&mut self, pid: i32, task: i32, out: &mut Vec<i32>) {
        let path = ProcPath::new(format_args!("/proc/{pid}/task/{task}/children"));
        let text = match self.reader.read(path.as_cstr()) {
            Ok(text) => text,
            Err(Errno::ENOENT | Errno::ESRCH) => return,
            // Out of descriptors or memory: somebody may be there, and the caller's next pass asks again.
            Err(_) => return,
        };
        out.extend(text.split(|&b| b == b' ').filter_map(number::<i32>));
    }
}

/// Calls `f` with each entry of a folder that is a number.
pub(crate) fn for_each_number(folder: &str, mut f: impl FnMut(i32)) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if let Some(n) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
            f(n);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::process::{Forked, fork};

    /// A child that waits to be killed, and is killed and reaped whatever happens.
    struct Child(i32);

    impl Child {
        fn new() -> Child {
            // SAFETY: the child makes two system calls and nothing else.
            match unsafe { fork(None) }.expect("fork") {
                Forked::Child => loop {
                    // SAFETY: async-signal-safe; the death signal ends it with this thread.
                    unsafe {
                        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                        libc::pause();
                    }
                },
                Forked::Parent { pid, .. } => Child(pid),
            }
        }
    }

    impl Drop for Child {
        fn drop(&mut self) {
            // SAFETY: the child has not been waited for, so the number is still its own.
            unsafe {
                libc::kill(self.0, libc::SIGKILL);
                libc::waitpid(self.0, std::ptr::null_mut(), 0);
            }
        }
    }

    #[test]
    fn both_ways_of_listing_see_a_child_of_this_process() {
        let child = Child::new();
        for mut kin in [Kin::new(), Kin::by_census()] {
            kin.refresh();
            let me = std::process::id() as i32;
            let mut out = Vec::new();
            // More than one thread, whatever the count: the test harness has some.
            kin.children(me, 2, &mut out);
            assert!(out.contains(&child.0), "{out:?} lacks {}", child.0);
        }
    }

    #[test]
    fn a_process_that_is_gone_has_no_children() {
        let pid = Child::new().0;
        for mut kin in [Kin::new(), Kin::by_census()] {
            kin.refresh();
            let mut out = Vec::new();
            kin.children(pid, 1, &mut out);
            assert!(out.is_empty());
        }
    }
}
