//! The long half of a spawn order, as bytes in a sealed memory file.
//!
//! Numbers are 64 bits, little-endian; texts end with a NUL; lists begin with their length; what may be absent begins
//! with a 0 or 1. Both sides are the same version of this crate (the packet beside it says so), so there is nothing to
//! skip and nothing to negotiate.

use std::ffi::{CStr, CString};
use std::time::Duration;

use crate::order::{CgroupLimits, Credentials, Orphans, Rlimit, SpawnOrder};
use crate::reaper::RunMark;

/// The longest blueprint that is accepted. The kernel takes at most 6 MiB of arguments and environment.
pub(crate) const LIMIT: u64 = 16 << 20;

/// Names which plugin a process belongs to, beside [`RunMark::VARIABLE`].
pub(crate) const KEY_VARIABLE: &str = "OUTBOARD_KEY";

/// A spawn order as the keeper reads it; texts point into the received bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Blueprint<'a> {
    pub(crate) linger: Duration,
    pub(crate) orphans: Orphans,
    pub(crate) no_new_privs: bool,
    pub(crate) umask: Option<u32>,
    pub(crate) rlimits: Vec<Rlimit>,
    pub(crate) user: Option<Credentials>,
    pub(crate) limits: CgroupLimits,
    /// Numbers of the further descriptors in the child, in the order of the message.
    pub(crate) targets: Vec<i32>,
    pub(crate) name: &'a CStr,
    pub(crate) program: &'a CStr,
    pub(crate) cwd: Option<&'a CStr>,
    pub(crate) argv: Vec<&'a CStr>,
    pub(crate) env: Vec<&'a CStr>,
}

/// Encodes an order. The run mark and the key replace what the environment may hold under these names.
pub(crate) fn encode(order: &SpawnOrder, run: &RunMark) -> Vec<u8> {
    let mut out = Writer(Vec::with_capacity(4096));
    out.number(u64::try_from(order.linger.as_millis()).unwrap_or(u64::MAX));
    out.number(match order.orphans {
        Orphans::Plugin => 0,
        Orphans::Keeper => 1,
    });
    out.number(order.no_new_privs.into());
    out.option(order.umask, |out, umask| out.number(umask.into()));
    out.list(&order.rlimits, |out, limit| {
        out.number(limit.resource.into());
        out.number(limit.soft);
        out.number(limit.hard);
    });
    out.option(order.user.as_ref(), |out, user| {
        out.number(user.uid.into());
        out.number(user.gid.into());
        out.list(&user.groups, |out, &group| out.number(group.into()));
    });
    out.option(order.limits.memory, Writer::number);
    out.option(order.limits.pids, |out, n| out.number(n.into()));
    out.option(order.limits.cpu_millis, |out, n| out.number(n.into()));
    out.list(&order.extra_fds, |out, (_, target)| out.number(u64::from(target.cast_unsigned())));
    out.text(&leaf_name(order));
    out.text(&order.program);
    out.option(order.cwd.as_deref(), Writer::text);
    out.list(&order.argv, |out, arg| out.text(arg));
    let marks = marks(order.key, run);
    let kept = || order.env.iter().filter(|entry| !is_mark(entry));
    out.number((kept().count() + marks.len()) as u64);
    for entry in kept().chain(&marks) {
        out.text(entry);
    }
    out.0
}

fn marks(key: u64, run: &RunMark) -> [CString; 2] {
    let text = |text: String| CString::new(text).expect("made of hexadecimal digits");
    [text(format!("{}={run}", RunMark::VARIABLE)), text(format!("{KEY_VARIABLE}={key:x}"))]
}

fn is_mark(entry: &CStr) -> bool {
    [RunMark::VARIABLE, KEY_VARIABLE].iter().any(|name| {
        entry.to_bytes().strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"="))
    })
}

/// A name for the leaf that is unique (by the key), safe in a path, and readable in `systemd-cgls`.
fn leaf_name(order: &SpawnOrder) -> CString {
    let safe = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let name: String = order.name.chars().take(64).map(safe).collect();
    CString::new(format!("{name}.{:x}", order.key)).expect("made of safe characters")
}

/// Decodes; `None` when the bytes are not a blueprint.
pub(crate) fn decode(bytes: &[u8]) -> Option<Blueprint<'_>> {
    let mut from = Cursor(bytes);
    let blueprint = Blueprint {
        linger: Duration::from_millis(from.number()?),
        orphans: match from.number()? {
            0 => Orphans::Plugin,
            1 => Orphans::Keeper,
            _ => return None,
        },
        no_new_privs: from.number()? != 0,
        umask: from.option(Cursor::narrow)?,
        rlimits: from.list(|from| {
            Some(Rlimit { resource: from.narrow()?, soft: from.number()?, hard: from.number()? })
        })?,
        user: from.option(|from| {
            Some(Credentials {
                uid: from.narrow()?,
                gid: from.narrow()?,
                groups: from.list(Cursor::narrow)?,
            })
        })?,
        limits: CgroupLimits {
            memory: from.option(Cursor::number)?,
            pids: from.option(Cursor::narrow)?,
            cpu_millis: from.option(Cursor::narrow)?,
        },
        targets: from.list(Cursor::narrow)?,
        name: from.text()?,
        program: from.text()?,
        cwd: from.option(Cursor::text)?,
        argv: from.list(Cursor::text)?,
        env: from.list(Cursor::text)?,
    };
    from.0.is_empty().then_some(blueprint)
}

pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn number(&mut self, n: u64) {
        self.0.extend_from_slice(&n.to_le_bytes());
    }

    /// A number that is no less than 0, as those of processes and descriptors are.
    pub(crate) fn signed(&mut self, n: i32) {
        self.number(n.cast_unsigned().into());
    }

    fn text(&mut self, text: &CStr) {
        self.0.extend_from_slice(text.to_bytes_with_nul());
    }

    pub(crate) fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Writer, T)) {
        self.number(value.is_some().into());
        if let Some(value) = value {
            write(self, value);
        }
    }

    pub(crate) fn list<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Writer, &T)) {
        self.number(items.len() as u64);
        for item in items {
            write(self, item);
        }
    }
}

pub(crate) struct Cursor<'a>(pub(crate) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(crate) fn number(&mut self) -> Option<u64> {
        let (eight, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*eight))
    }

    pub(crate) fn narrow<T: TryFrom<u64>>(&mut self) -> Option<T> {
        T::try_from(self.number()?).ok()
    }

    fn text(&mut self) -> Option<&'a CStr> {
        let text = CStr::from_bytes_until_nul(self.0).ok()?;
        self.0 = &self.0[text.count_bytes() + 1..];
        Some(text)
    }

    /// The outer `None` is malformed, the inner one absent.
    pub(crate) fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.number()? {
            0 => Some(None),
            1 => read(self).map(Some),
            _ => None,
        }
    }

    pub(crate) fn list<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let len = self.number()?;
        // No capacity by a number from outside: each item takes at least one byte.
        let mut items = Vec::new();
        for _ in 0..len {
            items.push(read(self)?);
        }
        Some(items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> SpawnOrder {
        let null = || std::fs::File::open("/dev/null").expect("open").into();
        SpawnOrder {
            argv: vec![c"a".to_owned(), c"".to_owned(), c"b c".to_owned()],
            env: vec![
                c"A=1".to_owned(),
                c"OUTBOARD_RUN=stale".to_owned(),
                c"OUTBOARD_RUNNER=kept".to_owned(),
                c"OUTBOARD_KEY=stale".to_owned(),
            ],
            extra_fds: vec![(null(), 7)],
            cwd: Some(c"/srv".to_owned()),
            umask: Some(0o22),
            rlimits: vec![Rlimit { resource: 7, soft: 10, hard: u64::MAX }],
            user: Some(Credentials { uid: 1, gid: 2, groups: vec![3, 4] }),
            orphans: Orphans::Keeper,
            linger: Duration::from_secs(2),
            limits: CgroupLimits { memory: Some(1 << 30), pids: None, cpu_millis: Some(1500) },
            name: "a/b é".to_owned(),
            ..SpawnOrder::new(0x2a, c"/bin/a".to_owned(), [null(), null(), null()])
        }
    }

    fn run() -> RunMark {
        RunMark::from_bytes([0xab; 16])
    }

    #[test]
    fn an_order_comes_back_whole_with_fresh_marks() {
        let order = order();
        let bytes = encode(&order, &run());
        let back = decode(&bytes).expect("a blueprint");
        assert_eq!(back.program, c"/bin/a");
        assert_eq!(back.argv, [c"a", c"", c"b c"]);
        let mark = CString::new(format!("OUTBOARD_RUN={}", "ab".repeat(16))).expect("text");
        assert_eq!(back.env, [c"A=1", c"OUTBOARD_RUNNER=kept", &*mark, c"OUTBOARD_KEY=2a"]);
        assert_eq!(back.cwd, Some(c"/srv"));
        assert_eq!(back.name, c"a_b__.2a");
        assert_eq!(back.targets, [7]);
        assert_eq!(
            (back.umask, back.orphans, back.linger),
            (order.umask, order.orphans, order.linger)
        );
        assert_eq!(
            (back.rlimits, back.user, back.limits),
            (order.rlimits, order.user, order.limits)
        );
        assert!(back.no_new_privs);
    }

    #[test]
    fn cut_or_lengthened_bytes_are_no_blueprint_and_no_panic() {
        let mut bytes = encode(&order(), &run());
        for cut in 0..bytes.len() {
            assert_eq!(decode(&bytes[..cut]), None, "cut at {cut}");
        }
        bytes.push(0);
        assert_eq!(decode(&bytes), None);
    }

    #[test]
    fn a_list_that_claims_to_be_endless_is_refused_without_taking_memory() {
        let mut bytes = encode(&order(), &run());
        // The fourth number is umask's presence; the sixth the length of the list of limits.
        bytes[40..48].fill(0xff);
        assert_eq!(decode(&bytes), None);
    }
}
