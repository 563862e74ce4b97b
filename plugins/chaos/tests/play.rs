//! Plays scripts and looks at them from outside, as a host would: pipes, gates, reports, exit status.

#![allow(clippy::unwrap_used, reason = "a test that meets a surprise should stop there")]

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

/// A script being played, with its folder. Dropping it closes the lifeline and kills the player.
struct Play {
    folder: tempfile::TempDir,
    lifeline: Option<File>,
    reports: BufReader<File>,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Play {
    fn new(script: &str) -> Self {
        Self::with(script, |_| {})
    }

    #[expect(clippy::disallowed_methods, reason = "the test is the host of this plugin")]
    fn with(script: &str, prepare: impl FnOnce(&mut Command)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lifeline = fifo(&folder, "lifeline");
        let reports = BufReader::new(fifo(&folder, "reports"));
        std::fs::write(folder.path().join("script"), script).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_outboard-chaos"));
        command
            .arg(folder.path().join("script"))
            .env("CHAOS_DIR", folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        prepare(&mut command);
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { folder, lifeline: Some(lifeline), reports, child, stdin, stdout }
    }

    fn send(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn ask(&mut self, line: &str) -> String {
        self.send(line);
        self.line()
    }

    /// Lets one waiter through; puts the passage there in advance if nobody waits yet.
    fn open_gate(&self, name: &str) -> File {
        let mut gate = fifo(&self.folder, name);
        gate.write_all(b"x").unwrap();
        gate
    }

    /// The next report: its words.
    fn report(&mut self) -> Vec<String> {
        let mut line = String::new();
        self.reports.read_line(&mut line).unwrap();
        line.split_whitespace().map(str::to_owned).collect()
    }

    fn close_stdin(&mut self) {
        self.stdin = None;
    }

    fn ended(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.stdout.read_to_end(&mut rest).unwrap();
        rest
    }

    fn stderr(&mut self) -> String {
        let mut text = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Play {
    fn drop(&mut self) {
        self.lifeline = None;
        // It may have ended and been waited for.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Opens a FIFO for both directions, so that opening does not wait and bytes stay in it.
fn fifo(folder: &tempfile::TempDir, name: &str) -> File {
    let path = folder.path().join(name);
    let text = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: `text` is a C string. That it exists already is fine.
    unsafe { libc::mkfifo(text.as_ptr(), 0o600) };
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

/// Whether process `pid` is there and not a zombie.
fn lives(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().starts_with(" Z"))
}

/// Waits for the end of a process that is not ours to wait for.
fn wait_gone(pid: &str) {
    let pid: libc::pid_t = pid.parse().unwrap();
    // SAFETY: plain system calls; the descriptor is owned here and closed below.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0) as i32;
        if fd >= 0 {
            let mut entry = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
            assert_eq!(libc::poll(&mut entry, 1, 20_000), 1, "{pid} did not end");
            libc::close(fd);
        }
    }
}

#[test]
fn it_serves_the_native_dialect_until_exit() {
    let mut play = Play::new("serve");
    let opening = play.ask(r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#);
    assert!(opening.starts_with(r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":1"#));
    play.send(r#"{"jsonrpc":"2.0","method":"initialized","params":{}}"#);
    // Payload and id come back byte for byte, whatever the order of members.
    let echo = r#"{"params":{"n":1e400,"s":"\ud800"},"method":"echo","id":"c1","jsonrpc":"2.0"}"#;
    let answer = r#"{"jsonrpc":"2.0","id":"c1","result":{"n":1e400,"s":"\ud800"}}"#;
    assert_eq!(play.ask(echo), answer);
    assert_eq!(
        play.ask(r#"{"jsonrpc":"2.0","id":3,"method":"no/such"}"#),
        r#"{"jsonrpc":"2.0","id":3,"error":{"code":-32601,"message":"method not found"}}"#
    );
    play.send(r#"{"jsonrpc":"2.0","method":"exit","params":{}}"#);
    assert_eq!(play.ended().code(), Some(0));
    assert_eq!(play.rest(), b"", "notifications are not answered");
}

#[test]
fn it_serves_mcp_with_its_methods_as_tools() {
    let mut play = Play::new("serve mcp");
    let opening = play.ask(r#"{"id":0,"method":"initialize","params":{}}"#);
    assert!(opening.contains(r#""protocolVersion":"2025-11-25""#), "{opening}");
    let params = r#"{"name":"echo","arguments":{"a":"b"}}"#;
    assert_eq!(
        play.ask(&format!(r#"{{"id":1,"method":"tools/call","params":{params}}}"#)),
        r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"{\"a\":\"b\"}"}]}}"#
    );
    let listed = play.ask(r#"{"id":2,"method":"tools/list"}"#);
    for tool in ["echo", "hold", "block", "mute", "crash", "quit", "hang", "fail", "self"] {
        assert!(listed.contains(&format!(r#""name":"{tool}""#)), "{tool}");
    }
    play.send(r#"{"id":3,"method":"tools/call","params":{"name":"quit","arguments":{"code":5}}}"#);
    assert_eq!(play.ended().code(), Some(5));
}

#[test]
fn a_held_call_is_answered_when_its_gate_opens_and_others_meanwhile() {
    let mut play = Play::new("serve");
    play.send(r#"{"id":1,"method":"hold","params":{"gate":"one"}}"#);
    play.send(r#"{"id":2,"method":"hold","params":{"gate":"two"}}"#);
    assert_eq!(play.ask(r#"{"id":3,"method":"ping"}"#), r#"{"jsonrpc":"2.0","id":3,"result":{}}"#);
    let _two = play.open_gate("two");
    assert_eq!(play.line(), r#"{"jsonrpc":"2.0","id":2,"result":{"held":"two"}}"#);
    let _one = play.open_gate("one");
    assert_eq!(play.line(), r#"{"jsonrpc":"2.0","id":1,"result":{"held":"one"}}"#);
}

#[test]
fn a_blocked_call_holds_everything_up() {
    let mut play = Play::new("serve");
    play.send(r#"{"id":1,"method":"block","params":{"gate":"g"}}"#);
    play.send(r#"{"id":2,"method":"ping"}"#);
    let _gate = play.open_gate("g");
    assert_eq!(play.line(), r#"{"jsonrpc":"2.0","id":1,"result":{"held":"g"}}"#);
    assert_eq!(play.line(), r#"{"jsonrpc":"2.0","id":2,"result":{}}"#);
}

#[test]
fn the_script_overrides_what_serve_knows() {
    let mut play =
        Play::new("on ping { reply-error -32603 not now }\non * { reply \"$method\" }\nserve");
    assert_eq!(
        play.ask(r#"{"id":1,"method":"ping"}"#),
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"not now"}}"#
    );
    assert_eq!(
        play.ask(r#"{"id":2,"method":"x/y"}"#),
        r#"{"jsonrpc":"2.0","id":2,"result":"x/y"}"#
    );
}

#[test]
fn texts_go_out_as_bytes_and_only_where_they_were_sent() {
    let mut play = Play::new(
        "err words\\x21\nsay-raw half\nsay  \\xff\\x00 $$ {\nsay-repeat 200K ab\nsay\nflood-out 3 r$n",
    );
    let mut expected = b"half\xff\x00 $ {\n".to_vec();
    expected.extend_from_slice("ab".repeat(200 * 1024).as_bytes());
    expected.extend_from_slice(b"\nr1\nr2\nr3\n");
    assert!(play.rest() == expected);
    assert_eq!(play.stderr(), "words!\n");
    assert_eq!(play.ended().code(), Some(0));
}

#[test]
fn it_reports_and_waits_at_gates() {
    let mut play =
        Play::with("read initialize\nat got $id and $p.x\ngate g\nat past\nexit 7", |c| {
            c.env("OUTBOARD_GENERATION", "4");
        });
    play.send(r#"{"method":"noise"}"#);
    play.send(r#"{"id":9,"method":"initialize","params":{"x":"y"}}"#);
    let pid = play.child.id().to_string();
    assert_eq!(play.report(), ["got", &pid, "4", "9", "and", "y"]);
    let _gate = play.open_gate("g");
    assert_eq!(play.report(), ["past", &pid, "4"]);
    assert_eq!(play.ended().code(), Some(7));
}

#[test]
fn a_gate_that_is_a_file_is_open() {
    let mut play = Play::new("read\ngate g\nexit 3");
    std::fs::write(play.folder.path().join("g"), "").unwrap();
    play.send("{}");
    assert_eq!(play.ended().code(), Some(3));
}

#[test]
fn end_of_file_ends_it_unless_ignored() {
    let mut play = Play::new("serve");
    play.close_stdin();
    assert_eq!(play.ended().code(), Some(0));

    let mut play = Play::new("ignore EOF\ndefer g { exit 5 }\nat ready\nserve");
    play.close_stdin();
    play.report();
    let _gate = play.open_gate("g");
    assert_eq!(play.ended().code(), Some(5));
}

#[test]
fn it_dies_of_the_signal_it_raises_and_survives_those_it_ignores() {
    for (name, number) in [("SEGV", 11), ("SIGABRT", 6), ("KILL", 9), ("15", 15)] {
        let mut play = Play::new(&format!("ignore TERM\nraise {name}\nexit 1"));
        assert_eq!(play.ended().signal(), Some(number), "{name}");
    }
    let mut play = Play::new("ignore TERM\nat ready\nread");
    play.report();
    // SAFETY: our own child, not yet waited for.
    unsafe { libc::kill(play.child.id() as i32, libc::SIGTERM) };
    play.send("{}");
    assert_eq!(play.ended().code(), Some(0));
}

#[test]
fn a_reader_that_left_kills_it_unless_pipe_is_ignored() {
    // Again and again: a process that another test has forked holds the reader, too, until its exec.
    let dies = "read\nloop {\n say x\n}";
    for (script, signal) in [(dies, Some(13)), ("ignore PIPE\nread\nsay x", None)] {
        let mut play = Play::with(script, |c| {
            // Rust's own start-up made PIPE ignored, and that would be handed on.
            // SAFETY: `signal` is async-signal-safe.
            unsafe {
                std::os::unix::process::CommandExt::pre_exec(c, || {
                    libc::signal(libc::SIGPIPE, libc::SIG_DFL);
                    Ok(())
                });
            }
        });
        let (reader, _writer) = std::io::pipe().unwrap();
        play.stdout =
            BufReader::new(ChildStdout::from(reader.as_fd().try_clone_to_owned().unwrap()));
        play.send("{}");
        assert_eq!(play.ended().signal(), signal, "{script}");
    }
}

#[test]
fn children_and_daemons_outlive_it_until_the_lifeline_closes() {
    let mut play = Play::new(
        "fork {\n ignore TERM\n at child\n pause\n}\ndaemon {\n scrub\n close 0\n at daemon\n gate never\n}\n\
         fork {\n at spinner\n spin\n}\nread\nexit 0",
    );
    let mut pids = Vec::new();
    for _ in 0..3 {
        pids.push(play.report().remove(1));
    }
    play.send("{}");
    assert_eq!(play.ended().code(), Some(0));
    for pid in &pids {
        assert!(lives(pid), "{pid} should outlive its parent");
    }
    play.lifeline = None;
    pids.iter().for_each(|pid| wait_gone(pid));
}

#[test]
fn a_daemon_is_in_another_session_and_its_mark_is_gone() {
    let script = "daemon {\n scrub\n at daemon\n gate end\n}\ngate end";
    let mut play = Play::with(script, |c| {
        c.env("OUTBOARD_RUN", "mark-to-lose");
    });
    let pid = play.report().remove(1);
    let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
    assert!(environ.len() > 10 && environ.iter().all(|&byte| byte == 0));
    let own = std::fs::read_to_string(format!("/proc/{}/environ", play.child.id())).unwrap();
    assert!(own.contains("OUTBOARD_RUN=mark-to-lose"), "the leader keeps its own");
    // SAFETY: a question about a process.
    let session = unsafe { libc::getsid(pid.parse().unwrap()) };
    assert_ne!(session, play.child.id() as i32);
    // SAFETY: as above.
    assert_ne!(session, unsafe { libc::getsid(0) });
}

#[test]
fn a_bomb_keeps_its_number_and_changes_its_pids() {
    let mut play = Play::new("bomb 4\nat ready\npause");
    play.report();
    play.lifeline = None;
    assert_eq!(play.ended().code(), Some(99));
    // Each chain held stdout: its end means that they are all gone.
    assert_eq!(play.rest(), b"");
}

#[test]
fn it_shows_what_it_was_given() {
    let mut play = Play::with("serve", |c| {
        c.arg("more").env("MARK", "a\"b").current_dir("/");
    });
    let shown = play.ask(r#"{"id":1,"method":"self"}"#);
    let pid = play.child.id();
    for part in [
        format!(r#""pid":{pid},"ppid":{}"#, std::process::id()),
        r#""cwd":"/""#.to_owned(),
        r#""fds":[0,1,2"#.to_owned(),
        r#""MARK":"a\"b""#.to_owned(),
        r#","more"]"#.to_owned(),
        r#""sigblk":"0000000000000000""#.to_owned(),
    ] {
        assert!(shown.contains(&part), "{part} in {shown}");
    }
    // What the test's own surroundings handed on may follow; the fixture's two stand from 500 on.
    assert!(!shown.contains(",500") && !shown.contains(",501"), "{shown}");
}

#[test]
fn generations_and_firsts_choose() {
    let script = "first once { exit 41 }\ngeneration 2-3 { exit 42 }\nexit 0";
    let folder = tempfile::tempdir().unwrap();
    let status = |generation: &str| {
        let mut play = Play::with(script, |c| {
            c.env("CHAOS_DIR", folder.path()).env("OUTBOARD_GENERATION", generation);
        });
        play.ended().code().unwrap()
    };
    assert_eq!(
        [status("1"), status("1"), status("2"), status("3"), status("4")],
        [41, 0, 42, 42, 0]
    );
}

#[test]
fn loops_count_and_closed_descriptors_are_no_error() {
    let mut play =
        Play::new("loop 2 {\n loop 2 { say-raw $n }\n say -$n\n}\nclose 1\nsay lost\nexit 8");
    assert_eq!(play.rest(), b"12-1\n12-2\n");
    assert_eq!(play.ended().code(), Some(8));
}

#[test]
fn mistakes_in_a_script_have_their_own_exit_status() {
    let mut play = Play::new("say fine\nshout");
    assert_eq!(play.ended().code(), Some(96));
    assert_eq!(play.rest(), b"", "nothing is played of a wrong script");
    assert_eq!(play.stderr(), "chaos: line 2: unknown step `shout`\n");

    let mut play = Play::new("\nraise NOSUCH");
    assert_eq!(play.ended().code(), Some(97));
    assert_eq!(play.stderr(), "chaos: line 2: `NOSUCH` is no signal\n");
}
