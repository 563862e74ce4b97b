//! What a server asks of a client that does not answer.

use outboard_tests::{Bridge, World};
use serde_json::json;

/// Asks a question of its own for each call, whose answer is the call's.
const ASKS: &str = "on tools/call { ask METHOD {\"n\":1} }\nserve mcp";

/// The plugin `geo`, which asks this of the client that declares it, and gives it a moment.
fn asking(world: &World, method: &str, capability: &str) {
    world.chaos_with(
        "geo",
        &ASKS.replace("METHOD", method),
        &format!(
            "dialect = \"mcp\"\n[mcp.client_capabilities.{capability}]\n[calls]\ndeadline = \"200ms\"\n"
        ),
    );
}

#[test]
fn a_question_that_is_never_answered_ends_with_the_default_answer() {
    for (method, capability, default) in [
        ("sampling/createMessage", "sampling", json!({"error": -32601})),
        ("elicitation/create", "elicitation", json!({"result": {"action": "decline"}})),
    ] {
        let world = World::new();
        asking(&world, method, capability);
        let run = world.run();
        run.active("geo");
        run.socket("attach.sock");
        let mut client = Bridge::start(&world, "", &["geo"]);
        client.open_mcp(&json!({capability: {}}).to_string());
        client.send("1", "tools/call", r#"{"name":"echo","arguments":{}}"#);
        let question = client.hears(method);
        // The client is told that nobody waits any more, and what it says all the same is nobody's.
        let cancelled = client.hears("notifications/cancelled");
        assert_eq!(cancelled["params"]["requestId"], question["id"]);
        let answer = client.answer("1");
        let told = match answer.get("error") {
            Some(error) => json!({"error": error["code"]}),
            None => json!({"result": answer["result"]}),
        };
        assert_eq!(told, default, "{answer}");
        let silent = run.event(|event| event.is("client.silent", "geo"));
        assert_eq!(silent.number("after_ms"), 200, "{silent}");
        let id = &question["id"];
        client.write(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"late":true}}}}"#));
        // The next question is answered as ever.
        client.send("2", "tools/call", r#"{"name":"echo","arguments":{}}"#);
        let id = client.hears(method)["id"].clone();
        client.write(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"said":"yes"}}}}"#));
        assert_eq!(client.answer("2")["result"], json!({"said": "yes"}));
        assert_eq!(run.plugin("geo")["generation"], 1);
    }
}
