//! The keeper's line, written down; and what is left to do about the keeper itself.

use std::io;
use std::path::PathBuf;

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use outboard_core::Time;
use outboard_keeper::probe::Shortfall;
use outboard_keeper::{
    Containment, Controllers, Keeper, KeeperParts, LetterParts, Level, Order, RunMark,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Descriptors, Fd, path_text};
use crate::host::dispatch::Dispatcher;

/// The keeper, and how far the talk with it has come.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeptKeeper {
    /// Of the messages that it understands.
    messages: u16,
    socket: Fd,
    pidfd: Fd,
    pid: u32,
    containment: KeptContainment,
    letters: Vec<KeptLetter>,
    unanswered: usize,
    refused: Vec<(u64, i32)>,
    pub pings: u32,
    pub asked_at: Option<Time>,
    pub next_ping: Time,
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptLetter {
    #[serde(with = "outboard_wire::octets")]
    bytes: Vec<u8>,
    fds: Vec<Fd>,
    spawns: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptContainment {
    level: u8,
    /// Memory, processes, CPU.
    controllers: (bool, bool, bool),
    #[serde(with = "path_text::option")]
    fleet: Option<PathBuf>,
    shortfall: Option<(u8, i32)>,
}

impl Dispatcher {
    /// The keeper is to execute the image that runs here too. Whatever comes of it, it is reported.
    pub(super) fn renew_keeper(&mut self) {
        let Some(keeper) = &mut self.keeper else { return };
        // The file that runs, whatever stands at its path by now.
        let image = open("/proc/self/exe", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty());
        let ordered = image.map_err(|errno| errno.to_string()).and_then(|image| {
            keeper.order(Order::Reexec { image }).map_err(|error| error.to_string())
        });
        if let Err(why) = ordered {
            self.shared.recorder.supervisor("keeper.kept", json!({"message": why}));
        }
    }
}

impl KeptKeeper {
    /// # Errors
    /// A descriptor cannot be had.
    pub(crate) fn of(
        keeper: &Keeper,
        (pings, asked_at, next_ping): (u32, Option<Time>, Time),
        fds: &mut Descriptors,
    ) -> io::Result<Self> {
        let parts = keeper.parts(|fd| fds.hold(&fd))?;
        let Containment { level, controllers, fleet, shortfall } = parts.containment;
        let letters = parts
            .letters
            .into_iter()
            .map(|LetterParts { bytes, fds, spawns }| KeptLetter { bytes, fds, spawns });
        Ok(Self {
            messages: outboard_keeper::MESSAGES,
            socket: parts.socket,
            pidfd: parts.pidfd,
            pid: parts.pid,
            containment: KeptContainment {
                level: level.number(),
                controllers: (controllers.memory, controllers.pids, controllers.cpu),
                fleet,
                shortfall: shortfall.map(Shortfall::to_numbers),
            },
            letters: letters.collect(),
            unanswered: parts.unanswered,
            refused: parts.refused,
            pings,
            asked_at,
            next_ping,
        })
    }

    /// Whether this build can talk with it.
    pub(crate) fn speaks_our_messages(&self) -> Result<(), String> {
        let ours = outboard_keeper::MESSAGES;
        if self.messages == ours {
            return Ok(());
        }
        Err(format!(
            "its keeper speaks version {} of the messages, this build {ours}",
            self.messages
        ))
    }

    /// # Errors
    /// A descriptor is not there.
    pub(crate) fn back(self, run: RunMark, fds: &mut Descriptors) -> io::Result<Keeper> {
        let KeptContainment { level, controllers, fleet, shortfall } = self.containment;
        let (memory, pids, cpu) = controllers;
        let mut letters = Vec::with_capacity(self.letters.len());
        for KeptLetter { bytes, fds: numbers, spawns } in self.letters {
            let fds = numbers.into_iter().map(|fd| fds.take(fd)).collect::<io::Result<_>>()?;
            letters.push(LetterParts { bytes, fds, spawns });
        }
        Ok(Keeper::from_parts(KeeperParts {
            socket: fds.take(self.socket)?,
            pidfd: fds.take(self.pidfd)?,
            pid: self.pid,
            run,
            containment: Containment {
                level: if level == Level::Cgroup.number() { Level::Cgroup } else { Level::Session },
                controllers: Controllers { memory, pids, cpu },
                fleet,
                shortfall: shortfall.and_then(Shortfall::from_numbers),
            },
            letters,
            unanswered: self.unanswered,
            refused: self.refused,
        }))
    }
}
