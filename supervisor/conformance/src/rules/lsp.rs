//! The Language Server Protocol, version 3.17. Sources are sections of its specification, by the anchors that it has.

use super::{Id, Level, Rule, rules};

const INITIALIZE: Option<&str> = Some("#initialize");
const REQUEST: Option<&str> = Some("#requestMessage");
const RESPONSE: Option<&str> = Some("#responseMessage");
const NOTIFICATION: Option<&str> = Some("#notificationMessage");
const HEADER: Option<&str> = Some("#headerPart");
const DOLLAR: Option<&str> = Some("#dollarRequests");

rules! {
    C01 Must None, [], INITIALIZE, "initialize gets a result with capabilities, within the start budgets";
    C02 Should None, [C01], Some("#clientCapabilities"), "initialize with a capability that nobody knows gets a result all the same";
    C03 Must None, [], RESPONSE, "the answer to initialize carries its id, as the same integer";
    C05 Must None, [C01], Some("#initializeResult"), "the members of the opening have the types that the protocol gives them";
    C06 Must None, [C01], NOTIFICATION, "initialized gets no frame in answer within 300ms";
    C07 Must None, [], INITIALIZE, "a server that was told nothing for 1s has sent no message, and runs";
    C08 Must None, [C01], REQUEST, "a request that no server knows gets one answer";
    C10 Must None, [C08], DOLLAR, "the request $/no/such gets error -32601, and the next one is answered";
    C11 Must None, [C08], NOTIFICATION, "an unknown notification gets no frame, and the next request is answered";
    C12 Must None, [C08], DOLLAR, "$/nope and $/cancelRequest of an unknown id get no frame, and the next request is answered";
    C14 Should None, [C08], None, "an answer with an id never used gets no frame, and the next request is answered";
    C16 Must None, [C08], REQUEST, "100 requests in one write get 100 answers, each id once, and nothing more within 300ms";
    C17 Must None, [C08], REQUEST, "the ids \"one\", 1 and 2147483647 are given back exactly";
    C18 Must None, [C08], HEADER, "a frame that comes in three writes, 50ms apart, is answered";
    C19 Should None, [C08 C18], None, "a request of 1 MiB is answered";
    C20 Should None, [C19], None, "a request of 8 MiB is answered within 30s";
    C21 Must None, [C08], HEADER, "a request with U+2028, U+0085, an astral character, escaped quotes and ,\"params\":{\"id\":5} gets one answer under the right id";
    C23 Must None, [], Some("#baseProtocol"), "whole run: between frames nothing stands on stdout";
    C24 Must None, [], HEADER, "whole run: each header says the bytes of its frame, which is UTF-8 and whole";
    C25 Must None, [C24], RESPONSE, "whole run: each frame is a message, with exactly one of result and error where it is an answer";
    C26 Must None, [], RESPONSE, "whole run: no id is answered twice, and no frame is beyond the manifest's wire.max_frame";
    C29 Should None, [C10], Some("#errorCodes"), "the error of the unknown request no/such has code -32601";
    C30 Must None, [C16 C18], REQUEST, "4000 requests while stdout is not read for 1.5s are all answered once it is read again";
    C31 Should None, [C08], Some("#errorCodes"), "a frame that holds `not json` is ignored or gets -32700, and the next request is answered";
    C32 Must Some("conformance.slow_method"), [C01], Some("#cancelRequest"), "a call that is cancelled in flight gets one answer within 2s, an error or a result";
    C33 Must None, [C01], Some("#shutdown"), "shutdown gets the result null within stop.shutdown";
    C34 Should None, [C33], Some("#exit"), "exit after shutdown ends the server with status 0 within stop.exit";
    C35 Should None, [C01], None, "a server whose stdin is closed ends within stop.exit";
    C36 Should None, [C01], None, "SIGTERM to its group ends a server within stop.term";
    C37 Should None, [], None, "a server whose stdin is closed before initialize ends within stop.exit";
    C38 Should None, [], None, "nothing of a server is left 500ms after its end";
    C39 Should None, [C33], Some("#shutdown"), "a request after shutdown was answered gets an error or no answer, and is no crash";
}
