//! What a keeper knows, as bytes for the image that is executed in its place.
//!
//! Written at a quiet moment only: nobody is being started, ended or swept, and every report has been sent. So there is
//! little to write down: who lives, and through which descriptors. The encoding is that of [`crate::blueprint`].

use std::time::Duration;

use crate::blueprint::{Cursor, Writer};
use crate::order::{Orphans, Rlimit};
use crate::settings::Controllers;

/// The version of the book that this build writes, and the newest that it reads.
pub(crate) const VERSION: u16 = 1;

/// The oldest that it reads.
pub(crate) const OLDEST: u16 = 1;

/// Tells a book from any other sealed file.
const MAGIC: u64 = u64::from_le_bytes(*b"obkbook\0");

/// Descriptors are numbers that are open on both sides of `exec`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Book {
    /// The process that goes on: nobody else may read it as its own.
    pub(crate) pid: u32,
    pub(crate) run: [u8; 16],
    pub(crate) socket: i32,
    pub(crate) brain: i32,
    pub(crate) inherited_nofile: Option<Rlimit>,
    pub(crate) fleet: Option<FleetEntry>,
    pub(crate) plugins: Vec<PluginEntry>,
    pub(crate) seen: Vec<SeenEntry>,
    pub(crate) adoptees: Vec<AdopteeEntry>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FleetEntry {
    pub(crate) dir: i32,
    pub(crate) controllers: Controllers,
    pub(crate) born_inside: bool,
}

/// A plugin whose program runs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PluginEntry {
    pub(crate) key: u64,
    pub(crate) pid: i32,
    pub(crate) pidfd: i32,
    pub(crate) orphans: Orphans,
    pub(crate) linger: Duration,
    pub(crate) leaf: Option<String>,
}

/// A process that was seen in a plugin's tree.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SeenEntry {
    pub(crate) pid: i32,
    pub(crate) start: u64,
    /// Of the plugin.
    pub(crate) key: u64,
}

/// A child of the keeper that belongs to nobody that is known.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AdopteeEntry {
    pub(crate) pid: i32,
    pub(crate) start: u64,
    pub(crate) looks: u8,
}

impl Book {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer(Vec::with_capacity(256 + 64 * self.plugins.len()));
        out.number(MAGIC);
        out.number(VERSION.into());
        out.number(self.pid.into());
        let run = u128::from_le_bytes(self.run);
        out.number(run as u64);
        out.number((run >> 64) as u64);
        out.signed(self.socket);
        out.signed(self.brain);
        out.option(self.inherited_nofile.as_ref(), |out, limit| {
            out.number(limit.resource.into());
            out.number(limit.soft);
            out.number(limit.hard);
        });
        out.option(self.fleet.as_ref(), |out, fleet| {
            out.signed(fleet.dir);
            let Controllers { memory, pids, cpu } = fleet.controllers;
            for flag in [memory, pids, cpu, fleet.born_inside] {
                out.number(flag.into());
            }
        });
        out.list(&self.plugins, |out, plugin| {
            out.number(plugin.key);
            out.signed(plugin.pid);
            out.signed(plugin.pidfd);
            out.number(match plugin.orphans {
                Orphans::Plugin => 0,
                Orphans::Keeper => 1,
            });
            out.number(u64::try_from(plugin.linger.as_millis()).unwrap_or(u64::MAX));
            out.option(plugin.leaf.as_ref(), |out, leaf| {
                out.list(leaf.as_bytes(), |out, &byte| out.number(byte.into()));
            });
        });
        out.list(&self.seen, |out, seen| {
            out.signed(seen.pid);
            out.number(seen.start);
            out.number(seen.key);
        });
        out.list(&self.adoptees, |out, adoptee| {
            out.signed(adoptee.pid);
            out.number(adoptee.start);
            out.number(adoptee.looks.into());
        });
        out.0
    }

    /// `None` for what is no book of a version that this build reads.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Book> {
        let mut from = Cursor(bytes);
        if from.number()? != MAGIC || !(OLDEST..=VERSION).contains(&from.narrow()?) {
            return None;
        }
        let book = Book {
            pid: from.narrow()?,
            run: {
                let (low, high) = (from.number()?, from.number()?);
                (u128::from(low) | u128::from(high) << 64).to_le_bytes()
            },
            socket: from.narrow()?,
            brain: from.narrow()?,
            inherited_nofile: from.option(|from| {
                Some(Rlimit {
                    resource: from.narrow()?,
                    soft: from.number()?,
                    hard: from.number()?,
                })
            })?,
            fleet: from.option(|from| {
                Some(FleetEntry {
                    dir: from.narrow()?,
                    controllers: Controllers {
                        memory: from.number()? != 0,
                        pids: from.number()? != 0,
                        cpu: from.number()? != 0,
                    },
                    born_inside: from.number()? != 0,
                })
            })?,
            plugins: from.list(|from| {
                Some(PluginEntry {
                    key: from.number()?,
                    pid: from.narrow()?,
                    pidfd: from.narrow()?,
                    orphans: match from.number()? {
                        0 => Orphans::Plugin,
                        1 => Orphans::Keeper,
                        _ => return None,
                    },
                    linger: Duration::from_millis(from.number()?),
                    leaf: from.option(|from| String::from_utf8(from.list(Cursor::narrow)?).ok())?,
                })
            })?,
            seen: from.list(|from| {
                Some(SeenEntry { pid: from.narrow()?, start: from.number()?, key: from.number()? })
            })?,
            adoptees: from.list(|from| {
                Some(AdopteeEntry {
                    pid: from.narrow()?,
                    start: from.number()?,
                    looks: from.narrow()?,
                })
            })?,
        };
        from.0.is_empty().then_some(book)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book() -> Book {
        Book {
            pid: 7,
            run: std::array::from_fn(|i| 0xf0 ^ i as u8),
            socket: 3,
            brain: 4,
            inherited_nofile: Some(Rlimit { resource: 7, soft: 1024, hard: u64::MAX }),
            fleet: Some(FleetEntry {
                dir: 5,
                controllers: Controllers { memory: true, pids: false, cpu: true },
                born_inside: true,
            }),
            plugins: vec![
                PluginEntry {
                    key: u64::MAX,
                    pid: 100,
                    pidfd: 9,
                    orphans: Orphans::Keeper,
                    linger: Duration::from_millis(500),
                    leaf: Some("geo.2a".to_owned()),
                },
                PluginEntry {
                    key: 2,
                    pid: 4_194_304,
                    pidfd: 10,
                    orphans: Orphans::Plugin,
                    linger: Duration::ZERO,
                    leaf: None,
                },
            ],
            seen: vec![SeenEntry { pid: 101, start: 1 << 40, key: 2 }],
            adoptees: vec![AdopteeEntry { pid: 102, start: 5, looks: 255 }],
        }
    }

    #[test]
    fn a_book_comes_back_as_it_was() {
        assert_eq!(Book::decode(&book().encode()), Some(book()));
    }

    #[test]
    fn cut_lengthened_and_foreign_bytes_are_no_book_and_no_panic() {
        let mut bytes = book().encode();
        for cut in 0..bytes.len() {
            assert_eq!(Book::decode(&bytes[..cut]), None, "cut at {cut}");
        }
        bytes.push(0);
        assert_eq!(Book::decode(&bytes), None, "lengthened");
        bytes.pop();
        bytes[8] = u8::try_from(VERSION + 1).expect("small");
        assert_eq!(Book::decode(&bytes), None, "of another version");
    }
}
