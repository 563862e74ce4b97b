//! What has to be written down before the first spawn, so that leftovers can be told from strangers later.

use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;

use crate::sys::proc::Reader;

/// 128 random bits that name one run of one state directory; shown as 32 hexadecimal digits. Every plugin, and what it
/// starts, inherits it in its environment.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunMark([u8; 16]);

impl RunMark {
    /// The environment variable that carries it.
    pub const VARIABLE: &str = "OUTBOARD_RUN";

    /// A new one, from the kernel's random numbers.
    pub fn random() -> io::Result<RunMark> {
        let mut bytes = [0; 16];
        random(&mut bytes)?;
        Ok(RunMark(bytes))
    }

    pub fn from_bytes(bytes: [u8; 16]) -> RunMark {
        RunMark(bytes)
    }

    pub fn bytes(&self) -> [u8; 16] {
        self.0
    }
}

/// Fills a short buffer (up to 256 bytes are never cut) with random bytes.
pub(crate) fn random(bytes: &mut [u8]) -> io::Result<()> {
    // SAFETY: the buffer is live, writable and as long as is said.
    let n = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if n == bytes.len().cast_signed() { Ok(()) } else { Err(io::Error::last_os_error()) }
}

impl fmt::Display for RunMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RunMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Not 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadRunMark;

impl fmt::Display for BadRunMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a run mark is 32 hexadecimal digits")
    }
}

impl std::error::Error for BadRunMark {}

impl FromStr for RunMark {
    type Err = BadRunMark;

    fn from_str(text: &str) -> Result<RunMark, BadRunMark> {
        let all_digits = text.bytes().all(|b| b.is_ascii_hexdigit());
        if text.len() != 32 || !all_digits {
            return Err(BadRunMark);
        }
        let n = u128::from_str_radix(text, 16).map_err(|_| BadRunMark)?;
        Ok(RunMark(n.to_be_bytes()))
    }
}

/// A plugin's process, as it was recorded when it was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leader {
    pub pid: u32,
    /// Clock ticks since boot (`starttime` of proc_pid_stat(5)): with the number, the identity of a process.
    pub start: u64,
}

impl Leader {
    /// Of a process that runs now; `None` if there is none.
    pub fn of(pid: u32) -> Option<Leader> {
        let stat = Reader::new().stat(pid.cast_signed())?;
        Some(Leader { pid, start: stat.start })
    }
}

/// What a run leaves in its state directory. How it is stored is the caller's business; one that cannot be read must
/// not be guessed at: nothing is killed on its word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub run: RunMark,
    /// `/proc/sys/kernel/random/boot_id`: processes do not outlive a boot.
    pub boot_id: String,
    /// `/etc/machine-id`, empty where there is none: a state directory may be shared between machines.
    pub machine_id: String,
    pub leaders: Vec<Leader>,
    /// [`crate::Containment::fleet`].
    pub fleet: Option<PathBuf>,
}

impl Record {
    /// A record of a run that begins now, on this machine and boot.
    pub fn new(run: RunMark) -> Record {
        Record {
            run,
            boot_id: line("/proc/sys/kernel/random/boot_id"),
            machine_id: line("/etc/machine-id"),
            leaders: Vec::new(),
            fleet: None,
        }
    }

    /// Whether its processes can be alive here. A boot without a name is no evidence.
    pub(super) fn is_of_this_boot(&self) -> bool {
        let now = Record::new(self.run);
        !now.boot_id.is_empty() && self.boot_id == now.boot_id && self.machine_id == now.machine_id
    }
}

fn line(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_reads_back_as_it_was_shown() {
        let mark = RunMark::random().expect("random");
        assert_eq!(mark.to_string().parse(), Ok(mark));
        assert_eq!("0".repeat(31).parse::<RunMark>(), Err(BadRunMark));
        assert_eq!(format!("+{}", "0".repeat(31)).parse::<RunMark>(), Err(BadRunMark));
        assert_ne!(mark, RunMark::random().expect("random"));
    }

    #[test]
    fn a_record_of_another_boot_or_machine_or_of_none_is_not_of_this_boot() {
        let record = Record::new(RunMark::from_bytes([1; 16]));
        assert!(record.is_of_this_boot());
        assert!(!Record { boot_id: "other".into(), ..record.clone() }.is_of_this_boot());
        assert!(!Record { machine_id: "other".into(), ..record.clone() }.is_of_this_boot());
        assert!(!Record { boot_id: String::new(), ..record }.is_of_this_boot());
    }
}
