//! `outboard schema`: the manifest's JSON Schema for editors, the closed list of events for scripts, and the management API
//! for whoever writes a client.

use serde::Serialize;

use super::Ended;
use crate::cli::args::{SchemaArgs, SchemaOf};
use crate::cli::exit::Exit;
use crate::cli::render::Screen;
use crate::control::api::SCHEMA;
use crate::control::openrpc;
use crate::observe::EVENTS;

#[derive(Serialize)]
struct Events {
    schema: u32,
    events: &'static [&'static str],
}

pub(super) fn run(args: &SchemaArgs, screen: &mut Screen) -> Ended {
    match args.of {
        SchemaOf::Manifest => whole(screen, &outboard_manifest::json_schema()),
        SchemaOf::Api => whole(screen, &openrpc()),
        SchemaOf::Events if screen.is_json() => {
            screen.json(&Events { schema: SCHEMA, events: EVENTS })
        }
        SchemaOf::Events => EVENTS.iter().for_each(|event| screen.line(event)),
    }
    Ok(Exit::Done)
}

/// Asked for or not: a schema is JSON.
fn whole(screen: &mut Screen, schema: &serde_json::Value) {
    let text = serde_json::to_string_pretty(schema);
    screen.print(&format!("{}\n", text.unwrap_or_default()));
}
