//! Messages between brain and keeper: fixed packets with a version, descriptors beside them.
//!
//! The long half of a start (path, arguments, environment: `blueprint`) follows its packet in the same message while it
//! is short, as it nearly always is. A longer one travels in a sealed memory file, because a `SEQPACKET` message ends near
//! 200 KiB and a legal environment does not.

use std::time::Duration;

use crate::order::{ExitStatus, Rusage, Step};
use crate::settings::Controllers;

/// Raised when the meaning of a packet changes.
pub(crate) const VERSION: u16 = 3;

/// The version of this build, which is that of the program around it.
pub(crate) const BUILD: [u16; 3] = [
    part(env!("CARGO_PKG_VERSION_MAJOR")),
    part(env!("CARGO_PKG_VERSION_MINOR")),
    part(env!("CARGO_PKG_VERSION_PATCH")),
];

const fn part(text: &str) -> u16 {
    match u16::from_str_radix(text, 10) {
        Ok(n) => n,
        Err(_) => u16::MAX,
    }
}

/// Bytes of a packet.
pub(crate) const SIZE: usize = 64;

/// The longest blueprint that follows its packet: a few dozen orders of this length fit the socket's buffer.
pub(crate) const INLINE: usize = 4096;

/// The longest message.
pub(crate) const LONGEST: usize = SIZE + INLINE;

pub(crate) type Bytes = [u8; SIZE];

/// The layout: version, kind, four bytes unused, key, six words; little-endian.
struct Packet {
    kind: u16,
    key: u64,
    words: [i64; 6],
}

/// Why bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    Length,
    Version(u16),
    Content,
}

/// From the brain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ToKeeper {
    /// The first packet, there before the keeper runs. Beside it: a pidfd of the brain, and with `fleet` the cgroup's
    /// directory.
    Hello {
        token: [u8; 16],
        run: [u8; 16],
        fleet: bool,
        controllers: Controllers,
    },
    /// Behind it: the blueprint; where nothing is, a memory file with it comes first among the descriptors. Beside it:
    /// standard input, output, error, and the blueprint's further descriptors.
    Spawn {
        key: u64,
    },
    Terminate {
        key: u64,
    },
    Kill {
        key: u64,
    },
    Ping {
        n: u32,
    },
    /// Beside it: the image to execute, which reads books of these versions.
    Reexec {
        oldest: u16,
        newest: u16,
    },
}

/// From the keeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FromKeeper {
    /// It serves. `cgroup_errno` is 0 when the probe of the fleet went well, or none was asked for.
    Ready {
        cgroup_errno: i32,
    },
    /// It will not serve: more than one thread.
    Refused {
        threads: u32,
    },
    /// Beside it: a pidfd.
    Spawned {
        key: u64,
        pid: u32,
    },
    Execed {
        key: u64,
    },
    SpawnFailed {
        key: u64,
        step: Step,
        errno: i32,
    },
    Died {
        key: u64,
        exit: ExitStatus,
    },
    Gone {
        key: u64,
        swept: u32,
        rusage: Rusage,
        took: Duration,
    },
    Stray {
        pid: u32,
    },
    Pong {
        n: u32,
    },
    /// The image that was ordered goes on; its version.
    Reexecuted {
        version: [u16; 3],
    },
    /// It was not executed, and the keeper goes on as it was. 0: the image does not read its book.
    Kept {
        errno: i32,
    },
}

impl ToKeeper {
    pub(crate) fn encode(self) -> Bytes {
        let packet = |kind, key, words| Packet { kind, key, words }.encode();
        match self {
            ToKeeper::Hello { token, run, fleet, controllers } => {
                let [t0, t1] = halves(token);
                let [r0, r1] = halves(run);
                let flags = i64::from(fleet)
                    | i64::from(controllers.memory) << 1
                    | i64::from(controllers.pids) << 2
                    | i64::from(controllers.cpu) << 3;
                packet(1, 0, [t0, t1, r0, r1, flags, 0])
            }
            ToKeeper::Spawn { key } => packet(2, key, [0; 6]),
            ToKeeper::Terminate { key } => packet(3, key, [0; 6]),
            ToKeeper::Kill { key } => packet(4, key, [0; 6]),
            ToKeeper::Ping { n } => packet(5, 0, [n.into(), 0, 0, 0, 0, 0]),
            ToKeeper::Reexec { oldest, newest } => {
                packet(6, 0, [oldest.into(), newest.into(), 0, 0, 0, 0])
            }
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<ToKeeper, Malformed> {
        let Packet { kind, key, words } = Packet::decode(bytes)?;
        Ok(match kind {
            1 => ToKeeper::Hello {
                token: whole([words[0], words[1]]),
                run: whole([words[2], words[3]]),
                fleet: words[4] & 1 != 0,
                controllers: Controllers {
                    memory: words[4] & 2 != 0,
                    pids: words[4] & 4 != 0,
                    cpu: words[4] & 8 != 0,
                },
            },
            2 => ToKeeper::Spawn { key },
            3 => ToKeeper::Terminate { key },
            4 => ToKeeper::Kill { key },
            5 => ToKeeper::Ping { n: narrow(words[0])? },
            6 => ToKeeper::Reexec { oldest: narrow(words[0])?, newest: narrow(words[1])? },
            _ => return Err(Malformed::Content),
        })
    }
}

impl FromKeeper {
    pub(crate) fn encode(self) -> Bytes {
        let packet = |kind, key, words| Packet { kind, key, words }.encode();
        match self {
            FromKeeper::Ready { cgroup_errno } => {
                packet(101, 0, [cgroup_errno.into(), 0, 0, 0, 0, 0])
            }
            FromKeeper::Refused { threads } => packet(102, 0, [threads.into(), 0, 0, 0, 0, 0]),
            FromKeeper::Spawned { key, pid } => packet(103, key, [pid.into(), 0, 0, 0, 0, 0]),
            FromKeeper::Execed { key } => packet(104, key, [0; 6]),
            FromKeeper::SpawnFailed { key, step, errno } => {
                packet(105, key, [step as i64, errno.into(), 0, 0, 0, 0])
            }
            FromKeeper::Died { key, exit } => packet(106, key, {
                match exit {
                    ExitStatus::Code(code) => [0, code.into(), 0, 0, 0, 0],
                    ExitStatus::Signal { signal, core, oom } => {
                        [1, signal.into(), core.into(), oom.into(), 0, 0]
                    }
                }
            }),
            FromKeeper::Gone { key, swept, rusage, took } => packet(
                107,
                key,
                [
                    swept.into(),
                    micros(rusage.user),
                    micros(rusage.system),
                    i64::try_from(rusage.max_rss_kib).unwrap_or(i64::MAX),
                    micros(took),
                    0,
                ],
            ),
            FromKeeper::Stray { pid } => packet(108, 0, [pid.into(), 0, 0, 0, 0, 0]),
            FromKeeper::Pong { n } => packet(109, 0, [n.into(), 0, 0, 0, 0, 0]),
            FromKeeper::Reexecuted { version: [major, minor, patch] } => {
                packet(110, 0, [major.into(), minor.into(), patch.into(), 0, 0, 0])
            }
            FromKeeper::Kept { errno } => packet(111, 0, [errno.into(), 0, 0, 0, 0, 0]),
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<FromKeeper, Malformed> {
        let Packet { kind, key, words } = Packet::decode(bytes)?;
        Ok(match kind {
            101 => FromKeeper::Ready { cgroup_errno: narrow(words[0])? },
            102 => FromKeeper::Refused { threads: narrow(words[0])? },
            103 => FromKeeper::Spawned { key, pid: narrow(words[0])? },
            104 => FromKeeper::Execed { key },
            105 => FromKeeper::SpawnFailed {
                key,
                step: Step::from_number(words[0]).ok_or(Malformed::Content)?,
                errno: narrow(words[1])?,
            },
            106 => FromKeeper::Died {
                key,
                exit: match words[0] {
                    0 => ExitStatus::Code(narrow(words[1])?),
                    1 => ExitStatus::Signal {
                        signal: narrow(words[1])?,
                        core: words[2] != 0,
                        oom: words[3] != 0,
                    },
                    _ => return Err(Malformed::Content),
                },
            },
            107 => FromKeeper::Gone {
                key,
                swept: narrow(words[0])?,
                rusage: Rusage {
                    user: Duration::from_micros(narrow(words[1])?),
                    system: Duration::from_micros(narrow(words[2])?),
                    max_rss_kib: narrow(words[3])?,
                },
                took: Duration::from_micros(narrow(words[4])?),
            },
            108 => FromKeeper::Stray { pid: narrow(words[0])? },
            109 => FromKeeper::Pong { n: narrow(words[0])? },
            110 => FromKeeper::Reexecuted {
                version: [narrow(words[0])?, narrow(words[1])?, narrow(words[2])?],
            },
            111 => FromKeeper::Kept { errno: narrow(words[0])? },
            _ => return Err(Malformed::Content),
        })
    }
}

impl Packet {
    fn encode(&self) -> Bytes {
        let mut bytes = [0; SIZE];
        bytes[0..2].copy_from_slice(&VERSION.to_le_bytes());
        bytes[2..4].copy_from_slice(&self.kind.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.key.to_le_bytes());
        for (place, word) in bytes[16..].chunks_exact_mut(8).zip(self.words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Packet, Malformed> {
        let bytes: &Bytes = bytes.try_into().map_err(|_| Malformed::Length)?;
        let version = u16::from_le_bytes([bytes[0], bytes[1]]);
        if version != VERSION {
            return Err(Malformed::Version(version));
        }
        let word = |at: usize| {
            let mut eight = [0; 8];
            eight.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(eight)
        };
        Ok(Packet {
            kind: u16::from_le_bytes([bytes[2], bytes[3]]),
            key: word(8),
            words: std::array::from_fn(|i| word(16 + 8 * i) as i64),
        })
    }
}

fn narrow<T: TryFrom<i64>>(word: i64) -> Result<T, Malformed> {
    T::try_from(word).map_err(|_| Malformed::Content)
}

fn micros(d: Duration) -> i64 {
    i64::try_from(d.as_micros()).unwrap_or(i64::MAX)
}

fn halves(whole: [u8; 16]) -> [i64; 2] {
    let n = u128::from_le_bytes(whole);
    [n as i64, (n >> 64) as i64]
}

fn whole([low, high]: [i64; 2]) -> [u8; 16] {
    (u128::from(low as u64) | u128::from(high as u64) << 64).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_comes_back_as_it_was() {
        let controllers = Controllers { memory: true, pids: false, cpu: true };
        for order in [
            ToKeeper::Hello { token: [0xfe; 16], run: [0x81; 16], fleet: true, controllers },
            ToKeeper::Hello {
                token: [1; 16],
                run: std::array::from_fn(|i| i as u8),
                fleet: false,
                controllers: Controllers::default(),
            },
            ToKeeper::Spawn { key: u64::MAX },
            ToKeeper::Terminate { key: 7 },
            ToKeeper::Kill { key: 8 },
            ToKeeper::Ping { n: u32::MAX },
            ToKeeper::Reexec { oldest: 1, newest: u16::MAX },
        ] {
            assert_eq!(ToKeeper::decode(&order.encode()), Ok(order));
        }
    }

    #[test]
    fn every_report_comes_back_as_it_was() {
        let rusage = Rusage {
            user: Duration::from_micros(1),
            system: Duration::from_secs(99),
            max_rss_kib: 1 << 40,
        };
        let mut reports = vec![
            FromKeeper::Ready { cgroup_errno: 16 },
            FromKeeper::Refused { threads: 3 },
            FromKeeper::Spawned { key: 1 << 63, pid: 4_194_304 },
            FromKeeper::Execed { key: 2 },
            FromKeeper::Died { key: 3, exit: ExitStatus::Code(255) },
            FromKeeper::Died {
                key: 3,
                exit: ExitStatus::Signal { signal: 9, core: false, oom: true },
            },
            FromKeeper::Died {
                key: 3,
                exit: ExitStatus::Signal { signal: 11, core: true, oom: false },
            },
            FromKeeper::Gone { key: 4, swept: 300, rusage, took: Duration::from_micros(1234) },
            FromKeeper::Stray { pid: 12 },
            FromKeeper::Pong { n: 0 },
            FromKeeper::Reexecuted { version: [1, 22, 333] },
            FromKeeper::Kept { errno: 13 },
        ];
        for &step in Step::ALL {
            reports.push(FromKeeper::SpawnFailed { key: 5, step, errno: 2 });
        }
        for report in reports {
            assert_eq!(FromKeeper::decode(&report.encode()), Ok(report));
        }
    }

    #[test]
    fn another_version_is_named_and_nonsense_is_refused() {
        let mut bytes = ToKeeper::Ping { n: 1 }.encode();
        bytes[0] = 9;
        assert_eq!(ToKeeper::decode(&bytes), Err(Malformed::Version(9)));
        assert_eq!(ToKeeper::decode(&bytes[..63]), Err(Malformed::Length));
        let mut bytes = FromKeeper::Pong { n: 1 }.encode();
        bytes[20..24].fill(0xff);
        assert_eq!(FromKeeper::decode(&bytes), Err(Malformed::Content));
        assert_eq!(
            ToKeeper::decode(&FromKeeper::Execed { key: 1 }.encode()),
            Err(Malformed::Content)
        );
    }
}
