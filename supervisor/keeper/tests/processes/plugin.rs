//! Misbehaving plugins. They write `ready` when everything that they start has come to where it wants to be.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::exit;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::prctl;
use nix::unistd::{ForkResult, fork, getpid, pipe, setsid};

pub fn run(args: &[String]) -> ! {
    let count = args.get(1).and_then(|n| n.parse().ok()).unwrap_or(1);
    match args[0].as_str() {
        "sleep" => {}
        "exit" => exit(count),
        "raise" => raise(count),
        "tree" => children(count, || {}),
        "stubborn" => {
            ignore_all();
            children(count, ignore_all);
        }
        "obedient" => children(count, ignore_all),
        "daemon" => daemons(count, || {}),
        "scrubbed" => daemons(count, scrub),
        "closed" => daemons(count, || prctl::set_dumpable(false).expect("dumpable")),
        "session" => children(count, || {
            setsid().expect("setsid");
            ignore_all();
            children(1, ignore_all);
        }),
        "leaver" => {
            daemons(count, || {});
            ready();
            exit(0);
        }
        "scrubbed-leaver" => {
            daemons(count, scrub);
            ready();
            exit(0);
        }
        "deserter" => {
            children(count, ignore_all);
            ready();
            exit(3);
        }
        "stopped" => {
            ready();
            raise(libc::SIGSTOP);
        }
        "orphans" => {
            daemons(count, || exit(0));
        }
        "bomb" => bomb(count),
        "hop" => children(count, || {
            // The child that hops says "here" first, by returning; what follows comes after that.
            HOP.store(1, Ordering::Relaxed);
        }),
        "say" => say(),
        "echo" => echo(),
        other => panic!("no plugin {other}"),
    }
    ready();
    idle()
}

static HOP: AtomicU32 = AtomicU32::new(0);

fn ready() {
    let mut out = std::io::stdout();
    out.write_all(b"ready\n").ok();
    out.flush().ok();
}

/// Until it is killed; not for ever, should a test lose it.
fn idle() -> ! {
    // SAFETY: a timer with the default action, and a wait for signals.
    unsafe {
        libc::signal(libc::SIGALRM, libc::SIG_DFL);
        libc::alarm(150);
        loop {
            libc::pause();
        }
    }
}

fn raise(signal: i32) {
    // SAFETY: to this process itself. The standard library has handlers of its own for some.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}

fn ignore_all() {
    for signal in 1..32 {
        if signal != libc::SIGCHLD && signal != libc::SIGALRM {
            // SAFETY: ignoring runs no code. KILL and STOP are refused, which is as it should be.
            unsafe { libc::signal(signal, libc::SIG_IGN) };
        }
    }
}

/// Writes zeros over its own environment: the mark is gone.
fn scrub() {
    // SAFETY: one thread, and nobody reads the environment afterwards.
    unsafe {
        unsafe extern "C" {
            static environ: *const *mut libc::c_char;
        }
        let mut at = environ;
        while !(*at).is_null() {
            libc::memset((*at).cast(), 0, libc::strlen(*at));
            at = at.add(1);
        }
    }
}

/// Forks children that prepare themselves and then idle; returns when all have.
fn children(count: i32, prepare: impl Fn()) {
    let (reader, writer) = pipe().expect("pipe");
    for _ in 0..count {
        // SAFETY: this program has one thread.
        if let ForkResult::Child = unsafe { fork() }.expect("fork") {
            prepare();
            here(writer);
            if HOP.load(Ordering::Relaxed) == 1 {
                hop();
            }
            idle();
        }
    }
    wait_for(reader, writer, count);
}

/// Double-forked, in sessions of their own, deaf to all signals.
fn daemons(count: i32, prepare: impl Fn()) {
    let (reader, writer) = pipe().expect("pipe");
    for _ in 0..count {
        // SAFETY: this program has one thread.
        if let ForkResult::Child = unsafe { fork() }.expect("fork") {
            setsid().expect("setsid");
            let parent = getpid();
            // SAFETY: as above.
            if let ForkResult::Parent { .. } = unsafe { fork() }.expect("fork") {
                exit(0);
            }
            setsid().expect("setsid");
            ignore_all();
            while nix::unistd::getppid() == parent {
                std::thread::yield_now();
            }
            // Its own end of the pipe says it, too, if it ends at once.
            prepare();
            here(writer);
            idle();
        }
    }
    wait_for(reader, writer, count);
    // SAFETY: reaps the middle ones.
    while unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) } > 0 {}
}

fn here(writer: OwnedFd) {
    nix::unistd::write(&writer, b"x").expect("a byte into an empty pipe");
    close_standard();
}

/// A leftover must not hold the plugin's pipes: tests read them to the end.
fn close_standard() {
    let null = fs::OpenOptions::new().read(true).write(true).open("/dev/null").expect("null");
    for fd in 0..2 {
        // SAFETY: replaces descriptors that nothing here uses any more.
        unsafe { libc::dup2(null.as_raw_fd(), fd) };
    }
}

/// Until all have said that they are here, or have ended.
fn wait_for(reader: OwnedFd, writer: OwnedFd, count: i32) {
    drop(writer);
    let mut file = fs::File::from(reader);
    for _ in 0..count {
        if file.read(&mut [0]).expect("read") == 0 {
            return;
        }
    }
}

/// Forks and ends, again and again, under ever new numbers and sessions.
fn hop() -> ! {
    loop {
        // SAFETY: this program has one thread.
        match unsafe { fork() } {
            Ok(ForkResult::Parent { .. }) => exit(0),
            Ok(ForkResult::Child) => {
                setsid().ok();
            }
            Err(_) => std::thread::yield_now(),
        }
    }
}

/// Keeps `count` processes alive that fork for as long as there are fewer; half of them leave the session, and all are
/// deaf.
fn bomb(count: i32) {
    // SAFETY: a fresh page, shared with all children.
    let page = unsafe {
        let page = libc::mmap(
            std::ptr::null_mut(),
            4096,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        assert_ne!(page, libc::MAP_FAILED);
        &*page.cast::<AtomicU32>()
    };
    page.store(1, Ordering::SeqCst);
    ignore_all();
    // SAFETY: children reap themselves.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    let leader = getpid();
    // SAFETY: the default action of the alarm is the end; each child sets its own.
    unsafe { libc::signal(libc::SIGALRM, libc::SIG_DFL) };
    let mut seed: u32 = 1;
    let mut said = false;
    loop {
        let alive = page.load(Ordering::SeqCst);
        if getpid() == leader && !said && alive >= count.cast_unsigned() * 3 / 4 {
            said = true;
            ready();
        }
        seed = seed.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        if alive < count.cast_unsigned() {
            page.fetch_add(1, Ordering::SeqCst);
            // SAFETY: this program has one thread.
            match unsafe { fork() } {
                Ok(ForkResult::Child) => {
                    // SAFETY: a timer.
                    unsafe { libc::alarm(100) };
                    seed ^= getpid().as_raw().cast_unsigned().wrapping_mul(2_654_435_761);
                    if seed >> 16 & 1 == 1 {
                        setsid().ok();
                    }
                }
                Ok(ForkResult::Parent { .. }) => {}
                Err(_) => {
                    page.fetch_sub(1, Ordering::SeqCst);
                }
            }
        } else if getpid() != leader && seed >> 18 & 7 == 0 {
            page.fetch_sub(1, Ordering::SeqCst);
            exit(0);
        } else {
            std::thread::yield_now();
        }
    }
}

/// What a plugin finds around itself.
fn say() {
    let status = fs::read_to_string("/proc/self/status").expect("status");
    for line in status.lines() {
        let wanted = ["Umask", "Uid", "Gid", "Groups", "SigBlk", "SigIgn", "NoNewPrivs", "Name"];
        if wanted.iter().any(|name| line.starts_with(&format!("{name}:"))) {
            println!("{}", line.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    println!("cwd {}", std::env::current_dir().expect("cwd").display());
    println!("leads {}", nix::unistd::getsid(None).expect("sid") == getpid());
    let limit = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE);
    println!("nofile {limit:?}");
    println!("subreaper {}", prctl::get_child_subreaper().expect("subreaper"));
    println!("pdeathsig {:?}", prctl::get_pdeathsig().expect("pdeathsig"));
    let listing = fs::read_dir("/proc/self/fd").expect("fds");
    let mut fds: Vec<i32> =
        listing.flatten().map(|e| e.file_name().to_str().unwrap().parse().unwrap()).collect();
    fds.sort_unstable();
    // The listing itself is one more, and closed by now.
    fds.retain(|fd| fs::read_link(format!("/proc/self/fd/{fd}")).is_ok());
    println!("fds {fds:?}");
}

/// Arguments and environment, byte for byte, and what extra descriptors hold.
fn echo() {
    let mut out = std::io::stdout();
    out.write_all(&fs::read("/proc/self/cmdline").expect("cmdline")).expect("write");
    out.write_all(b"\0\0").expect("write");
    out.write_all(&fs::read("/proc/self/environ").expect("environ")).expect("write");
    out.flush().expect("flush");
    exit(0);
}
