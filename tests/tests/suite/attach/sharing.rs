//! What clients of one plugin share, and how they are kept apart.

use outboard_tests::{Bridge, World};
use serde_json::{Value, json};

use super::{MCP, SERVER};

#[test]
fn ids_and_progress_tokens_of_two_clients_never_meet() {
    let world = World::new();
    world.chaos_with("files", &format!("{SERVER}\nserve mcp"), MCP);
    let run = world.run();
    run.active("files");
    let mut clients = [(); 2].map(|()| Bridge::start(&world, "", &["files"]));
    for client in &mut clients {
        let opened = client.open_mcp("{}");
        assert_eq!(opened["result"]["serverInfo"]["name"], "chaos", "{opened}");
    }
    assert_eq!(run.plugin("files")["clients"], 2);
    // Both count from the same number, as the SDKs do, and both send before either is answered.
    for (client, token) in clients.iter_mut().zip(["0", "\"0\""]) {
        client.send("1", "work", &format!(r#"{{"_meta":{{"progressToken":{token}}}}}"#));
    }
    let mut minted = Vec::new();
    for (client, token) in clients.iter_mut().zip([json!(0), json!("0")]) {
        let mut heard = Vec::new();
        let answer = client.answer_hearing("1", &mut heard);
        let progress: Vec<&Value> =
            heard.iter().map(|one| &one["params"]["progressToken"]).collect();
        assert_eq!(progress, [&token], "its own token, once: {heard:?}");
        minted.push(answer["result"]["got"]["_meta"]["progressToken"].clone());
    }
    assert_ne!(minted[0], minted[1], "what the plugin was given");
}

#[test]
fn an_id_comes_back_byte_for_byte() {
    let world = World::new();
    world.chaos("geo", "serve");
    let run = world.run();
    run.active("geo");
    let mut client = Bridge::start(&world, "", &["geo"]);
    for id in ["0", "-7", "9007199254740991", r#""""#, r#""é\"\\\u0001""#] {
        client.send(id, "echo", r#"{"n":1e400,"s":"\ud800"}"#);
        let line = client.line();
        assert_eq!(
            line,
            format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"n":1e400,"s":"\ud800"}}}}"#)
        );
    }
    client.send("1", "initialize", "{}");
    let opened = client.answer("1");
    assert_eq!(opened["result"]["protocolVersion"], 1, "{opened}");
    client.close();
    assert_eq!(client.ended().code, Some(0), "{}", client.stderr());
}

#[test]
fn what_one_client_asks_for_is_not_what_another_hears() {
    let world = World::new();
    world.chaos_with("files", &format!("{SERVER}\nserve mcp"), MCP);
    let run = world.run();
    run.active("files");
    let mut clients = [(); 2].map(|()| Bridge::start(&world, "", &["files"]));
    for client in &mut clients {
        client.open_mcp("{}");
    }
    let [loud, quiet] = &mut clients;
    quiet.send("1", "logging/setLevel", r#"{"level":"error"}"#);
    assert_eq!(quiet.answer("1")["result"], json!({}));
    assert_eq!(world.gates().report("level").text, "error");
    loud.send("1", "logging/setLevel", r#"{"level":"debug"}"#);
    assert_eq!(loud.answer("1")["result"], json!({}));
    assert_eq!(world.gates().report("level").text, "debug", "the least severe of both");
    for client in [&mut *loud, &mut *quiet] {
        client.send("2", "resources/subscribe", r#"{"uri":"file:///a"}"#);
        assert_eq!(client.answer("2")["result"], json!({}));
        world.gates().report("subscribed");
    }
    quiet.send("3", "resources/unsubscribe", r#"{"uri":"file:///a"}"#);
    assert_eq!(quiet.answer("3")["result"], json!({}), "another client still wants it");
    loud.write(r#"{"jsonrpc":"2.0","method":"log","params":{"level":"debug","data":"fine"}}"#);
    loud.write(r#"{"jsonrpc":"2.0","method":"touch","params":{"uri":"file:///a"}}"#);
    loud.write(r#"{"jsonrpc":"2.0","method":"log","params":{"level":"alert","data":"fire"}}"#);
    let mut heard = Vec::new();
    for client in [&mut *loud, &mut *quiet] {
        let mut of_it = Vec::new();
        loop {
            let message = client.message();
            of_it.push(message["method"].as_str().unwrap().to_owned());
            if message["params"]["level"] == "alert" {
                break;
            }
        }
        heard.push(of_it);
    }
    assert_eq!(
        heard,
        [
            vec![
                "notifications/message",
                "notifications/resources/updated",
                "notifications/message"
            ],
            vec!["notifications/message"],
        ]
    );
    loud.send("4", "resources/unsubscribe", r#"{"uri":"file:///a"}"#);
    assert_eq!(loud.answer("4")["result"], json!({}));
    assert_eq!(world.gates().report("unsubscribed").text, "file:///a", "nobody wants it any more");
}

#[test]
fn a_client_takes_back_its_own_call_and_no_other() {
    let world = World::new();
    world.chaos("geo", "on $/cancel { at cancelled $p.id }\nserve");
    let run = world.run();
    run.active("geo");
    let mut clients = [(); 2].map(|()| Bridge::start(&world, "", &["geo"]));
    for client in &mut clients {
        client.send("7", "hold", r#"{"gate":"go"}"#);
        client.send("8", "echo", "{}");
        client.answer("8");
    }
    let [one, two] = &mut clients;
    one.write(r#"{"jsonrpc":"2.0","method":"$/cancel","params":{"id":7}}"#);
    assert_eq!(one.answer("7")["error"]["code"], -32800);
    world.gates().open_for("go", 2);
    assert_eq!(two.answer("7")["result"], json!({"held": "go"}));
}

#[test]
fn a_plugin_for_one_client_says_who_has_it() {
    let world = World::new();
    world.chaos_with("browser", "serve", "[attach]\nclients = \"one\"\n");
    let run = world.run();
    run.active("browser");
    let mut first = Bridge::start(&world, "", &["browser"]);
    first.send("1", "echo", "{}");
    first.answer("1");
    let mut second = Bridge::start(&world, "", &["browser"]);
    second.send("0", "initialize", "{}");
    let refused = second.answer("0");
    let error = &refused["error"];
    assert_eq!(json!([error["code"], error["data"]["class"]]), json!([-31004, "clients"]));
    let message = error["message"].as_str().unwrap();
    assert!(message.contains(&format!("pid {}", first.pid)), "{message}");
    assert_eq!(second.ended().code, Some(6), "{}", second.stderr());
    assert!(second.stderr().contains("takes one client at a time"), "{}", second.stderr());
    // A command that makes one call is no client that shares a session.
    run.cli(&["call", "browser", "echo"]).code(0);
    first.close();
    first.ended();
    outboard_tests::clock::wait_until("its place is free", || {
        run.plugin("browser")["clients"] == 0
    });
    let mut third = Bridge::start(&world, "", &["browser"]);
    third.send("1", "echo", "{}");
    assert_eq!(third.answer("1")["result"], json!({}));
}
