//! The plain thread that writes files: logs, journal and state, behind a bounded queue.
//!
//! Nothing that decides or calls ever waits for the disk. What does not fit the queue is refused to the one who
//! offered it, who counts it; what the disk refuses is counted here and said once, when it works again.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::oneshot;

use super::view::{EventRecord, LogLine};
use super::{journal, logbook};

/// Bytes that may wait for the disk at any moment. A thousand plugins that start together have some three of it.
const QUEUE: usize = 8 << 20;

/// What a job costs beside its bytes.
const OVERHEAD: usize = 128;

/// How long the thread lets jobs gather before it writes them. Waking it for each line would cost the one who offers
/// more than the line itself, and the thread would run just when a plugin that starts needs the processor. What is not
/// written yet is lost when the supervisor is killed.
const GATHER: Duration = Duration::from_millis(2);

/// Bytes for one file that are not held back until the batch is over.
const WRITE_AT: usize = 64 * 1024;

/// Bytes of room kept for a file between batches.
const KEPT: usize = 4 * 1024;

/// Log files held open at once; more plugins than this take turns.
const OPEN_FILES: usize = 64;

/// One thing to write.
pub(crate) enum Job {
    /// Appends `line` and LF to `file`, which is rotated by `limits`.
    Append { file: Arc<Path>, line: Line, limits: Rotation },
    /// Replaces a small file as a whole: written beside it, then renamed, so that old or new is there.
    Replace { file: PathBuf, bytes: Vec<u8> },
    /// Writes a file beside others, and removes those whose names come first until `keep` are left.
    Keep { folder: PathBuf, name: String, bytes: Vec<u8>, keep: usize },
    /// Everything before this has been written (or given up).
    Flush(oneshot::Sender<()>),
}

/// What becomes one line of a file. Making a text of it is this thread's work: whoever offers it has a plugin to start.
pub(crate) enum Line {
    Event(Arc<EventRecord>),
    Log(Arc<LogLine>),
    #[cfg(test)]
    Text(String),
}

impl Line {
    /// Bytes, roughly: escapes may make it longer.
    fn cost(&self) -> usize {
        match self {
            Self::Event(record) => {
                record.fields.iter().map(|(name, v)| name.len() + weigh(v)).sum()
            }
            Self::Log(line) => line.text.len(),
            #[cfg(test)]
            Self::Text(text) => text.len(),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Event(record) => journal::to_json(record),
            Self::Log(line) => logbook::encode(line),
            #[cfg(test)]
            Self::Text(text) => text.clone(),
        }
    }
}

fn weigh(value: &Value) -> usize {
    /// What a value takes beside its text.
    const EACH: usize = 32;
    EACH + match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(weigh).sum(),
        Value::Object(members) => members.iter().map(|(name, v)| name.len() + weigh(v)).sum(),
    }
}

impl Job {
    fn cost(&self) -> usize {
        OVERHEAD
            + match self {
                Self::Append { line, .. } => line.cost(),
                Self::Replace { bytes, .. } | Self::Keep { bytes, .. } => bytes.len(),
                Self::Flush(_) => 0,
            }
    }
}

/// When a file is rotated, and how many old ones stay: `NAME.1` is the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rotation {
    pub size: u64,
    pub keep: u32,
}

/// The way to the writing thread.
#[derive(Debug)]
pub(crate) struct Sink {
    queue: Option<Sender<Job>>,
    /// Bytes offered and not yet taken by the thread.
    waiting: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Sink {
    /// Starts the thread. `trouble` is called from it with a sentence when writing begins to fail, and again when it
    /// works once more.
    ///
    /// # Errors
    /// No thread can be had.
    pub(crate) fn start(trouble: impl Fn(String) + Send + 'static) -> io::Result<Self> {
        let (queue, jobs) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let taken = waiting.clone();
        let writer = Writer {
            files: HashMap::new(),
            folders: HashSet::new(),
            failing: HashSet::new(),
            lost: 0,
            trouble,
        };
        let thread = std::thread::Builder::new()
            .name("ob-files".into())
            .spawn(move || writer.run(&jobs, &taken))?;
        Ok(Self { queue: Some(queue), waiting, thread: Some(thread) })
    }

    /// Offers a job; false when the queue is full, and the job is dropped: the caller counts it.
    #[must_use]
    pub(crate) fn offer(&self, job: Job) -> bool {
        let Some(queue) = &self.queue else { return false };
        let cost = job.cost();
        // Several may offer at once and go past the bound by one job each.
        if self.waiting.load(Ordering::Relaxed) + cost > QUEUE {
            return false;
        }
        self.waiting.fetch_add(cost, Ordering::Relaxed);
        queue.send(job).is_ok()
    }

    /// Waits until all that was offered before is written. Dropping the future is harmless.
    pub(crate) async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        if self.offer(Job::Flush(done)) {
            // An error only says that the thread is gone: then nothing is left to wait for.
            wait.await.unwrap_or_default();
        }
    }
}

impl Drop for Sink {
    /// Lets the thread write what is queued, then ends it.
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed already, and there is nobody left to tell.
            thread.join().unwrap_or_default();
        }
    }
}

struct Writer<F> {
    files: HashMap<Arc<Path>, Open>,
    /// Folders that a file was opened in: one that goes away is made again.
    folders: HashSet<PathBuf>,
    /// Files that could not be written when that was last tried: one may fail while others, elsewhere, do not.
    failing: HashSet<PathBuf>,
    /// Lines lost since writing began to fail.
    lost: u64,
    trouble: F,
}

struct Open {
    file: File,
    /// Bytes, those that wait included.
    size: u64,
    /// Whole lines that are not written yet, and their number.
    waiting: Vec<u8>,
    lines: u64,
}

impl<F: Fn(String)> Writer<F> {
    fn run(mut self, jobs: &Receiver<Job>, waiting: &AtomicUsize) {
        let take = |job: Job| {
            waiting.fetch_sub(job.cost(), Ordering::Relaxed);
            job
        };
        while let Ok(first) = jobs.recv() {
            gather();
            self.job(take(first));
            while let Ok(job) = jobs.try_recv() {
                self.job(take(job));
            }
            self.write_all();
        }
    }

    fn job(&mut self, job: Job) {
        match job {
            Job::Append { file, line, limits } => {
                if let Err(error) = self.append(&file, &line.text(), limits) {
                    self.account(&file, 1, Err(error));
                }
            }
            Job::Replace { file, bytes } => {
                let result = replace(&file, &bytes);
                self.account(&file, 1, result);
            }
            Job::Keep { folder, name, bytes, keep } => {
                let result = keep_file(&folder, &name, &bytes, keep);
                self.account(&folder, 1, result);
            }
            Job::Flush(done) => {
                self.write_all();
                done.send(()).unwrap_or_default();
            }
        }
    }

    /// Puts a line behind those that wait for the same file. They are written together.
    fn append(&mut self, path: &Arc<Path>, line: &str, limits: Rotation) -> io::Result<()> {
        if self.files.len() >= OPEN_FILES && !self.files.contains_key(path) {
            self.write_all();
            self.files.clear();
        }
        let bytes = line.len() as u64 + 1;
        if let Some(open) = self.files.get(path)
            && open.size > 0
            && open.size + bytes > limits.size
        {
            self.write(path);
            self.files.remove(path);
            rotate(path, limits.keep)?;
        }
        let open = match self.files.entry(path.clone()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(open_in(&mut self.folders, path)?),
        };
        open.size += bytes;
        open.waiting.extend_from_slice(line.as_bytes());
        open.waiting.push(b'\n');
        open.lines += 1;
        if open.waiting.len() >= WRITE_AT {
            self.write(path);
        }
        Ok(())
    }

    fn write_all(&mut self) {
        let waiting = self.files.iter().filter(|(_, open)| open.lines > 0);
        let waiting: Vec<_> = waiting.map(|(path, _)| path.clone()).collect();
        waiting.iter().for_each(|path| self.write(path));
    }

    fn write(&mut self, path: &Arc<Path>) {
        let Some(open) = self.files.get_mut(path).filter(|open| open.lines > 0) else { return };
        let lines = std::mem::take(&mut open.lines);
        let written = match open.is_at(path) {
            true => Ok(()),
            // Somebody took it away, or its folder: what is written there now nobody would find.
            false => open_in(&mut self.folders, path).map(|again| {
                open.file = again.file;
                open.size = again.size + open.waiting.len() as u64;
            }),
        };
        let written = written.and_then(|()| open.file.write_all(&open.waiting));
        open.waiting.clear();
        open.waiting.shrink_to(KEPT);
        if written.is_err() {
            // Half a line may be there: the file is opened anew, and readers skip what they cannot parse.
            self.files.remove(path);
        }
        self.account(path, lines, written);
    }

    fn account(&mut self, path: &Path, lines: u64, result: io::Result<()>) {
        match result {
            Ok(()) if self.failing.contains(path) => {
                let lost = std::mem::take(&mut self.lost);
                self.failing.clear();
                (self.trouble)(format!("files are written again; {lost} lines were lost"));
            }
            Ok(()) => {}
            Err(error) => {
                self.lost += lines;
                let is_news = self.failing.is_empty();
                if !self.failing.contains(path) {
                    self.failing.insert(path.to_owned());
                }
                if is_news {
                    (self.trouble)(format!("cannot write {}: {error}", path.display()));
                }
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a thread that only writes files may sleep")]
fn gather() {
    std::thread::sleep(GATHER);
}

/// Opens a file to append to. A folder in which that worked before and that is gone is made again.
fn open_in(folders: &mut HashSet<PathBuf>, path: &Path) -> io::Result<Open> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let open = match open_append(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && folders.contains(folder) => {
            fs::DirBuilder::new().mode(0o700).create(folder)?;
            open_append(path)?
        }
        opened => opened?,
    };
    if !folders.contains(folder) {
        folders.insert(folder.to_owned());
    }
    Ok(open)
}

impl Open {
    /// Whether this file is what lies there.
    fn is_at(&self, path: &Path) -> bool {
        match (self.file.metadata(), fs::symlink_metadata(path)) {
            (Ok(own), Ok(there)) => (own.dev(), own.ino()) == (there.dev(), there.ino()),
            (Ok(_), Err(_)) | (Err(_), _) => false,
        }
    }
}

fn open_append(path: &Path) -> io::Result<Open> {
    // O_NOFOLLOW: a link planted in place of a log must not lead elsewhere.
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(libc_nofollow())
        .open(path)?;
    let size = file.metadata()?.len();
    Ok(Open { file, size, waiting: Vec::new(), lines: 0 })
}

fn libc_nofollow() -> i32 {
    nix::fcntl::OFlag::O_NOFOLLOW.bits()
}

fn rotate(path: &Path, keep: u32) -> io::Result<()> {
    if keep == 0 {
        return fs::remove_file(path);
    }
    let old = |n: u32| rotated(path, n);
    for n in (1..keep).rev() {
        match fs::rename(old(n), old(n + 1)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    fs::rename(path, old(1))
}

/// The name of the `n`th old file.
#[must_use]
pub(super) fn rotated(path: &Path, n: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{n}"));
    name.into()
}

/// Writes a small file as a whole: old or new is there, never a part.
///
/// # Errors
/// Those of the file system.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(libc_nofollow())
        .open(&temporary)?;
    file.write_all(bytes)?;
    fs::rename(&temporary, path)
}

/// One more file in a folder that holds so many.
fn keep_file(folder: &Path, name: &str, bytes: &[u8], keep: usize) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    replace(&folder.join(name), bytes)?;
    let mut names: Vec<_> =
        fs::read_dir(folder)?.filter_map(Result::ok).map(|entry| entry.file_name()).collect();
    names.sort_unstable();
    for old in names.iter().take(names.len().saturating_sub(keep)) {
        fs::remove_file(folder.join(old))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_rotate_by_size_and_the_oldest_falls_off() {
        let dir = tempfile::tempdir().unwrap();
        let file: Arc<Path> = dir.path().join("log").into();
        let sink = Sink::start(|_| ()).unwrap();
        let limits = Rotation { size: 20, keep: 2 };
        for n in 0..10 {
            assert!(sink.offer(Job::Append {
                file: file.clone(),
                line: Line::Text(format!("line {n:04}")),
                limits
            }));
        }
        drop(sink);
        let read = |p: &Path| fs::read_to_string(p).unwrap();
        assert_eq!(read(&file), "line 0008\nline 0009\n");
        assert_eq!(read(&rotated(&file, 1)), "line 0006\nline 0007\n");
        assert_eq!(read(&rotated(&file, 2)), "line 0004\nline 0005\n");
        assert!(!rotated(&file, 3).exists());
    }

    #[test]
    fn a_burst_is_written_whole_and_what_goes_past_the_bound_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let sink = Sink::start(|_| ()).unwrap();
        let limits = Rotation { size: u64::MAX, keep: 1 };
        let append = |file: &Arc<Path>, line: String| {
            sink.offer(Job::Append { file: file.clone(), line: Line::Text(line), limits })
        };
        let log: Arc<Path> = dir.path().join("log").into();
        for n in 0..20_000 {
            assert!(append(&log, format!("line {n}")), "line {n} of a burst");
        }
        // A FIFO that nobody reads holds the thread up for as long as the test wants.
        let fifo: Arc<Path> = dir.path().join("fifo").into();
        nix::unistd::mkfifo(&*fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(append(&fifo, "waits".to_owned()));
        let accepted = (0..).take_while(|_| append(&log, "x".repeat(1000))).count();
        assert!(accepted * 1000 <= QUEUE, "{accepted}");
        let reader = File::open(&*fifo).unwrap();
        drop(sink);
        drop(reader);
        let lines = fs::read_to_string(&*log).unwrap();
        assert_eq!(lines.lines().count(), 20_000 + accepted);
    }

    #[test]
    fn what_the_disk_refuses_is_counted_and_said_once_and_it_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let file: Arc<Path> = dir.path().join("sub/log").into();
        let (said, heard) = channel();
        let sink = Sink::start(move |s| said.send(s).unwrap_or_default()).unwrap();
        let append = |text: &str| {
            assert!(sink.offer(Job::Append {
                file: file.clone(),
                line: Line::Text(text.to_owned()),
                limits: Rotation { size: 1000, keep: 1 }
            }));
        };
        append("lost 1");
        append("lost 2");
        assert!(heard.recv().unwrap().starts_with("cannot write "));
        let (done, mut wait) = oneshot::channel();
        assert!(sink.offer(Job::Flush(done)));
        while wait.try_recv() == Err(oneshot::error::TryRecvError::Empty) {
            std::thread::yield_now();
        }
        fs::create_dir(dir.path().join("sub")).unwrap();
        append("kept");
        assert_eq!(heard.recv().unwrap(), "files are written again; 2 lines were lost");
        drop(sink);
        assert_eq!(fs::read_to_string(&*file).unwrap(), "kept\n");
    }

    #[test]
    fn a_folder_that_is_taken_away_is_made_again_and_nothing_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("logs");
        fs::create_dir(&folder).unwrap();
        let file: Arc<Path> = folder.join("log").into();
        let (said, heard) = channel();
        let sink = Sink::start(move |s| said.send(s).unwrap_or_default()).unwrap();
        let append = |text: &str| {
            let line = Line::Text(text.to_owned());
            let limits = Rotation { size: 1000, keep: 1 };
            assert!(sink.offer(Job::Append { file: file.clone(), line, limits }));
            let (done, mut wait) = oneshot::channel();
            assert!(sink.offer(Job::Flush(done)));
            while wait.try_recv() == Err(oneshot::error::TryRecvError::Empty) {
                std::thread::yield_now();
            }
        };
        append("one");
        fs::rename(&folder, dir.path().join("elsewhere")).unwrap();
        append("two");
        fs::remove_dir_all(&folder).unwrap();
        append("three");
        fs::remove_file(&file).unwrap();
        append("four");
        drop(sink);
        assert_eq!(fs::read_to_string(dir.path().join("elsewhere/log")).unwrap(), "one\n");
        assert_eq!(fs::read_to_string(&file).unwrap(), "four\n");
        assert_eq!(heard.iter().collect::<Vec<_>>(), Vec::<String>::new());
    }

    #[test]
    fn a_file_that_fails_is_said_once_while_others_are_written() {
        let dir = tempfile::tempdir().unwrap();
        let (said, heard) = channel();
        let sink = Sink::start(move |s| said.send(s).unwrap_or_default()).unwrap();
        for _ in 0..5 {
            for name in ["gone/log", "log"] {
                let file = dir.path().join(name).into();
                let limits = Rotation { size: 1000, keep: 1 };
                let line = Line::Text("line".to_owned());
                assert!(sink.offer(Job::Append { file, line, limits }));
            }
        }
        drop(sink);
        let said: Vec<String> = heard.iter().collect();
        assert_eq!(said.len(), 1, "{said:?}");
    }
}
