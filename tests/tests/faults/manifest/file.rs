//! Manifests that are no regular files.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use outboard_tests::fault::Row;
use outboard_tests::gates::fifo;
use serde_json::json;

use super::{PROCESS, WELL, is_failed, is_untouched, refuses};

#[test]
fn man_09_what_is_no_regular_file_is_refused_without_a_wait() {
    let row = Row::new("MAN-09");
    row.chaos(WELL, "serve");
    // A link is followed, wherever it leads: a regular file at its end is a manifest like any other.
    let outside = row.folder().join("outside.toml");
    fs::write(&outside, format!("enabled = false\n{PROCESS}")).unwrap();
    symlink(&outside, row.manifests().join("linked.toml")).unwrap();
    let before = row.run();
    before.active(WELL);
    assert_eq!(before.plugin("linked")["state"], "registered");

    let path = |id: &str| row.manifests().join(format!("{id}.toml"));
    // Nobody writes into it: a reader that waits for somebody waits for ever.
    drop(fifo(&path("fifo")));
    let _listener = UnixListener::bind(path("socket")).unwrap();
    fs::create_dir(path("folder")).unwrap();
    symlink(path("round"), path("again")).unwrap();
    symlink(path("again"), path("round")).unwrap();
    symlink("/dev/zero", path("device")).unwrap();
    symlink(row.folder().join("nowhere"), path("dangling")).unwrap();
    symlink(path("fifo"), path("to-fifo")).unwrap();
    let table = [
        ("fifo", "a FIFO, not a regular file"),
        ("to-fifo", "a FIFO, not a regular file"),
        ("socket", "a socket, not a regular file"),
        ("folder", "a folder, not a regular file"),
        ("device", "a device, not a regular file"),
        ("again", "its links go round in a circle"),
        ("round", "its links go round in a circle"),
        ("dangling", "no such file or directory"),
    ];
    let parts: Vec<&str> = table.iter().map(|(_, said)| *said).collect();
    let run = refuses(&row, before, &parts);
    for (id, said) in table {
        is_failed(&run, id, &["cannot be read", said, &format!("{id}.toml")]);
    }
    is_untouched(&run);
    assert_eq!(run.plugin("linked")["state"], json!("registered"));
    row.witness(
        "a FIFO without a writer, a socket, a folder, a device without end, a circle of links",
    );
}
