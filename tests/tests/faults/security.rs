//! SEC: what a plugin can see and reach.

mod clients;
mod siblings;

use std::fs;

use outboard_tests::Running;
use outboard_tests::fault::{Row, race};
use outboard_tests::runtimes::on_path;
use outboard_tests::world::Launch;
use serde_json::{Value, json};

/// Starts a supervisor that is not root, whoever runs the test: what the kernel keeps from one user's processes among
/// each other it does not keep from root.
pub(crate) fn as_a_user(row: &Row) -> Option<Running<'_>> {
    let env = [("SUPERVISORS_SECRET", "hunter2-hunter2"), ("HOME", "/")];
    // SAFETY: asks for a number.
    if unsafe { libc::geteuid() } != 0 {
        return Some(row.launch(&Launch { env: &env, ..Launch::default() }));
    }
    if !on_path("setpriv") {
        row.cannot("root cannot become anybody without setpriv");
        return None;
    }
    row.state_dir("");
    give_to_nobody(row.folder());
    let shell = Some("exec setpriv --reuid=65534 --regid=65534 --clear-groups {}");
    Some(row.launch(&Launch { env: &env, shell, ..Launch::default() }))
}

fn give_to_nobody(path: &std::path::Path) {
    std::os::unix::fs::lchown(path, Some(65_534), Some(65_534)).unwrap();
    if fs::symlink_metadata(path).unwrap().is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| give_to_nobody(&entry.unwrap().path()));
    }
}

/// What a plugin did before it served, as its shell printed it to stderr.
fn printed(run: &Running<'_>, id: &str) -> Vec<String> {
    run.log_line(id, |line| line == "done");
    let lines = run.stored_log(id).into_iter().filter(|line| line["src"] == "err");
    lines.map(|line| line["text"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn sec_03_a_plugin_sees_neither_its_keepers_nor_its_supervisors_secrets() {
    let row = Row::new("SEC-03");
    // That it can be opened would be enough.
    let look = "k=$$PPID; read -r _ _ _ s _ < /proc/$$k/stat; for p in $$k $$s; do \
        for what in environ mem maps; do (exec 3< /proc/$$p/$$what) 2>/dev/null && echo open $$what >&2 || echo refused $$what >&2; done; \
        ls /proc/$$p/fd >/dev/null 2>&1 && echo open fd >&2 || echo refused fd >&2; done; \
        env | sed 's/=.*//;s/^/var /' >&2; echo done >&2; exec {}";
    row.chaos_wrapped("curious", "serve", look, "");
    let Some(run) = as_a_user(&row) else { return };
    run.active("curious");
    let lines = printed(&run, "curious");
    let opened: Vec<_> = lines.iter().filter(|line| line.starts_with("open ")).collect();
    assert!(opened.is_empty(), "{lines:#?}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("refused ")).count(), 8, "{lines:#?}");
    let listed = [
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "LANG",
        "TZ",
        "TMPDIR",
        "CHAOS_DIR",
        "PWD",
        "OLDPWD",
        "SHLVL",
        "_",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "REQUESTS_CA_BUNDLE",
        "NODE_EXTRA_CA_CERTS",
    ];
    let listed = |name: &str| {
        listed.contains(&name)
            || ["LC_", "XDG_", "OUTBOARD_"].iter().any(|begin| name.starts_with(begin))
    };
    let names: Vec<_> = lines.iter().filter_map(|line| line.strip_prefix("var ")).collect();
    assert!(names.contains(&"PATH"), "{lines:#?}");
    let more: Vec<_> = names.into_iter().filter(|name| !listed(name)).collect();
    assert!(more.is_empty(), "not listed: {more:?}");
    assert!(lines.iter().all(|line| !line.contains("hunter2")), "{lines:#?}");
    row.witness("a plugin of the same user looked for environment, memory and descriptors of both");
}

#[test]
fn sec_05_fifty_at_once_have_three_descriptors_each() {
    let row = Row::new("SEC-05");
    let ids: Vec<String> = (0..50).map(|number| format!("p{number}")).collect();
    for id in &ids {
        row.chaos(id, "serve");
    }
    // What a child of a plugin has.
    row.chaos_wrapped(
        "parent",
        "serve",
        "ls /proc/self/fd | xargs echo >&2; echo done >&2; exec {}",
        "",
    );
    race(|round| {
        let state = format!("state-{round}");
        let run = row.launch(&Launch { state: &state, ..Launch::default() });
        for id in &ids {
            run.active(id);
        }
        for id in &ids {
            let own = run.call(id, "self", &json!({})).unwrap();
            let own: Value = serde_json::from_str(&own.to_string()).unwrap();
            assert_eq!(own["fds"], json!([0, 1, 2]), "{id}");
        }
        let lines = printed(&run, "parent");
        // 3 is the folder that `ls` reads.
        assert_eq!(lines[0].trim(), "0 1 2 3", "{lines:?}");
    });
    row.witness("fifty plugins started at once, each of which listed its descriptors");
}
