//! The parts that throw-away processes play. Each ends by itself after a while, whatever becomes of the others.

use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;

use super::lines::say;
use super::{sandbox, stage, told_errno};
use crate::sys::process::{Forked, fork, leave};

/// Their `argv[0]`.
pub(super) const ARGV0: &str = "obtrial";

/// `PART:ARGUMENT`.
pub(super) const VARIABLE: &str = "OUTBOARD_TRIAL";

/// Seconds after which a throw-away process ends by itself.
const LIFE: u32 = 60;

/// One step of the memory eater.
const BITE: usize = 1 << 20;

/// Plays a part if this process was started to, and then never returns. Whoever only has the name, or only the variable,
/// is not meant.
pub(crate) fn run_if_actor() {
    if std::env::args_os().next().is_none_or(|name| name.as_bytes() != ARGV0.as_bytes()) {
        return;
    }
    let Ok(part) = std::env::var(VARIABLE) else { return };
    let (part, argument) = part.split_once(':').unwrap_or((&part, ""));
    let number = || argument.parse().unwrap_or(1);
    // SAFETY: no memory is touched.
    unsafe { libc::alarm(LIFE) };
    match part {
        "supervisor" => stage::play(argument),
        "nest" => nest(number()),
        "eat" => eat(number()),
        "crowd" => crowd(number()),
        "sandbox" => locked_out(),
        "user" => say(&format!("user {}", nix::unistd::geteuid())),
        _ => {}
    }
    leave(0);
}

/// A tree of so many processes, one below the other. Each but the first makes a session of its own, as daemons do.
fn nest(processes: u32) -> ! {
    let mut below = processes;
    loop {
        say(&format!("pid {}", std::process::id()));
        below -= 1;
        if below == 0 {
            wait_to_be_killed();
        }
        // SAFETY: this process has one thread.
        match unsafe { fork(None) } {
            Ok(Forked::Child) => {
                nix::unistd::setsid().ok();
                // SAFETY: no memory is touched. Alarms are not inherited.
                unsafe { libc::alarm(LIFE) };
            }
            Ok(Forked::Parent { .. }) => wait_to_be_killed(),
            Err(e) => {
                say(&format!("failed {}", told_errno(e)));
                wait_to_be_killed();
            }
        }
    }
}

fn wait_to_be_killed() -> ! {
    loop {
        nix::unistd::pause();
    }
}

/// Takes so many mebibytes of memory and uses them.
fn eat(bites: u32) {
    let mut eaten = Vec::new();
    for _ in 0..bites {
        // Not zero: pages of zeros need not exist.
        eaten.push(std::hint::black_box(vec![1_u8; BITE]));
    }
    say(&format!("eaten {}", eaten.len()));
}

/// Forks so often; says how often it could.
fn crowd(most: u32) {
    let mut born = 0;
    for _ in 0..most {
        // SAFETY: this process has one thread.
        match unsafe { fork(None) } {
            Ok(Forked::Child) => wait_to_be_killed_with_parent(),
            Ok(Forked::Parent { .. }) => born += 1,
            Err(Errno::EAGAIN) => break,
            Err(e) => {
                say(&format!("failed {}", told_errno(e)));
                return;
            }
        }
    }
    say(&format!("crowd {born}"));
}

fn wait_to_be_killed_with_parent() -> ! {
    // Its keeper ends it with its parent; this is for where that is what does not work.
    // SAFETY: no memory is touched.
    unsafe { libc::alarm(LIFE) };
    wait_to_be_killed();
}

/// Gives up files, and tries to open one that it could open before.
fn locked_out() {
    let open = || std::fs::File::open("/proc/self/exe");
    let outcome = sandbox::abi().and_then(|abi| match open() {
        Err(e) => Err(crate::cgroup::errno(e)),
        Ok(_) => sandbox::close_all_files().map(|()| abi),
    });
    match outcome {
        Ok(_) if open().is_ok() => say("sandbox it was set up and did not hold"),
        Ok(abi) => say(&format!("sandbox {abi}")),
        Err(Errno::ENOSYS) => say("sandbox this kernel has no landlock"),
        Err(Errno::EOPNOTSUPP) => say("sandbox landlock is switched off at boot"),
        Err(e) => say(&format!("sandbox landlock: {}", told_errno(e))),
    }
}
