//! `outboard schema`: the manifest's JSON Schema for editors, and the closed list of events for scripts.

use serde::Serialize;

use super::Ended;
use crate::cli::args::{SchemaArgs, SchemaOf};
use crate::cli::exit::Exit;
use crate::cli::render::Screen;
use crate::control::api::SCHEMA;
use crate::observe::EVENTS;

#[derive(Serialize)]
struct Events {
    schema: u32,
    events: &'static [&'static str],
}

pub(super) fn run(args: &SchemaArgs, screen: &mut Screen) -> Ended {
    match args.of {
        SchemaOf::Manifest => {
            // Asked for or not: a schema is JSON.
            let text = serde_json::to_string_pretty(&outboard_manifest::json_schema());
            screen.print(&format!("{}\n", text.unwrap_or_default()));
        }
        SchemaOf::Events if screen.is_json() => {
            screen.json(&Events { schema: SCHEMA, events: EVENTS })
        }
        SchemaOf::Events => EVENTS.iter().for_each(|event| screen.line(event)),
    }
    Ok(Exit::Done)
}
