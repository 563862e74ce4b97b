//! The folder that scripted plugins share with their test: gates, reports and the lifeline
//! (`plugins/chaos/README.md`).

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::clock::{Deadline, readable};

/// One shared folder. When it is dropped the lifeline closes, and every scripted process ends.
#[derive(Debug)]
pub struct Gates {
    folder: PathBuf,
    /// Held open, so that what is put into a gate stays there until somebody waits.
    open: RefCell<HashMap<String, File>>,
    _lifeline: File,
    reports: RefCell<Reports>,
}

#[derive(Debug)]
struct Reports {
    fifo: File,
    rest: Vec<u8>,
    /// Read, and asked for by nobody yet.
    unread: VecDeque<Report>,
}

/// What a script said with `at`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub name: String,
    pub pid: u32,
    pub generation: u64,
    pub text: String,
}

impl Gates {
    /// Makes the folder's fittings.
    pub fn new(folder: PathBuf) -> Self {
        std::fs::create_dir_all(&folder).unwrap();
        let lifeline = fifo(&folder.join("lifeline"));
        let reports = fifo(&folder.join("reports"));
        let reports = Reports { fifo: reports, rest: Vec::new(), unread: VecDeque::new() };
        Self { folder, open: RefCell::default(), _lifeline: lifeline, reports: reports.into() }
    }

    /// The folder: `CHAOS_DIR` of the scripts.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Lets one waiter through, now or when it comes.
    pub fn open(&self, name: &str) {
        self.open_for(name, 1);
    }

    /// Lets that many waiters through.
    pub fn open_for(&self, name: &str, waiters: usize) {
        let mut open = self.open.borrow_mut();
        let gate = open.entry(name.to_owned()).or_insert_with(|| fifo(&self.folder.join(name)));
        gate.write_all(&vec![b'x'; waiters]).unwrap();
    }

    /// The next report of that name.
    ///
    /// # Panics
    ///
    /// When none comes within [`hang_bound`](crate::clock::hang_bound).
    #[track_caller]
    pub fn report(&self, name: &str) -> Report {
        self.report_within(name, Deadline::hang()).unwrap_or_else(|| {
            panic!("no script said `at {name}`; it said {:?}", self.reports.borrow().unread)
        })
    }

    /// The next report of that name, if it comes before the deadline.
    pub fn report_within(&self, name: &str, deadline: Deadline) -> Option<Report> {
        let mut reports = self.reports.borrow_mut();
        loop {
            if let Some(at) = reports.unread.iter().position(|report| report.name == name) {
                return reports.unread.remove(at);
            }
            if !readable(&reports.fifo, deadline) {
                return None;
            }
            let mut buffer = [0; 4096];
            let read = reports.fifo.read(&mut buffer).unwrap();
            reports.rest.extend_from_slice(&buffer[..read]);
            while let Some(end) = reports.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = reports.rest.drain(..=end).collect();
                let report = parse(&String::from_utf8_lossy(&line));
                reports.unread.push_back(report);
            }
        }
    }
}

fn parse(line: &str) -> Report {
    let mut words = line.trim_end().splitn(4, ' ');
    let mut word = || words.next().unwrap_or_default();
    let (name, pid, generation) = (word().to_owned(), word().parse(), word().parse());
    Report { name, pid: pid.unwrap(), generation: generation.unwrap(), text: word().to_owned() }
}

/// Opens a FIFO for both directions, so that opening does not wait and bytes stay in it.
pub fn fifo(path: &Path) -> File {
    let text = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: `text` is a C string. That the FIFO exists already is fine.
    unsafe { libc::mkfifo(text.as_ptr(), 0o600) };
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}
