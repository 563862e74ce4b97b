//! The protocol of this repository, version 1: all forty.

use super::{Id, Level, Rule, rules};

rules! {
    C01 Must None, [], None, "initialize that offers version 1 gets a result with protocolVersion 1, within the start budgets";
    C02 Must None, [], None, "initialize that offers versions 999 and 1, and has an unknown member, gets version 1";
    C03 Must None, [], None, "the answer to initialize carries its id, as the same integer";
    C04 Should None, [], None, "initialize that offers version 999 alone gets an error, no result";
    C05 Must None, [C01], None, "the members of the opening have the types that the protocol gives them";
    C06 Must None, [C01], None, "initialized gets no frame in answer within 300ms";
    C07 Should None, [], None, "a plugin that was told nothing for 1s has written nothing to stdout, and runs";
    C08 Must None, [C01], None, "ping gets one answer";
    C09 Should None, [C08], None, "the answer to ping is an object, and of 100 pings 99 are answered within 50ms";
    C10 Must None, [C08], None, "an unknown request gets error -32601, and the next ping is answered";
    C11 Must None, [C08], None, "an unknown notification gets no frame, and the next ping is answered";
    C12 Must None, [C08], None, "$/nope and $/cancel of an unknown id get no frame, and the next ping is answered";
    C13 Must None, [C08], None, "an event that was not subscribed to gets no frame, and the next ping is answered";
    C14 Must None, [C08], None, "an answer with an id never used gets no frame, and the next ping is answered";
    C15 Must None, [C08], None, "config/changed gets an answer: applied, or -32601 without supports.configReload";
    C16 Must None, [C08], None, "100 pings in one write get 100 answers, each id once, and nothing more within 300ms";
    C17 Must None, [C08], None, "the ids 1 and 2147483647 are given back exactly";
    C18 Must None, [C08], None, "a frame that comes in three writes, 50ms apart, is answered";
    C19 Must None, [C08 C18], None, "a ping of 1 MiB is answered";
    C20 Should None, [C19], None, "a ping of 8 MiB is answered within 30s";
    C21 Must Some("a declared method"), [C08], None, "text with U+2028, U+0085, an astral character, escaped quotes and ,\"params\":{\"id\":5} gets one answer under the right id; echo gives it back unchanged";
    C22 Must Some("supports.meta and a declared method"), [C21], None, "a call with _meta gets the same class of answer as without";
    C23 Must None, [], None, "whole run: stdout has frames and blank lines, and nothing else";
    C24 Must None, [], None, "whole run: each frame ends with LF and is UTF-8, and there is no BOM";
    C25 Must None, [], None, "whole run: each frame is a message, with exactly one of result and error where it is an answer";
    C26 Must None, [], None, "whole run: no id is answered twice, and frames are within the caps given";
    C27 Should Some("a declared method with a schema"), [C08], None, "params of the wrong type get -32602, and the next ping is answered";
    C28 Should Some("a declared method"), [C08], None, "each declared method, called with {}, answers within its timeoutMs, and the plugin lives on";
    C29 Should None, [], None, "whole run: error codes are JSON-RPC's own, the protocol's, or outside the ranges kept back";
    C30 Must None, [C16 C18], None, "20000 pings while stdout is not read for 1.5s are all answered once it is read again";
    C31 Should None, [C08], None, "the line `not json` is ignored or gets -32700, and the next ping is answered";
    C32 Must Some("supports.cancel and conformance.slow_method"), [C01], None, "a call that is cancelled in flight gets one answer within 2s: -32800, or a result";
    C33 Must None, [C01], None, "shutdown is answered within 2s";
    C34 Must None, [C33], None, "exit after shutdown ends the plugin with status 0 within 2s";
    C35 Must None, [C01], None, "a plugin whose stdin is closed ends within 2s";
    C36 Must None, [C01], None, "SIGTERM to its group ends a plugin within 2s";
    C37 Must None, [], None, "a plugin whose stdin is closed before initialize ends within 2s";
    C38 Must None, [], None, "nothing of a plugin is left 500ms after its end";
    C39 Should Some("a declared method"), [C33], None, "a call after shutdown was answered gets -31008 or no answer, and is no crash";
    C40 Must Some("supports.progress, supports.meta and conformance.slow_method"), [C01], None, "progress has the token that was given and rises, and nothing comes after the answer";
}
