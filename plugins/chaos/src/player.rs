//! Carries steps out, one after another.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::input::{Frame, Input};
use crate::json;
use crate::mirror;
use crate::script::{Act, Block, Step, Way};
use crate::sys::{self, Action, Fork, SignalSets};
use crate::text::{Text, Variable};
use crate::{EXIT_LIFELINE, EXIT_STEP};

/// A block that waits for its gate while frames are served.
pub(crate) struct Deferred<'s> {
    pub(crate) gate: OwnedFd,
    pub(crate) block: &'s [Step],
    pub(crate) frame: Frame,
}

/// One process that plays a script.
pub(crate) struct Player<'s> {
    /// `CHAOS_DIR`.
    folder: Option<PathBuf>,
    env: BTreeMap<OsString, OsString>,
    /// As it was handed over: what `reply-self` shows.
    signals: SignalSets,
    lifeline: Option<OwnedFd>,
    reports: Option<OwnedFd>,
    pub(crate) input: Input,
    pub(crate) ignore_eof: bool,
    /// In hand.
    pub(crate) frame: Frame,
    round: u64,
    pub(crate) handlers: Vec<(&'s str, &'s [Step])>,
    pub(crate) deferred: Vec<Deferred<'s>>,
    /// Requests of its own, by number, with what was in hand when they were made.
    pub(crate) asked: Vec<(u64, Frame)>,
    asks: u64,
}

impl<'s> Player<'s> {
    pub(crate) fn new(signals: SignalSets) -> Self {
        let env: BTreeMap<_, _> = std::env::vars_os().collect();
        let folder = env.get(OsStr::new("CHAOS_DIR")).map(PathBuf::from);
        let open = |name: &str, flags| {
            let path = folder.as_ref()?.join(name);
            sys::open(path.as_os_str(), flags).ok()
        };
        let lifeline = open("lifeline", libc::O_RDONLY);
        // For reading too, so that opening never waits and a report outlives its writer's patience.
        let reports = open("reports", libc::O_RDWR | libc::O_APPEND);
        if let Some(reports) = &reports {
            sys::set_blocking(reports);
        }
        Self {
            folder,
            env,
            signals,
            lifeline,
            reports,
            input: Input::default(),
            ignore_eof: false,
            frame: Frame::default(),
            round: 0,
            handlers: Vec::new(),
            deferred: Vec::new(),
            asked: Vec::new(),
            asks: 0,
        }
    }

    pub(crate) fn run_to_the_end(mut self, steps: &'s [Step]) -> ! {
        self.run(steps);
        sys::exit(0)
    }

    pub(crate) fn run(&mut self, steps: &'s [Step]) {
        for step in steps {
            if let Err(problem) = self.step(&step.act) {
                sys::complain(&format!("line {}: {problem}", step.line));
                sys::exit(EXIT_STEP);
            }
        }
    }

    fn step(&mut self, act: &'s Act) -> Result<(), String> {
        match act {
            Act::Say { fd, text, newline } => {
                let mut bytes = self.fill(text);
                if *newline {
                    bytes.push(b'\n');
                }
                sys::write_all(*fd, &bytes);
            }
            Act::SayRepeat { times, text } => self.say_repeat(self.number(times)?, text),
            Act::Flood { fd, lines, text } => {
                let lines = lines.as_ref().map_or(Ok(u64::MAX), |lines| self.number(lines))?;
                self.flood(*fd, lines, text);
            }
            Act::Reply(text) => {
                let result = self.fill(text);
                self.answer("result", &result);
            }
            Act::ReplyError { code, message } => {
                let (code, message) = (self.word(code), self.fill(message));
                let error = format!("{{\"code\":{code},\"message\":{}}}", json::quoted(&message));
                self.answer("error", error.as_bytes());
            }
            Act::ReplySelf => {
                let report = mirror::report(&self.env, &self.signals);
                self.answer("result", report.as_bytes());
            }
            Act::Pry(pid) => {
                let found = sys::pry(self.pid(pid)?);
                let found = found.map(|(what, how)| format!("\"{what}\":\"{how}\""));
                self.answer("result", format!("{{{}}}", found.join(",")).as_bytes());
            }
            Act::Forge { way, pid, text } => {
                let pid = self.pid(pid)?;
                let stdout = match way {
                    Way::Open => {
                        sys::open(OsStr::new(&format!("/proc/{pid}/fd/1")), libc::O_WRONLY)
                    }
                    Way::Copy => sys::copy_of(pid, 1),
                };
                let stdout = stdout.map_err(|error| format!("stdout of {pid}: {error}"))?;
                let mut bytes = self.fill(text);
                bytes.push(b'\n');
                sys::write_all(stdout.as_raw_fd(), &bytes);
            }
            Act::Ask { method, params } => {
                let (method, params) = (self.word(method), self.fill(params));
                self.asked.push((self.asks, self.frame.clone()));
                let mut line = format!(
                    "{{\"jsonrpc\":\"2.0\",\"id\":\"ask-{}\",\"method\":\"{method}\",\"params\":",
                    self.asks
                )
                .into_bytes();
                line.extend_from_slice(&params);
                line.push(b'}');
                self.asks += 1;
                self.write_frame(line);
            }
            Act::Read { method } => {
                self.read_line();
                while method.as_ref().is_some_and(|m| m.as_bytes() != self.frame.method) {
                    self.read_line();
                }
            }
            Act::Serve { dialect, until } => self.serve(*dialect, until.as_deref()),
            Act::On { method, block } => self.handlers.push((method, block)),
            Act::Defer { gate, block } => {
                // A gate that is a regular file reads as ready, so it needs no case of its own.
                let gate = self.open_gate(gate)?;
                self.deferred.push(Deferred { gate, block, frame: self.frame.clone() });
            }
            Act::Gate(name) => {
                let gate = self.open_gate(name)?;
                self.wait(&[gate.as_raw_fd()], -1);
                sys::read(gate.as_raw_fd(), &mut [0]);
            }
            Act::At { name, text } => self.report(name, text.as_ref())?,
            Act::Pause => loop {
                self.wait(&[], -1);
            },
            Act::Spin => {
                for turn in 0_u64.. {
                    if std::hint::black_box(turn).is_multiple_of(1 << 22) {
                        self.wait(&[], 0);
                    }
                }
            }
            Act::Stop => sys::raise(libc::SIGSTOP),
            Act::Exit(status) => sys::exit(i32::try_from(self.number(status)?).unwrap_or(255)),
            Act::Raise(signal) => {
                let signal = self.signal(signal)?;
                sys::set_action(signal, Action::Default);
                sys::raise(signal);
            }
            Act::Ignore(signal) => sys::set_action(self.signal(signal)?, Action::Ignore),
            Act::IgnoreEof => self.ignore_eof = true,
            Act::Default(signal) => sys::set_action(self.signal(signal)?, Action::Default),
            Act::Close(fd) => {
                let fd = i32::try_from(self.number(fd)?).map_err(|_| "no such descriptor")?;
                sys::close(fd);
            }
            Act::Fork(block) => {
                if let Fork::Child = fork()? {
                    self.play_child(block);
                }
            }
            Act::Setsid => sys::setsid(),
            Act::Daemon(block) => self.daemon(block)?,
            Act::Scrub => sys::scrub_environment(),
            Act::Alloc(size) => {
                let size = usize::try_from(self.number(size)?).map_err(|_| "too much")?;
                std::hint::black_box(Vec::leak(vec![1_u8; size]));
            }
            Act::Bomb(chains) => self.bomb(self.number(chains)?)?,
            Act::Loop { times, block } => {
                let times = times.as_ref().map_or(Ok(u64::MAX), |times| self.number(times))?;
                let outer = self.round;
                for round in 1..=times {
                    self.round = round;
                    self.run(block);
                }
                self.round = outer;
            }
            Act::First { name, block } => {
                let mark = self.in_folder(&format!("first.{}", self.word(name)))?;
                let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL;
                match sys::open(mark.as_os_str(), flags) {
                    Ok(_) => self.run(block),
                    Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                    Err(error) => return Err(format!("{}: {error}", mark.display())),
                }
            }
            Act::Generation { from, to, block } => {
                let generation = self.value(&Variable::Generation);
                let generation = String::from_utf8_lossy(&generation).parse::<u64>();
                let generation = generation.map_err(|_| "OUTBOARD_GENERATION is no number")?;
                if (*from..=*to).contains(&generation) {
                    self.run(block);
                }
            }
        }
        Ok(())
    }

    /// Writes an answer to the frame in hand, if that is a request.
    pub(crate) fn answer(&self, member: &str, value: &[u8]) {
        let Some(id) = &self.frame.id else { return };
        let mut frame = b"{\"jsonrpc\":\"2.0\",\"id\":".to_vec();
        frame.extend_from_slice(id);
        frame.extend_from_slice(format!(",\"{member}\":").as_bytes());
        frame.extend_from_slice(value);
        frame.push(b'}');
        self.write_frame(frame);
    }

    /// As the peer expects frames, which is how it sends them.
    fn write_frame(&self, mut frame: Vec<u8>) {
        if self.input.headers {
            let header = format!("Content-Length: {}\r\n\r\n", frame.len());
            frame.splice(..0, header.into_bytes());
        } else {
            frame.push(b'\n');
        }
        sys::write_all(1, &frame);
    }

    fn say_repeat(&self, times: u64, text: &Text) {
        const CHUNK: usize = 64 * 1024;
        let once = self.fill(text);
        let in_chunk = (CHUNK / once.len().max(1)).max(1) as u64;
        let chunk = once.repeat(usize::try_from(in_chunk.min(times)).unwrap_or(1));
        for _ in 0..times / in_chunk {
            sys::write_all(1, &chunk);
        }
        for _ in 0..times % in_chunk {
            sys::write_all(1, &once);
        }
    }

    fn flood(&mut self, fd: i32, lines: u64, text: &Text) {
        const CHUNK: usize = 64 * 1024;
        let outer = self.round;
        let mut gathered = Vec::with_capacity(2 * CHUNK);
        for line in 1..=lines {
            self.round = line;
            gathered.extend_from_slice(&self.fill(text));
            gathered.push(b'\n');
            if gathered.len() >= CHUNK || line == lines {
                sys::write_all(fd, &gathered);
                gathered.clear();
                self.wait(&[], 0);
            }
        }
        self.round = outer;
    }

    fn report(&self, name: &Text, text: Option<&Text>) -> Result<(), String> {
        let reports = self.reports.as_ref().ok_or("`at` wants CHAOS_DIR with `reports` in it")?;
        let mut line = self.fill(name);
        line.push(b' ');
        line.extend_from_slice(&self.value(&Variable::Pid));
        line.push(b' ');
        line.extend_from_slice(&self.value(&Variable::Generation));
        if let Some(text) = text {
            line.push(b' ');
            line.extend_from_slice(&self.fill(text));
        }
        line.push(b'\n');
        sys::write_all(reports.as_raw_fd(), &line);
        Ok(())
    }

    fn daemon(&mut self, block: &'s Block) -> Result<(), String> {
        match fork()? {
            Fork::Parent { child } => sys::wait_for(child),
            Fork::Child => {
                sys::setsid();
                match fork()? {
                    Fork::Parent { .. } => sys::exit(0),
                    Fork::Child => self.play_child(block),
                }
            }
        }
        Ok(())
    }

    fn play_child(&mut self, block: &'s Block) -> ! {
        self.deferred.clear();
        self.run(block);
        sys::exit(0)
    }

    /// Starts `chains` lines of processes, in each of which only the youngest lives.
    fn bomb(&self, chains: u64) -> Result<(), String> {
        const SECONDS: i64 = 60;
        let end = sys::seconds() + SECONDS;
        for _ in 0..chains {
            if let Fork::Child = fork()? {
                while sys::seconds() < end {
                    self.wait(&[], 0);
                    // With no process to be had this one lives on and tries again.
                    if let Ok(Fork::Parent { .. }) = sys::fork() {
                        sys::exit(0);
                    }
                }
                sys::exit(0);
            }
        }
        Ok(())
    }

    /// Waits for one of `fds`; exits when the lifeline is gone.
    pub(crate) fn wait(&self, fds: &[i32], timeout: i32) -> Vec<bool> {
        loop {
            let lifeline = self.lifeline.as_ref().map(AsRawFd::as_raw_fd);
            let (ready, gone) = sys::poll(fds, lifeline, timeout);
            if gone {
                sys::exit(EXIT_LIFELINE);
            }
            if timeout >= 0 || ready.contains(&true) {
                return ready;
            }
        }
    }

    fn open_gate(&self, name: &Text) -> Result<OwnedFd, String> {
        let path = self.in_folder(&self.word(name))?;
        let opened = sys::make_fifo(path.as_os_str())
            .and_then(|()| sys::open(path.as_os_str(), libc::O_RDONLY));
        opened.map_err(|error| format!("{}: {error}", path.display()))
    }

    fn in_folder(&self, name: &str) -> Result<PathBuf, String> {
        if name.is_empty() || name.contains('/') {
            return Err(format!("`{name}` is no name"));
        }
        Ok(self.folder.as_ref().ok_or("this step wants CHAOS_DIR")?.join(name))
    }

    /// Takes the next line in hand. At end of file it does not come back.
    fn read_line(&mut self) {
        loop {
            if let Some(frame) = self.input.take() {
                self.frame = frame;
                return;
            }
            if !self.input.ended() {
                self.wait(&[0], -1);
                self.input.read();
            } else if self.ignore_eof {
                self.wait(&[], -1);
            } else {
                sys::exit(0);
            }
        }
    }

    fn fill(&self, text: &Text) -> Vec<u8> {
        text.fill(|variable| self.value(variable))
    }

    fn word(&self, text: &Text) -> String {
        String::from_utf8_lossy(&self.fill(text)).into_owned()
    }

    fn value(&self, variable: &Variable) -> Vec<u8> {
        let env = |name: &str| self.env.get(OsStr::new(name)).cloned().map(OsString::into_vec);
        match variable {
            Variable::Id => self.frame.id.clone().unwrap_or_else(|| b"null".to_vec()),
            Variable::Method => self.frame.method.clone(),
            Variable::Params if self.frame.params.is_empty() => b"{}".to_vec(),
            Variable::Params => self.frame.params.clone(),
            Variable::Param(name) => json::member(&self.frame.params, name)
                .map_or_else(Vec::new, |raw| json::unquoted(raw).to_vec()),
            Variable::Round => self.round.to_string().into_bytes(),
            Variable::Pid => std::process::id().to_string().into_bytes(),
            Variable::Generation => env("OUTBOARD_GENERATION").unwrap_or_else(|| b"1".to_vec()),
            Variable::Env(name) => env(name).unwrap_or_default(),
        }
    }

    fn pid(&self, text: &Text) -> Result<i32, String> {
        i32::try_from(self.number(text)?).map_err(|_| "no such process".to_owned())
    }

    fn number(&self, text: &Text) -> Result<u64, String> {
        let word = self.word(text);
        let (digits, unit) = match word.as_bytes().last() {
            Some(b'K') => (&word[..word.len() - 1], 1 << 10),
            Some(b'M') => (&word[..word.len() - 1], 1 << 20),
            Some(b'G') => (&word[..word.len() - 1], 1 << 30),
            _ => (&*word, 1),
        };
        let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
        number.ok_or_else(|| format!("`{word}` is no number"))
    }

    fn signal(&self, text: &Text) -> Result<i32, String> {
        let word = self.word(text);
        sys::signal_number(&word).ok_or_else(|| format!("`{word}` is no signal"))
    }
}

fn fork() -> Result<Fork, String> {
    sys::fork().map_err(|error| format!("fork: {error}"))
}
