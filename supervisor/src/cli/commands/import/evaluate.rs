//! A PM2 ecosystem in JavaScript says what it is only by being run: that is what PM2 does with it, and what Node does here.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::MAX_FILE;
use crate::cli::exit::Exit;
use crate::cli::trouble::Trouble;

/// How long a configuration may think.
const PATIENCE: Duration = Duration::from_secs(15);

/// Prints what the module exports; functions in it are left out, as JSON does.
const PROGRAM: &str = "import(require('node:url').pathToFileURL(process.argv[1]))\
    .then(m => process.stdout.write(JSON.stringify(m.default ?? m)))\
    .catch(e => { process.stderr.write(String(e)); process.exit(1) })";

/// The JSON that a module of Node's comes to.
///
/// # Errors
///
/// When there is no Node, or the module fails, prints too much or takes too long.
pub(super) fn evaluate(file: &Path, typed: &Path) -> Result<String, Trouble> {
    let failed = |cause: String| {
        let what = format!("{} is a program, and what it says is not to be had", typed.display());
        Trouble::new(Exit::Usage, what).cause(cause).help(
            "write it as JSON: node -p 'JSON.stringify(require(\"./ecosystem.config.js\"))' > ecosystem.json",
        )
    };
    let mut child = node(file).map_err(|error| failed(format!("node: {error}")))?;
    let Some(mut stdout) = child.stdout.take() else { return Err(failed("no pipe".to_owned())) };
    let (said, hears) = mpsc::channel();
    // A configuration that never ends is left behind by this thread, whose child is killed below.
    std::thread::spawn(move || {
        let mut text = Vec::new();
        let read = stdout.by_ref().take(MAX_FILE + 1).read_to_end(&mut text);
        // Nobody hears when it took too long.
        let _late = said.send(read.map(|_| text));
    });
    let heard = hears.recv_timeout(PATIENCE);
    let text = match heard {
        Ok(Ok(text)) if text.len() as u64 <= MAX_FILE => text,
        Ok(Ok(_)) => return Err(failed(ended(child, "node printed more than 16 MiB"))),
        Ok(Err(error)) => return Err(failed(ended(child, &error.to_string()))),
        Err(_) => return Err(failed(ended(child, "node took longer than 15s"))),
    };
    let output = child.wait_with_output().map_err(|error| failed(format!("node: {error}")))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let last = stderr.lines().find(|line| !line.trim().is_empty()).unwrap_or("no word of why");
        return Err(failed(format!("node: {last}")));
    }
    String::from_utf8(text).map_err(|_| failed("node printed what is not UTF-8".to_owned()))
}

#[expect(clippy::disallowed_methods, reason = "Node reads a configuration here: it is no plugin")]
fn node(file: &Path) -> std::io::Result<Child> {
    Command::new("node")
        .args(["-e", PROGRAM])
        .arg(file)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
}

/// Ends it, and says why.
fn ended(mut child: Child, why: &str) -> String {
    // Either may fail only because it is gone already.
    let _gone = child.kill();
    let _reaped = child.wait();
    why.to_owned()
}
