//! Frames of 1 MiB that are half read or half written at the moment of the upgrade arrive whole.

use outboard_tests::clock::wait_until;
use outboard_tests::pipes::unread_input;
use outboard_tests::{Attach, World};
use serde_json::{Value, json};

use super::{Installed, upgraded};

const MIB: usize = 1 << 20;

/// What a pipe holds unless it was made larger: pipe(7).
const PIPE: usize = 64 * 1024;

/// A pipe is full when its last page is begun.
const PAGE: usize = 4096;

/// The text of 1 MiB that was asked for.
#[track_caller]
fn is_whole(client: &mut Attach, call: u64) {
    let result: Value = serde_json::from_str(client.answer(call).unwrap().get()).unwrap();
    let text = result["text"].as_str().unwrap();
    assert_eq!(text.len(), MIB);
    assert!(text[..MIB / 2].bytes().all(|byte| byte == b'a'), "the first half");
    assert!(text[MIB / 2..].bytes().all(|byte| byte == b'b'), "the second half");
}

#[test]
fn an_answer_that_is_half_read() {
    let world = World::new();
    world.chaos(
        "geo",
        r#"
on big {
  say-raw {"jsonrpc":"2.0","id":$id,"result":{"text":"
  say-repeat 512K a
  at half
  gate rest
  say-repeat 512K b
  say "}}
}
serve
"#,
    );
    let installed = Installed::new(&world);
    let run = installed.run();
    run.active("geo");
    let mut client = run.attach("geo");
    let call = client.send("big", &json!({}));
    world.gates().report("half");
    wait_until("the supervisor has read the half", || unread_input(run.pid) == 0);

    upgraded(&installed, &run);
    world.gates().open("rest");
    is_whole(&mut client, call);
    assert_eq!(client.call("echo", &json!({"n": 1})).unwrap(), json!({"n": 1}));
}

#[test]
fn an_answer_that_is_half_written() {
    let world = World::new();
    world.chaos(
        "geo",
        r#"
on big {
  say-raw {"jsonrpc":"2.0","id":$id,"result":{"text":"
  say-repeat 512K a
  say-repeat 512K b
  say "}}
  at whole
}
serve
"#,
    );
    let installed = Installed::new(&world);
    let run = installed.run();
    run.active("geo");
    let mut client = run.attach("geo");
    let call = client.send("big", &json!({}));
    world.gates().report("whole");
    wait_until("the supervisor has it", || unread_input(run.pid) == 0 && client.unread() > 0);
    let came = client.unread();
    assert!(came < MIB, "{came} bytes came: the rest is owed");

    upgraded(&installed, &run);
    is_whole(&mut client, call);
    assert_eq!(client.call("echo", &json!({"n": 1})).unwrap(), json!({"n": 1}));
}

#[test]
fn a_call_that_is_half_written() {
    let world = World::new();
    world.chaos("geo", "serve");
    let installed = Installed::new(&world);
    let run = installed.run();
    run.active("geo");
    let pid = run.plugin_pid("geo");
    let mut client = run.attach("geo");
    let blocks = client.send("block", &json!({"gate": "wall"}));
    let text = "a".repeat(MIB / 2) + &"b".repeat(MIB / 2);
    let call = client.send("echo", &json!({"text": text}));
    wait_until("the plugin's pipe is full", || {
        usize::try_from(unread_input(pid)).unwrap() > PIPE - PAGE
    });

    upgraded(&installed, &run);
    world.gates().open("wall");
    client.answer(blocks).unwrap();
    is_whole(&mut client, call);
    assert_eq!(client.call("echo", &json!({"n": 1})).unwrap(), json!({"n": 1}));
}

/// A call that the supervisor has half of goes on to be read by the next build.
#[test]
fn a_call_that_is_half_sent() {
    let world = World::new();
    world.chaos("geo", "serve");
    let installed = Installed::new(&world);
    let run = installed.run();
    run.active("geo");
    let mut client = run.attach("geo");
    client.write_raw(r#"{"jsonrpc":"2.0","id":77,"method":"echo","params":{"text":""#);
    client.write_raw(&"a".repeat(MIB / 2));
    wait_until("the supervisor has read the half", || !client.is_unheard());

    upgraded(&installed, &run);
    client.write_raw(&"b".repeat(MIB / 2));
    client.write_raw("\"}}\n");
    is_whole(&mut client, 77);
    assert_eq!(client.call("echo", &json!({"n": 1})).unwrap(), json!({"n": 1}));
}
