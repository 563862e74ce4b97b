//! Which containment this machine offers.
//!
//! Only the own cgroup is ever used, and only if it was given to us: by its delegation mark, by belonging to this
//! user, or because nobody else (systemd) manages cgroups here and we are root. What is found here is a possibility;
//! the keeper proves it with a process before it says so.

use std::ffi::CString;
use std::fmt;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access, geteuid};

use crate::cgroup::{Fleet, errno, remove_tree};
use crate::fleets::{fleet_name, is_own_leaf, make_dir, make_fleet, own_leaf, remove_forgotten};
use crate::reaper::RunMark;
use crate::settings::{ContainmentChoice, Controllers};

/// Why containment is not more than it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortfall {
    /// Level 2 was asked for.
    NotAskedFor,
    /// No cgroup v2 file system is mounted, or this process is in none of its groups.
    NoCgroup2,
    /// The own cgroup belongs to somebody else: systemd, or another user.
    NotDelegated,
    /// It was ours to use, and that failed.
    Failed(Errno),
    /// Killing works; limits do not, because the controllers are not there (a hybrid machine, or a parent that does
    /// not pass them on).
    NoControllers,
    /// Killing works; limits do not, because other processes share the own cgroup.
    NotAlone,
}

impl Shortfall {
    /// As two numbers, for the brain's next image.
    #[must_use]
    pub fn to_numbers(self) -> (u8, i32) {
        match self {
            Shortfall::NotAskedFor => (0, 0),
            Shortfall::NoCgroup2 => (1, 0),
            Shortfall::NotDelegated => (2, 0),
            Shortfall::Failed(errno) => (3, errno as i32),
            Shortfall::NoControllers => (4, 0),
            Shortfall::NotAlone => (5, 0),
        }
    }

    /// What [`Shortfall::to_numbers`] gave; `None` for what no build before this one meant.
    #[must_use]
    pub fn from_numbers((kind, errno): (u8, i32)) -> Option<Self> {
        Some(match kind {
            0 => Shortfall::NotAskedFor,
            1 => Shortfall::NoCgroup2,
            2 => Shortfall::NotDelegated,
            3 => Shortfall::Failed(Errno::from_raw(errno)),
            4 => Shortfall::NoControllers,
            5 => Shortfall::NotAlone,
            _ => return None,
        })
    }

    /// What the operator can type for more, if anything.
    pub fn remedy(self) -> Option<&'static str> {
        match self {
            Shortfall::NotDelegated | Shortfall::NoControllers | Shortfall::NotAlone => {
                Some("systemd-run --user --scope -p Delegate=yes outboard run …")
            }
            Shortfall::NotAskedFor | Shortfall::NoCgroup2 | Shortfall::Failed(_) => None,
        }
    }

    /// The reason alone.
    pub fn reason(self) -> String {
        let words = match self {
            Shortfall::NotAskedFor => "cgroups were not asked for",
            Shortfall::NoCgroup2 => "there is no cgroup v2 here",
            Shortfall::NotDelegated => "the own cgroup is not delegated to this user",
            Shortfall::Failed(e) => return format!("the own cgroup cannot be used: {}", e.desc()),
            Shortfall::NoControllers => "no controllers are available",
            Shortfall::NotAlone => "other processes share the own cgroup",
        };
        words.to_owned()
    }
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason())?;
        match self {
            Shortfall::NoControllers | Shortfall::NotAlone => {
                f.write_str(", so limits are not enforced")
            }
            Shortfall::NotAskedFor
            | Shortfall::NoCgroup2
            | Shortfall::NotDelegated
            | Shortfall::Failed(_) => Ok(()),
        }
    }
}

/// The cgroup that this process may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    pub dir: PathBuf,
    /// Controllers that can be passed on to leaves.
    pub available: Controllers,
    /// The root of the hierarchy, which may hold processes and pass controllers on at the same time.
    is_root: bool,
}

/// Looks for it; changes nothing.
pub fn site() -> Result<Site, Shortfall> {
    let dir = own_dir().ok_or(Shortfall::NoCgroup2)?;
    if !is_ours(&dir) {
        return Err(Shortfall::NotDelegated);
    }
    let listed = fs::read_to_string(dir.join("cgroup.controllers")).unwrap_or_default();
    let is_root = !dir.join("cgroup.events").exists();
    Ok(Site { available: controllers(&listed), is_root, dir })
}

/// A fleet that is ready for its keeper.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) fleet: Fleet,
    pub(crate) path: PathBuf,
    pub(crate) shortfall: Option<Shortfall>,
}

/// Makes the fleet of a run, with as many controllers as can be had. This process moves to a leaf of its own if that is
/// what controllers take, and its keeper is then born there.
pub(crate) fn prepare(choice: ContainmentChoice, run: &RunMark) -> Result<Prepared, Shortfall> {
    if choice == ContainmentChoice::Session {
        return Err(Shortfall::NotAskedFor);
    }
    let site = site()?;
    let path = site.dir.join(fleet_name(run));
    remove_forgotten(&site.dir);
    let dir = make_fleet(&path).map_err(Shortfall::Failed)?;
    let (controllers, shortfall) = enable(&site, &path, run);
    Ok(Prepared { fleet: Fleet::new(dir.into(), controllers), path, shortfall })
}

/// Where this process is in the cgroup v2 hierarchy, as a path that can be opened.
fn own_dir() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let dir = locate(&mounts, &own)?;
    // A second keeper of the same run: this process sits in the leaf that it made for the first one.
    if is_own_leaf(&dir) {
        return dir.parent().map(Path::to_owned);
    }
    Some(dir)
}

/// From the texts of `mountinfo` (proc_pid_mountinfo(5)) and `cgroup` (cgroups(7)) of a process.
fn locate(mounts: &str, own: &str) -> Option<PathBuf> {
    let own = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    mounts.lines().find_map(|line| {
        let (fields, kind) = line.split_once(" - ")?;
        if !kind.starts_with("cgroup2 ") {
            return None;
        }
        let mut fields = fields.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        // The mount may show a part of the hierarchy only, and that part need not hold this process.
        let below = Path::new(own).strip_prefix(root).ok()?;
        Some(Path::new(point).join(below))
    })
}

fn is_ours(dir: &Path) -> bool {
    let writable = || access(&dir.join("cgroup.procs"), AccessFlags::W_OK).is_ok();
    if has_mark(dir, c"trusted.delegate") || has_mark(dir, c"user.delegate") {
        return writable();
    }
    if geteuid().is_root() {
        // sd_booted(3): this folder exists exactly where systemd is the init system.
        return !Path::new("/run/systemd/system").exists() && writable();
    }
    fs::metadata(dir).is_ok_and(|meta| meta.uid() == geteuid().as_raw()) && writable()
}

fn has_mark(dir: &Path, name: &std::ffi::CStr) -> bool {
    let Ok(path) = CString::new(dir.as_os_str().as_bytes()) else { return false };
    let mut value = [0_u8; 4];
    // SAFETY: both texts end with a NUL and the buffer is as long as is said.
    let len = unsafe {
        libc::getxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len())
    };
    len >= 1 && value[0] == b'1'
}

/// Passes controllers on to the fleet's leaves.
fn enable(site: &Site, fleet: &Path, run: &RunMark) -> (Controllers, Option<Shortfall>) {
    if !site.available.any() {
        return (Controllers::default(), Some(Shortfall::NoControllers));
    }
    let wanted = site.available;
    let enabled = fs::read_to_string(site.dir.join("cgroup.subtree_control")).unwrap_or_default();
    let mut moved = false;
    if controllers(&enabled) != wanted && !site.is_root {
        moved = move_into(&own_leaf(&site.dir.join(fleet_name(run)))).is_ok();
    }
    let mut got = Controllers::default();
    for (name, wanted, got) in [
        ("+memory", wanted.memory, &mut got.memory),
        ("+pids", wanted.pids, &mut got.pids),
        ("+cpu", wanted.cpu, &mut got.cpu),
    ] {
        let pass_on = |dir: &Path| write(&dir.join("cgroup.subtree_control"), name);
        *got = wanted && pass_on(&site.dir).and_then(|()| pass_on(fleet)).is_ok();
    }
    if !got.any() && moved && move_into(&site.dir).is_ok() {
        remove_tree(own_leaf(fleet), 0);
    }
    let shortfall = match got {
        got if got.all() => None,
        got if got == wanted => Some(Shortfall::NoControllers),
        _ => Some(Shortfall::NotAlone),
    };
    (got, shortfall)
}

/// Moves this process, all its threads, into a cgroup that is made if need be.
fn move_into(dir: &Path) -> nix::Result<()> {
    make_dir(dir)?;
    write(&dir.join("cgroup.procs"), "0")
}

fn write(path: &Path, text: &str) -> nix::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).open(path).map_err(errno)?;
    file.write_all(text.as_bytes()).map_err(errno)
}

fn controllers(text: &str) -> Controllers {
    let has = |name| text.split_whitespace().any(|word| word == name);
    Controllers { memory: has("memory"), pids: has("pids"), cpu: has("cpu") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIFIED: &str =
        "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
    const HYBRID: &str = "\
        40 32 0:35 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
        41 32 0:36 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
    const NAMESPACED: &str = "50 40 0:26 /system.slice/box /sys/fs/cgroup ro - cgroup2 cgroup rw\n";

    #[test]
    fn the_own_cgroup_is_found_where_it_is_mounted() {
        let own = "0::/user.slice/app.scope\n";
        assert_eq!(locate(UNIFIED, own), Some("/sys/fs/cgroup/user.slice/app.scope".into()));
        let own = "4:memory:/x\n0::/\n";
        assert_eq!(locate(HYBRID, own), Some("/sys/fs/cgroup/unified".into()));
        let own = "0::/system.slice/box/inner\n";
        assert_eq!(locate(NAMESPACED, own), Some("/sys/fs/cgroup/inner".into()));
    }

    #[test]
    fn a_mount_that_does_not_show_the_own_cgroup_and_a_v1_machine_are_none() {
        assert_eq!(locate(NAMESPACED, "0::/elsewhere\n"), None);
        assert_eq!(locate(UNIFIED, "4:memory:/x\n"), None);
        assert_eq!(locate("1 1 0:1 / / rw - ext4 disk rw\n", "0::/\n"), None);
    }
}
