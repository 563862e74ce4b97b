//! Is a process one of ours? Pure: what was read goes in, the answer comes out.

use crate::sys::proc::{Stat, variable};

use super::record::{Leader, RunMark};
use super::sweep::SkipReason;

/// What could be read of a process's environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Environ<'a> {
    Readable(&'a [u8]),
    /// Not to this user: it is not dumpable, or somebody else's.
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Ours,
    NotOurs,
    /// Something in the record points at it, and something else speaks against it.
    Skip(SkipReason),
}

pub(super) struct Evidence<'a> {
    pub(super) run: RunMark,
    pub(super) leaders: &'a [Leader],
    /// Whether a recorded leader's number now belongs to a process that is not that leader.
    pub(super) number_reused: &'a dyn Fn(u32) -> bool,
}

pub(super) fn judge(
    evidence: &Evidence<'_>,
    pid: u32,
    stat: &Stat,
    environ: Environ<'_>,
) -> Verdict {
    if carries(environ, evidence.run) {
        return Verdict::Ours;
    }
    if let Some(leader) = evidence.leaders.iter().find(|leader| leader.pid == pid) {
        return if leader.start == stat.start {
            Verdict::Ours
        } else {
            Verdict::Skip(SkipReason::NumberReused)
        };
    }
    let session = stat.session.cast_unsigned();
    let Some(leader) = evidence.leaders.iter().find(|leader| leader.pid == session) else {
        return Verdict::NotOurs;
    };
    if (evidence.number_reused)(leader.pid) || stat.start < leader.start {
        // The session's number went back to the kernel and came out again.
        Verdict::Skip(SkipReason::NumberReused)
    } else if is_telling(environ) {
        Verdict::Skip(SkipReason::OtherMark)
    } else {
        Verdict::Ours
    }
}

fn carries(environ: Environ<'_>, run: RunMark) -> bool {
    let Environ::Readable(block) = environ else { return false };
    let name = format!("{}=", RunMark::VARIABLE);
    variable(block, name.as_bytes()) == Some(run.to_string().as_bytes())
}

/// Whether an environment without the mark says anything. One that is closed, empty, or overwritten by a process title
/// (Perl's `$0` writes over it) does not.
fn is_telling(environ: Environ<'_>) -> bool {
    match environ {
        Environ::Closed => false,
        Environ::Readable(block) => block.split(|&b| b == 0).any(|entry| {
            let name = entry.split(|&b| b == b'=').next().unwrap_or_default();
            let is_name = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
            name.len() < entry.len() && !name.is_empty() && name.iter().all(is_name)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: &[u8] = b"HOME=/\0OUTBOARD_RUN=01010101010101010101010101010101\0";
    const OTHER: &[u8] = b"HOME=/\0OUTBOARD_RUN=02010101010101010101010101010101\0";

    fn stat(session: i32, start: u64) -> Stat {
        let line = format!("1 (x) S 1 1 {session} 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 {start} 1");
        Stat::parse(line.as_bytes()).expect("a whole line")
    }

    /// The record knows one leader: number 100, started at 50.
    fn check(pid: u32, session: i32, start: u64, environ: Environ<'_>, reused: bool) -> Verdict {
        let evidence = Evidence {
            run: RunMark::from_bytes([1; 16]),
            leaders: &[Leader { pid: 100, start: 50 }],
            number_reused: &|_| reused,
        };
        judge(&evidence, pid, &stat(session, start), environ)
    }

    #[test]
    fn the_mark_alone_is_enough_and_another_runs_mark_is_nothing() {
        assert_eq!(check(7, 7, 1, Environ::Readable(MARK), false), Verdict::Ours);
        assert_eq!(check(7, 7, 1, Environ::Readable(OTHER), false), Verdict::NotOurs);
        assert_eq!(check(7, 7, 1, Environ::Closed, false), Verdict::NotOurs);
    }

    #[test]
    fn a_recorded_leader_needs_its_start_time() {
        assert_eq!(check(100, 100, 50, Environ::Closed, false), Verdict::Ours);
        let reused = Verdict::Skip(SkipReason::NumberReused);
        assert_eq!(check(100, 100, 51, Environ::Closed, true), reused);
        assert_eq!(check(100, 100, 51, Environ::Readable(OTHER), true), reused);
    }

    #[test]
    fn a_member_of_its_session_is_ours_if_its_environment_does_not_speak_against_it() {
        assert_eq!(check(7, 100, 60, Environ::Closed, false), Verdict::Ours);
        assert_eq!(check(7, 100, 60, Environ::Readable(b""), false), Verdict::Ours);
        assert_eq!(
            check(7, 100, 60, Environ::Readable(b"worker: a=b\0\0\0"), false),
            Verdict::Ours
        );
        let other = Verdict::Skip(SkipReason::OtherMark);
        assert_eq!(check(7, 100, 60, Environ::Readable(OTHER), false), other);
        assert_eq!(check(7, 100, 60, Environ::Readable(b"HOME=/\0"), false), other);
    }

    #[test]
    fn a_session_whose_number_came_back_is_not_ours() {
        let reused = Verdict::Skip(SkipReason::NumberReused);
        assert_eq!(check(7, 100, 60, Environ::Closed, true), reused);
        assert_eq!(check(7, 100, 40, Environ::Closed, false), reused);
    }
}
