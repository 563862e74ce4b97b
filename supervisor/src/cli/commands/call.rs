//! `outboard call`: one call, its result on standard output.

use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Ended;
use super::params::params;
use crate::cli::args::{CallArgs, Wish};
use crate::cli::exit::Exit;
use crate::cli::render::{Screen, json};
use crate::cli::trouble::Trouble;
use crate::control::attach_client::{AttachClient, AttachError};
use crate::nearest::nearest;

/// Pages of a list that are followed: a server that never ends its list must not be followed for ever.
const MOST_PAGES: usize = 1_000;

/// Tools that are named when none is near.
const MOST_SHOWN: usize = 12;

pub(super) async fn run(args: &CallArgs, dir: &Path, screen: &mut Screen) -> Ended {
    let given = params(args.params.as_deref())?;
    let tool = args.method.strip_prefix("tool:");
    let (method, given) = match tool {
        Some(tool) => ("tools/call", tool_call(tool, &given)),
        None => (args.method.as_str(), given),
    };
    let failed = |error| Trouble::of_call(&args.plugin, error);
    let wish = args.while_restarting.map(Wish::word);
    let mut client =
        AttachClient::connect_with(dir, &args.plugin, args.deadline, wish).await.map_err(failed)?;
    let result = if args.all {
        all_pages(&mut client, method, &given).await
    } else {
        client.call(method, &given).await
    };
    let lacks = match (tool, &result) {
        (Some(tool), Err(AttachError::Call(_))) => lacks_tool(&mut client, tool).await,
        (Some(tool), Ok(result)) if is_tool_error(method, result) => {
            lacks_tool(&mut client, tool).await
        }
        _ => None,
    };
    if let Some(help) = lacks {
        let what = format!("plugin {} has no tool {}", args.plugin, tool.unwrap_or_default());
        return Err(Trouble::new(Exit::PluginError, what).help(help));
    }
    let result = result.map_err(failed)?;
    // A terminal gets it indented; a pipe gets the bytes that the plugin wrote.
    if screen.is_terminal() && !screen.is_json() {
        screen.line(&json::pretty(result.get()));
    } else {
        screen.line(result.get());
    }
    Ok(if is_tool_error(method, &result) { Exit::PluginError } else { Exit::Done })
}

/// `tool:NAME` with its arguments, as the request that MCP has for it.
fn tool_call(tool: &str, arguments: &RawValue) -> Box<RawValue> {
    let name = serde_json::Value::from(tool);
    RawValue::from_string(format!("{{\"name\":{name},\"arguments\":{}}}", arguments.get()))
        .expect("an object of two JSON values is JSON")
}

/// After a tool's failure: what to type instead when the server does not list a tool of this name at all.
async fn lacks_tool(client: &mut AttachClient, tool: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Listed {
        tools: Vec<Tool>,
    }
    #[derive(Deserialize)]
    struct Tool {
        name: String,
    }
    let nothing = RawValue::from_string("{}".to_owned()).expect("it is JSON");
    let all = all_pages(client, "tools/list", &nothing).await.ok()?;
    let listed: Listed = serde_json::from_str(all.get()).ok()?;
    let mut names = listed.tools.iter().map(|tool| tool.name.as_str());
    if names.clone().any(|name| name == tool) {
        return None;
    }
    Some(match nearest(tool, names.clone()) {
        Some(near) => format!("did you mean `tool:{near}`?"),
        None => {
            let some: Vec<&str> = names.by_ref().take(MOST_SHOWN).collect();
            let more = names.count();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("it has: {}{more}", some.join(", "))
        }
    })
}

/// MCP reports a tool's own failure in a result.
fn is_tool_error(method: &str, result: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct ToolResult {
        #[serde(rename = "isError", default)]
        is_error: bool,
    }
    method == "tools/call"
        && serde_json::from_str::<ToolResult>(result.get()).is_ok_and(|result| result.is_error)
}

/// Follows `nextCursor`; the pages' lists become one.
async fn all_pages(
    client: &mut AttachClient,
    method: &str,
    given: &RawValue,
) -> Result<Box<RawValue>, AttachError> {
    let mut page = client.call(method, given).await?;
    let mut all = Pages::default();
    for _ in 0..MOST_PAGES {
        let Some(cursor) = all.add(&page) else { break };
        page = client.call(method, &with_cursor(given, &cursor)).await?;
    }
    Ok(all.merged().unwrap_or(page))
}

/// The params with a cursor in them, the other members as they were.
fn with_cursor(given: &RawValue, cursor: &str) -> Box<RawValue> {
    type Members = serde_json::Map<String, serde_json::Value>;
    let mut members: Members = serde_json::from_str(given.get()).unwrap_or_default();
    members.insert("cursor".to_owned(), cursor.into());
    serde_json::value::to_raw_value(&members).expect("a map of JSON values is JSON")
}

/// Results of a paged list, merged member by member: lists are joined, of all else the last stays.
#[derive(Default)]
struct Pages {
    members: Vec<(String, Member)>,
}

enum Member {
    List(Vec<Box<RawValue>>),
    Other(Box<RawValue>),
}

impl Pages {
    /// Adds a page; returns the cursor of the next one. A page that is no object ends it.
    fn add(&mut self, page: &RawValue) -> Option<String> {
        type Members = std::collections::BTreeMap<String, Box<RawValue>>;
        let members: Members = serde_json::from_str(page.get()).ok()?;
        let mut cursor = None;
        for (name, value) in members {
            if name == "nextCursor" {
                cursor = serde_json::from_str(value.get()).ok();
                continue;
            }
            let member = match serde_json::from_str::<Vec<Box<RawValue>>>(value.get()) {
                Ok(items) => Member::List(items),
                Err(_) => Member::Other(value),
            };
            let known = self.members.iter_mut().find(|(known, _)| *known == name);
            match (known.map(|(_, known)| known), member) {
                (Some(Member::List(all)), Member::List(items)) => all.extend(items),
                (Some(known), member) => *known = member,
                (None, member) => self.members.push((name, member)),
            }
        }
        cursor
    }

    /// Everything as one result; `None` when no page was an object.
    fn merged(&self) -> Option<Box<RawValue>> {
        if self.members.is_empty() {
            return None;
        }
        let members: Vec<String> = self
            .members
            .iter()
            .map(|(name, member)| {
                let value = match member {
                    Member::List(items) => {
                        let items: Vec<&str> = items.iter().map(|item| item.get()).collect();
                        format!("[{}]", items.join(","))
                    }
                    Member::Other(value) => value.get().to_owned(),
                };
                format!("{}:{value}", serde_json::Value::from(name.as_str()))
            })
            .collect();
        RawValue::from_string(format!("{{{}}}", members.join(","))).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn a_tool_is_called_by_its_name() {
        assert_eq!(
            tool_call("say \"hi\"", &raw(r#"{"n":1e400}"#)).get(),
            r#"{"name":"say \"hi\"","arguments":{"n":1e400}}"#
        );
    }

    #[test]
    fn a_tools_own_failure_is_one() {
        assert!(is_tool_error("tools/call", &raw(r#"{"isError":true,"content":[]}"#)));
        assert!(!is_tool_error("tools/call", &raw(r#"{"content":[]}"#)));
        assert!(!is_tool_error("other", &raw(r#"{"isError":true}"#)));
        assert!(!is_tool_error("tools/call", &raw("null")));
    }

    #[test]
    fn pages_become_one_result() {
        let mut pages = Pages::default();
        assert_eq!(
            pages.add(&raw(r#"{"tools":[{"n":1e400}],"nextCursor":"p2","_meta":1}"#)).as_deref(),
            Some("p2")
        );
        assert_eq!(pages.add(&raw(r#"{"tools":[2,3],"_meta":2}"#)), None);
        assert_eq!(pages.merged().unwrap().get(), r#"{"_meta":2,"tools":[{"n":1e400},2,3]}"#);
        assert_eq!(with_cursor(&raw(r#"{"a":1}"#), "p2").get(), r#"{"a":1,"cursor":"p2"}"#);
    }

    #[test]
    fn a_result_that_is_no_object_has_no_pages() {
        let mut pages = Pages::default();
        assert_eq!(pages.add(&raw("[1]")), None);
        assert!(pages.merged().is_none());
    }
}
