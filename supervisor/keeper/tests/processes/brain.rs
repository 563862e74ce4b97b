//! A brain that is killed: it starts what it is told, says so, and waits for its end.

use std::io::Write;

use outboard_keeper::{ContainmentChoice, RunMark, become_subreaper};

use crate::rig::{Rig, order};

/// Arguments: containment, `mark` or an empty text, then `kind:count` for each plugin. `leak` forks a child that holds
/// all descriptors and never executes; `again` has the keeper execute itself.
pub fn run(args: &[String]) -> ! {
    become_subreaper().expect("subreaper");
    let choice = match args[0].as_str() {
        "cgroup" => ContainmentChoice::Cgroup,
        _ => ContainmentChoice::Session,
    };
    let mut rig = Rig::new(choice);
    say(&format!("keeper {}", rig.keeper.pid()));
    say(&format!("run {}", rig.run));
    let fleet = rig.keeper.containment().fleet.clone();
    say(&format!("fleet {}", fleet.map(|path| path.display().to_string()).unwrap_or_default()));
    let mut keys = Vec::new();
    let mut pipes = Vec::new();
    for plugin in &args[1..] {
        if plugin == "leak" {
            // SAFETY: one thread. The child does nothing but wait for its end.
            if unsafe { libc::fork() } == 0 {
                // SAFETY: as above.
                unsafe {
                    libc::close(1);
                    libc::alarm(100);
                    loop {
                        libc::pause();
                    }
                }
            }
            continue;
        }
        if plugin == "again" {
            let exe = std::fs::File::open("/proc/self/exe").expect("own file");
            rig.send(outboard_keeper::Order::Reexec { image: exe.into() });
            continue;
        }
        let (kind, count) = plugin.split_once(':').expect("kind:count");
        let key = rig.key();
        let (order, out) = order(key, &[kind, count]);
        rig.send(outboard_keeper::Order::Spawn(Box::new(order)));
        keys.push(key);
        pipes.push(out);
    }
    for key in keys {
        let pid = rig.pid_of(key);
        say(&format!("plugin {pid}"));
    }
    for pipe in pipes {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(pipe), &mut line).ok();
    }
    say("up");
    rig.take(|_| None::<()>);
    unreachable!("the keeper has closed its socket: receive fails first")
}

fn say(line: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "{line}").ok();
    out.flush().ok();
}

/// A brain, seen from outside.
pub struct Brain {
    pub pid: u32,
    pub keeper: u32,
    pub run: RunMark,
    pub fleet: String,
    pub plugins: Vec<u32>,
    out: std::io::BufReader<std::process::ChildStdout>,
}

impl Brain {
    /// Starts it and waits until it has a keeper.
    pub fn start(choice: ContainmentChoice, plugins: &[&str]) -> Brain {
        use std::os::unix::process::CommandExt;
        let level = if choice == ContainmentChoice::Cgroup { "cgroup" } else { "session" };
        let mut command = std::process::Command::new("/proc/self/exe");
        command.arg("--brain").arg(level).args(plugins);
        command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
        // SAFETY: one async-signal-safe call.
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            })
        };
        let mut child = command.spawn().expect("a brain");
        let mut brain = Brain {
            pid: child.id(),
            keeper: 0,
            run: RunMark::from_bytes([0; 16]),
            fleet: String::new(),
            plugins: Vec::new(),
            out: std::io::BufReader::new(child.stdout.take().expect("piped")),
        };
        brain.keeper = brain.line("keeper").parse().expect("a number");
        brain.run = brain.line("run").parse().expect("a mark");
        brain.fleet = brain.line("fleet");
        brain
    }

    /// Waits until all its plugins are ready.
    pub fn wait_until_up(&mut self, plugins: usize) {
        for _ in 0..plugins {
            let pid = self.line("plugin").parse().expect("a number");
            self.plugins.push(pid);
        }
        self.line("up");
    }

    fn line(&mut self, name: &str) -> String {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut self.out, &mut line).expect("a line");
        let (first, rest) = line.trim_end().split_once(' ').unwrap_or((line.trim_end(), ""));
        assert_eq!(first, name);
        rest.to_owned()
    }
}
