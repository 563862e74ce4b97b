//! Clients of a language server: editors.
//!
//! The server has one session, with the host, which a client finds open. What belongs to the client is kept here, so
//! that it outlives the server's process: what it has open, and what it answers.

use serde_json::Value;

use super::documents::{CHANGE, CLOSE, OPEN};
use super::mcp::lost;
use super::{Noted, Opening, Session, Shown, Verdict, id_member};
use crate::json::{member, quoted};

/// Requests of a server that a client answers, and where it says that it does.
const ANSWERED: [(&str, &str); 3] = [
    ("workspace/applyEdit", "/workspace/applyEdit"),
    ("window/showDocument", "/window/showDocument/support"),
    ("window/showMessageRequest", "/window/showMessage"),
];

pub(super) fn concerns(method: &str) -> bool {
    matches!(
        method,
        "initialized" | "shutdown" | "exit" | "$/cancelRequest" | OPEN | CHANGE | CLOSE
    )
}

pub(super) fn request(
    session: &mut Session,
    method: &str,
    params: &str,
    opening: Option<&Opening>,
) -> Verdict {
    match (method, opening) {
        ("initialize", None) => Verdict::Waits,
        ("initialize", Some(opening)) => open(session, params, opening),
        // The server stays: it is this client that leaves.
        ("shutdown", _) => Verdict::Done("null".into()),
        _ => Verdict::Call,
    }
}

fn open(session: &mut Session, params: &str, opening: &Opening) -> Verdict {
    let declared = member(params, "capabilities").unwrap_or("{}");
    let declared: Value = serde_json::from_str(declared).unwrap_or_default();
    let says = |place: &str| {
        declared.pointer(place).is_some_and(|value| !value.is_null() && *value != false)
    };
    let answered = ANSWERED.iter().filter(|(_, place)| says(place));
    session.declared = answered.map(|(method, _)| (*method).to_owned()).collect();
    let capabilities = member(&opening.result, "capabilities").unwrap_or("{}");
    session.shown =
        Some(Shown { protocol: opening.protocol.clone(), capabilities: capabilities.to_owned() });
    Verdict::Done(opening.result.clone().into())
}

pub(super) fn note(session: &mut Session, method: &str, params: &str) -> Noted {
    match method {
        "initialized" => {
            session.ready = true;
            Noted::Kept
        }
        "exit" => Noted::Kept,
        "$/cancelRequest" => id_member(params, "id").map_or(Noted::Kept, Noted::Cancel),
        _ => {
            session.documents.note(method, params);
            Noted::Pass
        }
    }
}

/// All that a server says is for the editor, save what names a request.
pub(super) fn hears(session: &Session, method: &str) -> bool {
    session.ready && method != "$/cancelRequest"
}

/// What the server did not get of a document it will not get: the client alone can mend that.
pub(super) fn missed(
    session: &mut Session,
    method: &str,
    params: &str,
    why: &str,
) -> Option<(&'static str, String)> {
    let uri = session.documents.missed(method, params)?;
    let message = format!(
        "outboard: what was said of {uri} did not reach the language server: {why}. Close and open it."
    );
    Some(("window/showMessage", format!("{{\"type\":2,\"message\":{}}}", quoted(&message))))
}

/// A client is told nothing of another process while that offers what the one before did: what it has open was said
/// again. What could not be kept is another matter.
pub(super) fn reopened(
    session: &mut Session,
    shown: &Shown,
    opening: &Opening,
) -> Result<Vec<(&'static str, String)>, String> {
    let was: Value = serde_json::from_str(&shown.capabilities).unwrap_or_default();
    let now = member(&opening.result, "capabilities").unwrap_or("{}");
    let now: Value = serde_json::from_str(now).unwrap_or_default();
    if let Some(lost) = lost(&was, &now, "") {
        return Err(format!(
            "it offered `{lost}` when this session was opened, and no longer does"
        ));
    }
    if was["positionEncoding"] != now["positionEncoding"] {
        return Err(
            "it counts positions in another way than when this session was opened".to_owned()
        );
    }
    session.documents.caught_up();
    let lost = session.documents.lost();
    if lost == 0 || !session.ready {
        return Ok(Vec::new());
    }
    let message = format!(
        "outboard: the language server was restarted, and {lost} open document{} too much to be said to it again. \
         Close and open what it does not know.",
        if lost == 1 { " was" } else { "s were" }
    );
    Ok(vec![("window/showMessage", format!("{{\"type\":2,\"message\":{}}}", quoted(&message)))])
}

#[cfg(test)]
mod tests {
    use super::super::{Speaks, concerns};
    use super::*;
    use crate::id::Id;

    fn server(capabilities: &str) -> Opening {
        Opening {
            protocol: "3".to_owned(),
            result: format!(r#"{{"capabilities":{capabilities}}}"#),
        }
    }

    fn opened(declares: &str) -> Session {
        let mut session = Session::new(Speaks::Lsp);
        let params = format!(r#"{{"capabilities":{declares}}}"#);
        assert_eq!(session.request("initialize", &params, None), Verdict::Waits);
        let server = server(r#"{"hoverProvider":true,"textDocumentSync":{"change":2}}"#);
        let told = session.request("initialize", &params, Some(&server));
        assert_eq!(told, Verdict::Done(server.result.into()));
        assert!(!session.hears("window/logMessage", "{}"), "it is not ready");
        assert_eq!(session.note("initialized", "{}"), Noted::Kept);
        session
    }

    #[test]
    fn an_editor_leaves_and_the_server_stays() {
        let mut editor = opened("{}");
        assert_eq!(editor.request("shutdown", "", None), Verdict::Done("null".into()));
        assert_eq!(editor.note("exit", ""), Noted::Kept);
        assert_eq!(editor.note("$/cancelRequest", r#"{"id":7}"#), Noted::Cancel(Id::Num(7)));
        for method in ["shutdown", "exit", "initialized", "textDocument/didOpen"] {
            assert!(concerns(Speaks::Lsp, method), "{method}");
        }
        assert!(!concerns(Speaks::Lsp, "textDocument/hover"), "calls pass without a look");
        assert!(editor.hears("textDocument/publishDiagnostics", "{}"));
    }

    #[test]
    fn what_did_not_reach_the_server_is_told_once_until_it_is_opened_anew() {
        let mut editor = opened("{}");
        let open = r#"{"textDocument":{"uri":"file:///a","languageId":"x","version":1,"text":""}}"#;
        editor.note(OPEN, open);
        let (method, told) = editor.missed(OPEN, open, "too large").unwrap();
        assert_eq!(method, "window/showMessage");
        assert!(told.contains("file:///a") && told.contains("too large"), "{told}");
        assert_eq!(editor.missed(CHANGE, open, "too large"), None, "it is known");
        editor.note(OPEN, open);
        assert!(editor.missed(OPEN, open, "too large").is_some(), "it was opened anew");
        assert_eq!(
            editor.missed("textDocument/didSave", open, "busy"),
            None,
            "nothing hangs on it"
        );
        editor
            .reopened(&server(r#"{"hoverProvider":true,"textDocumentSync":{"change":2}}"#))
            .unwrap();
        assert!(editor.missed(CHANGE, open, "busy").is_some(), "another process had it whole");
    }

    #[test]
    fn only_what_it_declared_it_is_asked() {
        let editor = opened(
            r#"{"workspace":{"applyEdit":true},"window":{"showDocument":{"support":false}}}"#,
        );
        assert!(editor.answers("workspace/applyEdit"));
        assert!(!editor.answers("window/showDocument"));
        assert!(!editor.answers("workspace/configuration"));
    }

    #[test]
    fn what_is_open_is_said_again_to_the_next_process() {
        let mut editor = opened("{}");
        let open = r#"{"textDocument":{"uri":"file:///a","languageId":"x","version":1,"text":""}}"#;
        assert_eq!(editor.note(OPEN, open), Noted::Pass);
        let again: Vec<_> = editor.documents_again().collect();
        assert_eq!(again, [(OPEN, open)]);
        assert_eq!(editor.closings().len(), 1);
        let same = server(r#"{"textDocumentSync":{"change":2},"hoverProvider":true,"more":1}"#);
        assert_eq!(editor.reopened(&same), Ok(Vec::new()));
        let less = server(r#"{"textDocumentSync":{"change":2}}"#);
        assert!(editor.reopened(&less).unwrap_err().contains("`hoverProvider`"));
        let utf8 = server(
            r#"{"positionEncoding":"utf-8","hoverProvider":true,"textDocumentSync":{"change":2}}"#,
        );
        assert!(editor.reopened(&utf8).is_err());
        let text = serde_json::to_string(&editor).unwrap();
        assert_eq!(serde_json::from_str::<Session>(&text).unwrap(), editor);
    }
}
