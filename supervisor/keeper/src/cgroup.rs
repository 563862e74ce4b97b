//! The files of cgroup v2 that level 1 needs (kernel documentation: admin-guide/cgroup-v2).
//!
//! A *fleet* is the cgroup of one run; it holds a *leaf* for each plugin and no process itself. Everything goes by the
//! fleet's directory descriptor: the keeper knows no paths.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::order::CgroupLimits;
use crate::settings::Controllers;

/// The period of `cpu.max`, in microseconds: the kernel's default.
const CPU_PERIOD: u64 = 100_000;

#[derive(Debug)]
pub(crate) struct Fleet {
    dir: OwnedFd,
    pub(crate) controllers: Controllers,
}

impl Fleet {
    pub(crate) fn new(dir: OwnedFd, controllers: Controllers) -> Fleet {
        Fleet { dir, controllers }
    }

    pub(crate) fn dir(&self) -> &OwnedFd {
        &self.dir
    }

    /// Makes a leaf without limits.
    pub(crate) fn leaf(&self, name: String) -> nix::Result<Leaf> {
        mkdirat(&self.dir, name.as_str(), Mode::from_bits_truncate(0o755))?;
        Ok(Leaf { name })
    }

    /// Kills everything in all leaves.
    pub(crate) fn kill(&self) -> nix::Result<()> {
        self.write("cgroup.kill", "1")
    }

    pub(crate) fn is_populated(&self) -> nix::Result<bool> {
        let events = self.open("cgroup.events", OFlag::O_RDONLY)?;
        Ok(field(&read_text(&events)?, "populated") != Some(0))
    }

    /// Removes the leaves and the fleet, as far as they are empty.
    pub(crate) fn remove(&self) {
        let path = PathBuf::from(format!("/proc/self/fd/{}", self.dir.as_raw_fd()));
        match std::fs::read_link(&path) {
            Ok(real) => remove_tree(real, 0),
            Err(_) => remove_below(path, 0),
        }
    }

    fn open(&self, path: &str, flags: OFlag) -> nix::Result<File> {
        openat(&self.dir, path, flags | OFlag::O_CLOEXEC, Mode::empty()).map(File::from)
    }

    fn write(&self, path: &str, text: &str) -> nix::Result<()> {
        let mut file = self.open(path, OFlag::O_WRONLY)?;
        file.write_all(text.as_bytes()).map_err(errno)
    }
}

/// One plugin's cgroup.
#[derive(Debug)]
pub(crate) struct Leaf {
    name: String,
}

impl Leaf {
    /// One that was made by the image before.
    pub(crate) fn named(name: String) -> Leaf {
        Leaf { name }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Sets its limits. Limits of controllers that are not enabled are passed over: which are is known from
    /// [`crate::Containment`], and whether that is acceptable is the brain's question.
    pub(crate) fn limit(&self, fleet: &Fleet, limits: &CgroupLimits) -> nix::Result<()> {
        if let (Some(bytes), true) = (limits.memory, fleet.controllers.memory) {
            self.write(fleet, "memory.max", &bytes.to_string())?;
            // Swap would only move the limit; a kernel without swap accounting has no such file.
            match self.write(fleet, "memory.swap.max", "0") {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(e) => return Err(e),
            }
        }
        if let (Some(count), true) = (limits.pids, fleet.controllers.pids) {
            self.write(fleet, "pids.max", &count.to_string())?;
        }
        if let (Some(millis), true) = (limits.cpu_millis, fleet.controllers.cpu) {
            let quota = u64::from(millis) * CPU_PERIOD / 1000;
            self.write(fleet, "cpu.max", &format!("{quota} {CPU_PERIOD}"))?;
        }
        Ok(())
    }

    /// The directory, to be born into.
    pub(crate) fn dir(&self, fleet: &Fleet) -> nix::Result<OwnedFd> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        openat(fleet.dir(), self.name.as_str(), flags, Mode::empty())
    }

    /// A descriptor that whoever writes `0` into it joins the leaf.
    pub(crate) fn door(&self, fleet: &Fleet) -> nix::Result<OwnedFd> {
        Ok(fleet.open(&format!("{}/cgroup.procs", self.name), OFlag::O_WRONLY)?.into())
    }

    /// SIGKILL to everything in it and below, in one step (Linux 5.14).
    pub(crate) fn kill(&self, fleet: &Fleet) -> nix::Result<()> {
        self.write(fleet, "cgroup.kill", "1")
    }

    /// How many processes are in it, zombies not counted; 0 if that cannot be read.
    pub(crate) fn population(&self, fleet: &Fleet) -> u32 {
        let procs = fleet
            .open(&format!("{}/cgroup.procs", self.name), OFlag::O_RDONLY)
            .and_then(|file| read_text(&file));
        procs.map_or(0, |text| u32::try_from(text.lines().count()).unwrap_or(u32::MAX))
    }

    /// Its events: the descriptor polls as `POLLPRI` when they change after a read.
    pub(crate) fn events(&self, fleet: &Fleet) -> nix::Result<Events> {
        fleet.open(&format!("{}/cgroup.events", self.name), OFlag::O_RDONLY).map(Events)
    }

    /// Whether the kernel killed something in it for memory.
    pub(crate) fn oom_killed(&self, fleet: &Fleet) -> bool {
        fleet
            .open(&format!("{}/memory.events", self.name), OFlag::O_RDONLY)
            .and_then(|file| read_text(&file))
            .is_ok_and(|text| field(&text, "oom_kill").is_some_and(|count| count > 0))
    }

    /// Removes it, with the cgroups that the plugin may have made in it. Only an empty one can be removed.
    pub(crate) fn remove(&self, fleet: &Fleet) {
        if unlinkat(fleet.dir(), self.name.as_str(), UnlinkatFlags::RemoveDir).is_err() {
            let path = format!("/proc/self/fd/{}/{}", fleet.dir().as_raw_fd(), self.name);
            remove_tree(PathBuf::from(path), 0);
        }
    }

    fn write(&self, fleet: &Fleet, file: &str, text: &str) -> nix::Result<()> {
        fleet.write(&format!("{}/{file}", self.name), text)
    }
}

#[derive(Debug)]
pub(crate) struct Events(File);

impl Events {
    /// Whether anybody lives in the leaf or below. An unreadable file means that it is gone.
    pub(crate) fn populated(&self) -> bool {
        read_text(&self.0).is_ok_and(|text| field(&text, "populated") != Some(0))
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A plugin can nest cgroups as deep as it likes; what is deeper than this stays, and with it its leaf.
const DEEPEST: u32 = 32;

/// Removes a cgroup and those below it, as far as they are empty.
pub(crate) fn remove_tree(dir: PathBuf, depth: u32) {
    remove_below(dir.clone(), depth);
    // Not empty yet, or not ours: it stays, and the next start looks again.
    std::fs::remove_dir(dir).ok();
}

fn remove_below(dir: PathBuf, depth: u32) {
    if depth > DEEPEST {
        return;
    }
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(entry.path(), depth + 1);
        }
    }
}

/// Who is in a cgroup and in those below it, as far as can be read.
pub(crate) fn members(dir: &Path, depth: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    // A process of another pid namespace reads as 0.
    let here = text.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid != 0);
    let mut found: Vec<u32> = here.collect();
    if depth < DEEPEST
        && let Ok(entries) = std::fs::read_dir(dir)
    {
        for entry in entries.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                found.extend(members(&entry.path(), depth + 1));
            }
        }
    }
    found
}

/// These files are read from the start each time: a second read of an open one tells what is new.
fn read_text(file: &File) -> nix::Result<String> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        match file.read_at(&mut chunk, bytes.len() as u64).map_err(errno)? {
            0 => return Ok(String::from_utf8_lossy(&bytes).into_owned()),
            n => bytes.extend_from_slice(&chunk[..n]),
        }
    }
}

/// The value of `name` in a file of "name value" lines.
pub(crate) fn field(text: &str, name: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .and_then(|value| value.trim().parse().ok())
}

pub(crate) fn errno(e: io::Error) -> Errno {
    Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let text = "oom 3\noom_kill 2\npopulated 0\n";
        assert_eq!(field(text, "oom_kill"), Some(2));
        assert_eq!(field(text, "oom"), Some(3));
        assert_eq!(field(text, "oo"), None);
    }
}
