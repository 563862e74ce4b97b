//! From a manifest to an order for the keeper: surroundings looked at, program found, pipes made.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use outboard_core::Detail;
use outboard_keeper::{CgroupLimits, Orphans, Rlimit, SpawnOrder};
use outboard_manifest::resolve::{self, Resolved};
use outboard_manifest::{Manifest, Orphans as WhoAdopts};
use tokio::net::unix::pipe;

use super::diagnose::FileIdentity;
use super::redact::Redactor;

/// Everything known about a start before it is ordered.
#[derive(Debug)]
pub(super) struct Launch {
    pub program: PathBuf,
    pub argv: Vec<OsString>,
    /// The command as it may be shown.
    pub shown: Vec<String>,
    pub env: Vec<(OsString, OsString)>,
    pub cwd: PathBuf,
    pub secrets: Vec<String>,
}

impl Launch {
    /// What was learnt about a program is kept for exactly this one: its file, its arguments and its dialect.
    #[must_use]
    pub(super) fn digest(&self, dialect: &str) -> String {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        (&self.program, FileIdentity::of(&self.program), &self.argv, dialect).hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }
}

/// Why nothing was ordered.
#[derive(Debug)]
pub(super) enum NoLaunch {
    /// The surroundings refuse it: class `config`.
    Refused(Detail),
    /// Class `spawn`.
    Failed { permanent: bool, detail: Detail },
}

/// Looks at the surroundings as they are now: secrets, variables, PATH.
///
/// # Errors
/// What is missing, for `why` and `status`; never a value of a secret.
pub(super) fn prepare(manifest: &Manifest) -> Result<Launch, NoLaunch> {
    let refused = |problems: Vec<outboard_manifest::Problem>| {
        let errors = problems.iter().filter(|problem| problem.is_error());
        let message = errors.map(|problem| problem.sentence()).collect::<Vec<_>>().join("; ");
        NoLaunch::Refused(Detail { detail: "surroundings", message })
    };
    let dotenv = match &manifest.env_file {
        Some(path) => resolve::dotenv(path).map_err(refused)?.vars,
        None => Vec::new(),
    };
    let inherited: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    let resolved = resolve::resolve(manifest, &|name| std::env::var_os(name), &dotenv, &inherited);
    let resolved = resolved.map_err(refused)?;
    let program = find_program(manifest, &resolved)?;
    let Resolved { argv, shown, cwd, env, secrets, .. } = resolved;
    Ok(Launch { program, argv, shown, env, cwd, secrets })
}

/// The resolved path. A program that is not on PATH is named with the PATH that was looked at; one that is named by
/// its path is left to `exec`, whose errors tell more.
fn find_program(manifest: &Manifest, resolved: &Resolved) -> Result<PathBuf, NoLaunch> {
    use std::os::unix::ffi::OsStrExt;
    match resolve::look_up(manifest, resolved) {
        Ok(program) => Ok(program),
        Err(_) if resolved.argv[0].as_bytes().contains(&b'/') => {
            Ok(resolved.cwd.join(&resolved.argv[0]))
        }
        Err(problem) => {
            // Its directory and PATH may have been filled in.
            let redactor = Redactor::new(resolved.secrets.iter().cloned());
            let message = redactor.mask(problem.sentence());
            let detail = Detail { detail: "exe-missing", message };
            Err(NoLaunch::Failed { permanent: true, detail })
        }
    }
}

/// The ends of a plugin's pipes that stay here.
#[derive(Debug)]
pub(super) struct OurEnds {
    pub stdin: pipe::Sender,
    pub stdout: pipe::Receiver,
    pub stderr: pipe::Receiver,
}

/// Makes the three pipes; gives our ends and the plugin's, in the order 0, 1, 2.
///
/// # Errors
/// `EMFILE`, `ENFILE`, `ENOMEM`; what was made before is closed again.
pub(super) fn pipes() -> io::Result<(OurEnds, [OwnedFd; 3])> {
    let (their_stdin, our_stdin) = pipe2(OFlag::O_CLOEXEC)?;
    let (our_stdout, their_stdout) = pipe2(OFlag::O_CLOEXEC)?;
    let (our_stderr, their_stderr) = pipe2(OFlag::O_CLOEXEC)?;
    // Only our descriptions become non-blocking: each end of a pipe has one of its own.
    let ours = OurEnds {
        stdin: pipe::Sender::from_owned_fd(our_stdin)?,
        stdout: pipe::Receiver::from_owned_fd(our_stdout)?,
        stderr: pipe::Receiver::from_owned_fd(our_stderr)?,
    };
    Ok((ours, [their_stdin, their_stdout, their_stderr]))
}

/// The failure of an operation of our own on the way to a start.
#[must_use]
pub(super) fn failed_here(error: &io::Error) -> NoLaunch {
    let errno = error.raw_os_error().map(Errno::from_raw);
    let (detail, message) = match errno {
        Some(Errno::EMFILE | Errno::ENFILE) => {
            ("fd-limit", "no file descriptor can be had now".to_owned())
        }
        Some(_) | None => ("set-up", error.to_string()),
    };
    NoLaunch::Failed { permanent: false, detail: Detail { detail, message } }
}

/// The order for the keeper.
///
/// # Errors
/// A name with a NUL byte in it: no such string can be passed to a process.
pub(super) fn order(
    key: u64,
    launch: &Launch,
    manifest: &Manifest,
    own_env: &[(&str, String)],
    stdio: [OwnedFd; 3],
) -> Result<SpawnOrder, NoLaunch> {
    let c = |text: &OsStr| {
        CString::new(text.as_bytes()).map_err(|_| {
            let message = "a NUL byte in its command, directory or environment".to_owned();
            NoLaunch::Refused(Detail { detail: "nul-byte", message })
        })
    };
    let mut env = Vec::with_capacity(launch.env.len() + own_env.len());
    for (name, value) in &launch.env {
        env.push(c(&pair(name, value))?);
    }
    for (name, value) in own_env {
        env.push(c(&pair(OsStr::new(name), OsStr::new(value)))?);
    }
    let mut order = SpawnOrder::new(key, c(launch.program.as_os_str())?, stdio);
    order.argv = launch.argv.iter().map(|arg| c(arg)).collect::<Result<_, _>>()?;
    order.env = env;
    order.cwd = Some(c(launch.cwd.as_os_str())?);
    order.umask = manifest.process.umask;
    order.name = manifest.id.to_string();
    order.orphans = match manifest.process.orphans {
        WhoAdopts::Plugin => Orphans::Plugin,
        WhoAdopts::Keeper => Orphans::Keeper,
    };
    order.limits = CgroupLimits {
        memory: manifest.limits.memory,
        pids: manifest.limits.processes,
        cpu_millis: manifest.limits.cpu.map(|percent| percent.saturating_mul(10)),
    };
    order.rlimits = rlimits(manifest);
    Ok(order)
}

fn rlimits(manifest: &Manifest) -> Vec<Rlimit> {
    let open_files = manifest.limits.open_files.map(|n| Rlimit {
        resource: nix::sys::resource::Resource::RLIMIT_NOFILE as u32,
        soft: n.into(),
        hard: n.into(),
    });
    // The supervisor raised its own soft limit at its start; a plugin gets what the supervisor was given.
    let given = super::limits::given_open_files();
    let soft = given.map(|(soft, hard)| Rlimit {
        resource: nix::sys::resource::Resource::RLIMIT_NOFILE as u32,
        soft,
        hard,
    });
    open_files.or(soft).into_iter().collect()
}

fn pair(name: &OsStr, value: &OsStr) -> OsString {
    let mut bytes = name.as_bytes().to_vec();
    bytes.push(b'=');
    bytes.extend_from_slice(value.as_bytes());
    OsString::from_vec(bytes)
}
