//! Ecosystem files of PM2.

use crate::found::{Found, Lost, Program};
use crate::json::{Member, Node, Value};
use crate::words::{Filling, Words};
use crate::{Format, Reading, shell, toml};

use super::Page;
use super::members::{Entry, milliseconds};

pub(crate) fn read(page: &Page<'_>) -> Reading {
    let apps = page.root.get("apps").unwrap_or(&page.root);
    let one = std::slice::from_ref(apps);
    let apps = apps.list().unwrap_or(one);
    let found = apps.iter().enumerate().map(|(at, app)| program(page, at, app)).collect();
    let deploy = page.root.members().iter().filter(|member| member.key != "apps");
    let lost = deploy.map(|member| {
        let why = match member.key.as_str() {
            "deploy" => "outboard runs programs and deploys none",
            _ => "about none of the programs",
        };
        let what = format!("`{}`: {why}", member.key);
        Lost { file: None, line: page.line(member.at.start), what }
    });
    Reading { format: Format::Pm2, found, lost: lost.collect() }
}

fn program(page: &Page<'_>, at: usize, app: &Node) -> Found {
    let script = app.get("script").or_else(|| app.get("exec")).and_then(Node::text);
    let stem = |path: &str| {
        path.rsplit('/').next().and_then(|name| name.split('.').next().map(str::to_owned))
    };
    let name = app.get("name").and_then(Node::scalar).or_else(|| script.and_then(stem));
    let name = name.unwrap_or_else(|| format!("app-{}", at + 1));
    let found = Found::new(&name, page.line(app.at.start));
    let Some(script) = script else { return found.left_alone("no `script` in it") };
    let mut entry = Entry::new(page, Filling::None, found, Program::new(""));
    entry.program.project = page.project.clone();
    if !command(&mut entry, app, script) {
        return entry.found.left_alone("its arguments cannot be told apart: a quote is not closed");
    }
    for one in app.members() {
        member_of(&mut entry, one);
    }
    backoff(&mut entry, app);
    entry.program.dialect = super::supervisord::dialect_of(&entry.program.command);
    super::supervisord::note_dialect(&mut entry.program, &mut entry.found);
    entry.done()
}

/// Interpreter, its arguments, script, arguments: as PM2 puts them together.
fn command(entry: &mut Entry<'_, '_>, app: &Node, script: &str) -> bool {
    let interpreter =
        ["interpreter", "exec_interpreter"].iter().find_map(|key| app.get(key)?.text());
    let interpreter = match interpreter {
        Some("none" | "") => None,
        Some(named) => Some(named),
        None => usual_interpreter(script),
    };
    let of_interpreter = ["interpreter_args", "node_args", "interpreterArgs", "nodeArgs"];
    let of_interpreter = of_interpreter.iter().find_map(|key| app.get(key));
    let Some(before) = words_of(of_interpreter) else { return false };
    let Some(after) = words_of(app.get("args")) else { return false };
    let mut script = vec![script.to_owned()];
    if interpreter.is_none() && script[0].contains(' ') {
        // `script: "npm start"` is a line for a shell.
        match shell::split(&script[0]) {
            Ok(words) => script = words,
            Err(_) => return false,
        }
    }
    let words = interpreter.map(str::to_owned).into_iter();
    let words = words.chain(before).chain(script).chain(after);
    entry.program.command = words.map(Words::plain).collect();
    true
}

fn usual_interpreter(script: &str) -> Option<&'static str> {
    match script.rsplit('/').next()?.rsplit_once('.')?.1 {
        "js" | "cjs" | "mjs" => Some("node"),
        "ts" | "tsx" => Some("bun"),
        "py" => Some("python3"),
        "rb" => Some("ruby"),
        "sh" => Some("bash"),
        "php" => Some("php"),
        "pl" => Some("perl"),
        _ => None,
    }
}

/// A list, or a line as a shell would split it.
fn words_of(node: Option<&Node>) -> Option<Vec<String>> {
    match node {
        None => Some(Vec::new()),
        Some(node) => match node.list() {
            Some(items) => Some(items.iter().filter_map(Node::scalar).collect()),
            None => shell::split(&node.scalar().unwrap_or_default()).ok(),
        },
    }
}

fn member_of(entry: &mut Entry<'_, '_>, one: &Member) {
    match (one.key.as_str(), &one.value.value) {
        (
            "name"
            | "script"
            | "exec"
            | "args"
            | "interpreter"
            | "exec_interpreter"
            | "interpreter_args"
            | "node_args"
            | "interpreterArgs"
            | "nodeArgs"
            | "restart_delay"
            | "exp_backoff_restart_delay",
            _,
        ) => {}
        ("cwd", _) => entry.cwd(one),
        ("env", _) => entry.env(one),
        ("env_file" | "envFile", _) => entry.env_file(one),
        ("autorestart", Value::Bool(true)) | ("watch", Value::Bool(false)) => {}
        ("autorestart", Value::Bool(false)) => {
            entry.program.set("restart", "policy", toml::text("never"));
        }
        ("max_restarts", Value::Number(_)) => match one.value.number() {
            Some(most) if (0.0..=100_000.0).contains(&most) => {
                let budget = format!("{{ restarts = {}, within = \"5m\" }}", most as u64);
                entry.program.set("restart", "budget", budget);
            }
            _ => entry.lose(one, "out of range; the usual budget holds"),
        },
        ("min_uptime", _) => match uptime(&one.value).filter(|ms| *ms >= 100) {
            Some(ms) => entry.program.set("restart", "reset_after", toml::span(ms)),
            None => entry.lose(one, "not understood; the usual time holds"),
        },
        ("kill_timeout", _) => match milliseconds(&one.value).filter(|ms| *ms <= 3_600_000) {
            Some(ms) => entry.program.set("stop", "term", toml::span(ms)),
            None => entry.lose(one, "out of range; the usual time holds"),
        },
        ("instances", Value::Number(number)) if number == "1" => {}
        ("exec_mode", Value::Text(mode)) if mode == "fork" || mode == "fork_mode" => {}
        ("instances" | "exec_mode" | "increment_var" | "instance_var", _) => {
            entry.lose(one, "a plugin is one process; it serves many callers at once");
        }
        ("max_memory_restart", _) => {
            entry.lose(
                one,
                "a limit that is enforced is `[limits] memory`; restarts at a size there are none",
            );
        }
        ("watch" | "ignore_watch" | "watch_delay" | "watch_options", _) => {
            entry.lose(one, "its files are not watched; `outboard run --watch` watches manifests");
        }
        ("cron_restart" | "cron", _) => {
            entry.lose(one, "there is no clock to restart by: `outboard restart` from cron")
        }
        ("wait_ready" | "listen_timeout" | "shutdown_with_message", _) => {
            entry.lose(one, "readiness and the stop go over the protocol, and need no key");
        }
        ("uid" | "gid" | "user", _) => {
            entry
                .lose(one, "`[process] user` and `group` have no effect yet, and would be refused");
        }
        (
            "out_file" | "error_file" | "output" | "error" | "log" | "log_file" | "log_type"
            | "combine_logs" | "merge_logs" | "log_date_format" | "time" | "disable_logs"
            | "pid_file" | "pid",
            _,
        ) => entry.lose(one, "outboard keeps what it says: `outboard logs`"),
        (key, _) if key.starts_with("env_") => {
            entry.lose(one, "an environment for another occasion; only `env` was taken");
        }
        _ => entry.lose(one, "no manifest has anything like it"),
    }
}

fn backoff(entry: &mut Entry<'_, '_>, app: &Node) {
    let grows = app.get("exp_backoff_restart_delay").and_then(milliseconds);
    let fixed = app.get("restart_delay").and_then(milliseconds);
    let span = |ms: u64| toml::span(ms.min(3_600_000));
    if let Some(ms) = grows.filter(|ms| *ms > 0) {
        // PM2 grows it by half up to 15 s.
        let backoff =
            format!("{{ initial = {}, max = {}, factor = 1.5 }}", span(ms), span(ms.max(15_000)));
        entry.program.set("restart", "backoff", backoff);
    } else if let Some(ms) = fixed.filter(|ms| *ms > 0) {
        let backoff =
            format!("{{ initial = {0}, max = {0}, factor = 1.0, jitter = 0.0 }}", span(ms));
        entry.program.set("restart", "backoff", backoff);
    }
}

/// Milliseconds, or a text such as `10s`, `5m`, `1h`.
fn uptime(node: &Node) -> Option<u64> {
    if let Some(ms) = milliseconds(node) {
        return Some(ms);
    }
    let text = node.text()?;
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().ok()?;
    let unit = match &text[digits..] {
        "" | "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(unit).filter(|ms| *ms <= 86_400_000)
}
