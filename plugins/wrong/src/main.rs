//! A plugin that breaks one rule of its protocol, as told: what the conformance kit is tried on.
//!
//! It shares no code with the kit, so a mistake of the kit's own wire still shows here.

mod answers;
mod foreign;
mod sys;

use std::io::Read;
use std::process::exit;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use answers::Plugin;
use foreign::Speaks;

/// One tick of the slow method.
const TICK: Duration = Duration::from_millis(20);

fn main() {
    let mut broken = String::new();
    let mut speaks = None;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match (&*arg, args.next()) {
            ("--break", Some(rule)) => broken = rule.to_uppercase(),
            ("--dialect", Some(dialect)) if dialect == "mcp" => speaks = Some(Speaks::Mcp),
            ("--dialect", Some(dialect)) if dialect == "lsp" => speaks = Some(Speaks::Lsp),
            _ => {
                sys::complain("usage: outboard-wrong [--dialect mcp|lsp] [--break C01…C40]");
                exit(2);
            }
        }
    }
    if broken == "C36" {
        sys::ignore_sigterm();
    }
    if let Some(speaks) = speaks {
        foreign::run(speaks, broken);
    }
    let (sender, chunks) = mpsc::channel();
    std::thread::spawn(move || read(&sender));
    let mut plugin = Plugin::new(broken);
    plugin.started();
    let mut lines = Lines::default();
    loop {
        let chunk = match plugin.is_slow() {
            true => chunks.recv_timeout(TICK),
            false => chunks.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match chunk {
            Ok(chunk) => lines.take(&chunk, &mut plugin),
            Err(RecvTimeoutError::Timeout) => plugin.tick(),
            Err(RecvTimeoutError::Disconnected) => plugin.end_of_input(),
        }
    }
}

/// Reads stdin to its end; whoever listens learns of that by the channel's.
fn read(sender: &Sender<Vec<u8>>) {
    let mut stdin = std::io::stdin().lock();
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = stdin.read(&mut buffer) {
        if sender.send(buffer[..count].to_vec()).is_err() {
            return;
        }
    }
}

#[derive(Default)]
struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    fn take(&mut self, chunk: &[u8], plugin: &mut Plugin) {
        self.rest.extend_from_slice(chunk);
        let mut from = 0;
        let mut number = 0;
        // Only the new part can hold an end of line.
        let mut look = self.rest.len() - chunk.len();
        while let Some(at) = self.rest[look..].iter().position(|byte| *byte == b'\n') {
            let end = look + at;
            number += 1;
            plugin.line(&self.rest[from..end], number);
            from = end + 1;
            look = from;
        }
        self.rest.drain(..from);
        let longest = match () {
            () if plugin.breaks("C19") => 256 << 10,
            () if plugin.breaks("C20") => 4 << 20,
            () => usize::MAX,
        };
        if self.rest.len() > longest {
            sys::complain("a line is too long");
            exit(1);
        }
        // What one read gives is a message, is it not?
        if plugin.breaks("C18") {
            self.rest.clear();
        }
    }
}
