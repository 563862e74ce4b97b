//! Why a start failed: four different causes share one errno, so the file is looked at afterwards.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use outboard_core::Detail;
use outboard_keeper::Step;

/// What the failed step and its errno mean for the plugin.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Diagnosis {
    /// Nothing changes until the file, the manifest or the operator does.
    pub permanent: bool,
    pub detail: Detail,
}

/// Explains a start that failed in `step` with `errno` (`execve(2)` ERRORS).
#[must_use]
pub(super) fn diagnose(step: Step, errno: i32, program: &Path, cwd: &Path) -> Diagnosis {
    let error = Errno::from_raw(errno);
    let shown = program.display();
    let (permanent, detail, message) = match (step, error) {
        (_, Errno::EAGAIN) => (false, "process-limit", "no process can be had now".to_owned()),
        (_, Errno::EMFILE | Errno::ENFILE) => {
            (false, "fd-limit", "no file descriptor can be had now".to_owned())
        }
        (_, Errno::ENOMEM) => (false, "memory", "no memory can be had now".to_owned()),
        // Somebody else tidied up below us, or is about to: the next try makes a new one.
        (Step::Cgroup, error) => (false, "cgroup", format!("no cgroup for it: {}", error.desc())),
        (Step::Cwd, Errno::ENOENT) => {
            (true, "cwd-missing", format!("the working directory {} does not exist", cwd.display()))
        }
        (Step::Cwd, error) => {
            (true, "cwd-missing", format!("cannot enter {}: {}", cwd.display(), error.desc()))
        }
        (Step::Exec, Errno::ENOENT) => why_not_found(program),
        (Step::Exec, Errno::EACCES) => why_not_permitted(program),
        (Step::Exec, Errno::ENOEXEC) => why_bad_format(program),
        (Step::Exec, Errno::ETXTBSY) => {
            (false, "busy", format!("{shown} is still open for writing somewhere"))
        }
        (Step::Exec, Errno::E2BIG) => (
            true,
            "too-big",
            "its arguments and environment are larger than the kernel takes".to_owned(),
        ),
        (Step::Exec, error) => (true, "exec", format!("cannot execute {shown}: {}", error.desc())),
        (Step::Groups | Step::Gid | Step::Uid, error) => {
            (true, "privilege", format!("the supervisor may not switch user: {}", error.desc()))
        }
        (step, error) => (true, "set-up", format!("{} failed: {}", step.name(), error.desc())),
    };
    Diagnosis { permanent, detail: Detail { detail, message } }
}

type Cause = (bool, &'static str, String);

fn why_not_found(program: &Path) -> Cause {
    let shown = program.display();
    let Some(head) = head_of(program) else {
        return (true, "exe-missing", format!("{shown} does not exist"));
    };
    match kind_of(&head) {
        Kind::Script { interpreter, crlf: true } => (
            true,
            "shebang-crlf",
            format!(
                "the first line of {shown} ends in CR LF, so `{interpreter}\\r` is looked for; save it with LF"
            ),
        ),
        Kind::Script { interpreter, crlf: false } => (
            true,
            "interpreter-missing",
            format!("{shown} wants the interpreter {interpreter}, which does not exist"),
        ),
        Kind::Elf => {
            let loader = elf_loader(program)
                .map_or_else(|| "its loader".to_owned(), |l| l.display().to_string());
            (
                true,
                "loader-missing",
                format!("{shown} wants the program loader {loader}, which does not exist"),
            )
        }
        Kind::Empty | Kind::Other => (true, "exe-missing", format!("{shown} does not exist")),
    }
}

fn why_not_permitted(program: &Path) -> Cause {
    let shown = program.display();
    let message = match fs::metadata(program) {
        Ok(meta) if meta.is_dir() => format!("{shown} is a directory"),
        Ok(meta) if meta.permissions().mode() & 0o111 == 0 => {
            format!("{shown} has no execute bit; help: chmod +x {shown}")
        }
        Ok(_) if on_noexec(program) => format!("{shown} is on a file system mounted noexec"),
        Ok(_) => match head_of(program).map(|head| kind_of(&head)) {
            Some(Kind::Script { interpreter, .. }) => {
                format!("{shown} or its interpreter {interpreter} may not be executed")
            }
            _ => format!("{shown} may not be executed"),
        },
        Err(_) => format!("{shown} cannot be reached: a directory on the way is closed"),
    };
    (true, "not-permitted", message)
}

fn why_bad_format(program: &Path) -> Cause {
    let shown = program.display();
    let message = match head_of(program).map(|head| kind_of(&head)) {
        Some(Kind::Empty) => format!("{shown} is empty"),
        Some(Kind::Elf) => format!("{shown} is made for another processor"),
        _ => format!("{shown} is neither a program nor a script that starts with #!"),
    };
    (true, "bad-format", message)
}

enum Kind {
    Empty,
    Elf,
    Script { interpreter: String, crlf: bool },
    Other,
}

fn kind_of(head: &[u8]) -> Kind {
    if head.is_empty() {
        return Kind::Empty;
    }
    if head.starts_with(b"\x7fELF") {
        return Kind::Elf;
    }
    let Some(rest) = head.strip_prefix(b"#!") else { return Kind::Other };
    let line = rest.split(|b| *b == b'\n').next().unwrap_or(rest);
    let crlf = line.ends_with(b"\r");
    let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
    let interpreter = line.split_whitespace().next().unwrap_or("").to_owned();
    // `#!/usr/bin/env\r` fails at the kernel; `#!/usr/bin/env python3\r` only later, in env.
    let crlf = crlf && line.split_whitespace().count() == 1;
    Kind::Script { interpreter, crlf }
}

fn head_of(program: &Path) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    File::open(program).ok()?.take(256).read_to_end(&mut head).ok()?;
    Some(head)
}

/// The program loader that a 64-bit little-endian ELF file names (`PT_INTERP`, elf(5)).
fn elf_loader(program: &Path) -> Option<PathBuf> {
    let mut bytes = Vec::new();
    File::open(program).ok()?.take(64 * 1024).read_to_end(&mut bytes).ok()?;
    let at = |from: usize, size: usize| -> Option<u64> {
        let field = bytes.get(from..from + size)?;
        Some(field.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b)))
    };
    let (class, order) = (bytes.get(4)?, bytes.get(5)?);
    if (*class, *order) != (2, 1) {
        return None;
    }
    let (table, size, count) = (at(32, 8)?, at(54, 2)?, at(56, 2)?);
    for n in 0..count {
        let entry = usize::try_from(table.checked_add(n * size)?).ok()?;
        if at(entry, 4)? == 3 {
            let (from, len) = (
                usize::try_from(at(entry + 8, 8)?).ok()?,
                usize::try_from(at(entry + 32, 8)?).ok()?,
            );
            let name = bytes.get(from..from.checked_add(len)?)?;
            let name = name.strip_suffix(b"\0").unwrap_or(name);
            return Some(PathBuf::from(std::ffi::OsStr::from_bytes(name)));
        }
    }
    None
}

fn on_noexec(program: &Path) -> bool {
    nix::sys::statvfs::statvfs(program)
        .is_ok_and(|fs| fs.flags().contains(nix::sys::statvfs::FsFlags::ST_NOEXEC))
}

/// What tells one content of an executable from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub(crate) struct FileIdentity {
    pub device: u64,
    pub inode: u64,
    pub size: u64,
    pub changed_ns: i128,
}

impl FileIdentity {
    /// As a member of events.
    #[must_use]
    pub(crate) fn shown(self) -> serde_json::Value {
        serde_json::json!({"inode": self.inode, "size": self.size})
    }

    /// The identity of the file at `path`; `None` when there is none.
    #[must_use]
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let meta = fs::metadata(path).ok()?;
        Some(Self {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            changed_ns: i128::from(meta.ctime()) * 1_000_000_000 + i128::from(meta.ctime_nsec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(dir: &Path, name: &str, bytes: &[u8], mode: u32) -> PathBuf {
        let path = dir.join(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        path
    }

    fn detail(errno: Errno, program: &Path) -> (&'static str, String) {
        let found = diagnose(Step::Exec, errno as i32, program, Path::new("/"));
        (found.detail.detail, found.detail.message)
    }

    #[test]
    fn one_errno_has_four_causes_and_each_names_the_missing_thing() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("none");
        assert_eq!(detail(Errno::ENOENT, &missing).0, "exe-missing");
        let script = file(dir.path(), "a", b"#!/no/such/shell -e\n", 0o755);
        let (name, text) = detail(Errno::ENOENT, &script);
        assert_eq!(name, "interpreter-missing");
        assert!(text.contains("/no/such/shell,"), "{text}");
        let crlf = file(dir.path(), "b", b"#!/bin/sh\r\necho\r\n", 0o755);
        assert_eq!(detail(Errno::ENOENT, &crlf).0, "shebang-crlf");
        let cwd = diagnose(Step::Cwd, Errno::ENOENT as i32, &script, Path::new("/no/dir"));
        assert_eq!(cwd.detail.detail, "cwd-missing");
        assert!(cwd.detail.message.contains("/no/dir"));
    }

    #[test]
    fn a_missing_loader_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let mut elf = vec![0_u8; 64 + 56];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        elf[32] = 64;
        elf[54] = 56;
        elf[56] = 1;
        elf[64] = 3;
        let name = b"/no/ld.so\0";
        elf[64 + 8] = 120;
        elf[64 + 32] = u8::try_from(name.len()).unwrap();
        elf.extend_from_slice(name);
        let program = file(dir.path(), "elf", &elf, 0o755);
        let (detail, text) = detail(Errno::ENOENT, &program);
        assert_eq!(detail, "loader-missing");
        assert!(text.contains("/no/ld.so,"), "{text}");
    }

    #[test]
    fn not_permitted_says_which_of_its_causes() {
        let dir = tempfile::tempdir().unwrap();
        let plain = file(dir.path(), "plain", b"#!/bin/sh\n", 0o644);
        assert!(detail(Errno::EACCES, &plain).1.contains("no execute bit"));
        assert!(detail(Errno::EACCES, dir.path()).1.contains("is a directory"));
    }

    #[test]
    fn a_bad_format_is_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let text = |bytes: &[u8]| detail(Errno::ENOEXEC, &file(dir.path(), "f", bytes, 0o755)).1;
        assert!(text(b"").contains("is empty"));
        assert!(text(b"\x7fELF rest").contains("another processor"));
        assert!(text(b"touch canary\n").contains("neither a program nor a script"));
    }

    #[test]
    fn shortage_is_transient_and_a_busy_file_too() {
        for errno in [Errno::EAGAIN, Errno::EMFILE, Errno::ENOMEM, Errno::ETXTBSY] {
            assert!(!diagnose(Step::Exec, errno as i32, Path::new("/x"), Path::new("/")).permanent);
        }
    }
}
