//! The Model Context Protocol, revision 2025-11-25. Sources are pages of that revision, below `basic/` where no other
//! folder is named.

use super::{Id, Level, Rule, rules};

const LIFECYCLE: Option<&str> = Some("lifecycle#initialization");
const VERSIONS: Option<&str> = Some("lifecycle#version-negotiation");
const SHUTDOWN: Option<&str> = Some("lifecycle#shutdown");
const REQUESTS: Option<&str> = Some("index#requests");
const RESPONSES: Option<&str> = Some("index#responses");
const NOTIFICATIONS: Option<&str> = Some("index#notifications");
const STDIO: Option<&str> = Some("transports#stdio");
const META: Option<&str> = Some("index#_meta");
const JSON_RPC_ERRORS: Option<&str> = Some("JSON-RPC 2.0, section 5.1");

rules! {
    C01 Must None, [], LIFECYCLE, "initialize that asks for 2025-11-25 gets a result with a protocolVersion that there is, within the start budgets";
    C02 Must None, [C01], Some("schema#clientcapabilities"), "initialize with a capability and a member that nobody knows gets the same version";
    C03 Must None, [], RESPONSES, "the answer to initialize carries its id, as the same integer";
    C04 Must None, [C01], VERSIONS, "initialize that asks for version 1999-01-01 gets another version, or error -32602";
    C05 Must None, [C01], Some("schema#initializeresult"), "the members of the opening have the types that the schema gives them";
    C06 Must None, [C01], NOTIFICATIONS, "notifications/initialized gets no frame in answer within 300ms";
    C07 Should None, [], LIFECYCLE, "a server that was told nothing for 1s has sent no message, and runs";
    C08 Must None, [C01], Some("utilities/ping#behavior-requirements"), "ping gets one answer";
    C09 Should None, [C08], Some("utilities/ping#behavior-requirements"), "the answer to ping is an object, and of 100 pings 99 are answered within 50ms";
    C10 Must None, [C08], RESPONSES, "an unknown request gets an error, and the next ping is answered";
    C11 Must None, [C08], NOTIFICATIONS, "an unknown notification gets no frame, and the next ping is answered";
    C12 Must None, [C08], NOTIFICATIONS, "notifications/cancelled of an unknown id gets no frame, and the next ping is answered";
    C14 Should None, [C08], None, "an answer with an id never used gets no frame, and the next ping is answered";
    C16 Must None, [C08], RESPONSES, "100 pings in one write get 100 answers, each id once, and nothing more within 300ms";
    C17 Must None, [C08], REQUESTS, "the ids \"one\", 1 and 2147483647 are given back exactly";
    C18 Must None, [C08], STDIO, "a frame that comes in three writes, 50ms apart, is answered";
    C19 Should None, [C08 C18], None, "a ping of 1 MiB is answered";
    C20 Should None, [C19], None, "a ping of 8 MiB is answered within 30s";
    C21 Must None, [C08], STDIO, "a ping whose _meta holds U+2028, U+0085, an astral character, escaped quotes and ,\"params\":{\"id\":5} gets one answer under the right id";
    C22 Must Some("tools"), [C08], META, "tools/list with _meta gets the same class of answer as without";
    C23 Must None, [], STDIO, "whole run: stdout has frames and blank lines, and nothing else";
    C24 Must None, [], STDIO, "whole run: each frame ends with LF and is UTF-8, and there is no BOM";
    C25 Must None, [], RESPONSES, "whole run: each frame is a message, with exactly one of result and error where it is an answer";
    C26 Must None, [], RESPONSES, "whole run: no id is answered twice, and no frame is beyond the manifest's wire.max_frame";
    C27 Should Some("tools"), [C08], Some("server/tools#error-handling"), "tools/call whose name is a number gets error -32602, and the next ping is answered";
    C28 Should Some("tools, prompts or resources"), [C08], Some("lifecycle#capability-negotiation"), "the list of each capability of the opening is answered by a result, and the next ping is answered";
    C29 Should None, [C10], JSON_RPC_ERRORS, "the error of an unknown request has code -32601";
    C30 Must None, [C16 C18], RESPONSES, "4000 pings while stdout is not read for 1.5s are all answered once it is read again";
    C31 Should None, [C08], JSON_RPC_ERRORS, "the line `not json` is ignored or gets -32700, and the next ping is answered";
    C32 Should Some("conformance.slow_method"), [C08], Some("utilities/cancellation#behavior-requirements"), "a call that is cancelled in flight gets no answer within 2s, and the next ping is answered";
    C35 Should None, [C01], SHUTDOWN, "a server whose stdin is closed ends within stop.exit";
    C36 Should None, [C01], SHUTDOWN, "SIGTERM to its group ends a server within stop.term";
    C37 Should None, [], None, "a server whose stdin is closed before initialize ends within stop.exit";
    C38 Should None, [], None, "nothing of a server is left 500ms after its end";
    C40 Must Some("conformance.slow_method"), [C01], Some("utilities/progress#behavior-requirements"), "progress has the token that was given and rises, and nothing comes after the answer";
}
