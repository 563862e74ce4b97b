package wire

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// DefaultMaxDepth is how deep a frame may nest, its outer object included.
const DefaultMaxDepth = 128

const maxMethod = 256

// Message is what a frame says: a [Request], [Notification], [Response], [OrphanError] or [Reject].
type Message interface{ message() }

// Request wants an answer. Params are nil where there were none, or null.
type Request struct {
	ID     ID
	Method string
	Params json.RawMessage
}

// Notification wants none.
type Notification struct {
	Method string
	Params json.RawMessage
}

// Response answers a request: with Error, or with Result where that is nil.
type Response struct {
	ID     ID
	Result json.RawMessage
	Error  *RemoteError
}

// OrphanError is an error with a null id: the peer could not read something, and nobody can say what.
type OrphanError struct{ Error *RemoteError }

// Reject says why a frame is no message, and whose request it was, where that can be told.
type Reject struct {
	// Reason is "json", "depth", "jsonrpc", "id", "method", "params", "shape" or "error".
	Reason string
	Salvaged
}

// RemoteError is the error object of an answer.
type RemoteError struct {
	Code    int             `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data,omitempty"`
}

func (Request) message()      {}
func (Notification) message() {}
func (Response) message()     {}
func (OrphanError) message()  {}
func (Reject) message()       {}

// Decode reads one frame. maxDepth counts the outer object as 1.
func Decode(text []byte, maxDepth int) Message {
	if !DepthWithin(text, maxDepth) {
		head, tail := text[:min(len(text), Head)], text[max(0, len(text)-TailBytes):]
		return Reject{"depth", Salvage(head, tail)}
	}
	// A struct would take members in any case of letters.
	var envelope map[string]json.RawMessage
	if json.Unmarshal(text, &envelope) != nil {
		return Reject{Reason: "json"}
	}
	return judgeEnvelope(envelope)
}

func judgeEnvelope(envelope map[string]json.RawMessage) Message {
	rawID, hasID := envelope["id"]
	id := ParseID(rawID)
	rawMethod, request := envelope["method"]
	result, hasResult := envelope["result"]
	rawError, hasError := envelope["error"]
	reject := func(reason string) Message { return Reject{reason, Salvaged{id, request}} }

	var version string
	if json.Unmarshal(envelope["jsonrpc"], &version) != nil || version != "2.0" {
		return reject("jsonrpc")
	}
	if request {
		var method string
		params := envelope["params"]
		switch {
		case json.Unmarshal(rawMethod, &method) != nil || method == "" || len(method) > maxMethod:
			return reject("method")
		case hasResult || hasError:
			return reject("shape")
		case hasID && id == "":
			return reject("id")
		case isNull(params):
			params = nil
		case params[0] != '{' && params[0] != '[':
			return reject("params")
		}
		if id == "" {
			return Notification{method, params}
		}
		return Request{id, method, params}
	}
	failed := hasError && !isNull(rawError)
	switch {
	case id == "" && !(hasID && isNull(rawID) && failed):
		return reject("id")
	case !failed && (id == "" || !hasResult):
		return reject("shape")
	case !failed:
		return Response{ID: id, Result: result}
	case hasResult && !isNull(result):
		return reject("shape")
	}
	remote := readError(rawError)
	switch {
	case remote == nil:
		return reject("error")
	case id == "":
		return OrphanError{remote}
	default:
		return Response{ID: id, Error: remote}
	}
}

func isNull(value json.RawMessage) bool {
	return len(value) == 0 || bytes.Equal(value, []byte("null"))
}

func readError(raw json.RawMessage) *RemoteError {
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil {
		return nil
	}
	code, err := strconv.Atoi(string(members["code"]))
	if err != nil {
		return nil
	}
	message := members["message"]
	if len(message) == 0 || message[0] != '"' {
		return nil
	}
	remote := &RemoteError{Code: code, Data: members["data"]}
	if json.Unmarshal(message, &remote.Message) != nil {
		return nil
	}
	return remote
}

// DepthWithin says whether brackets nest at most so deep.
func DepthWithin(text []byte, maxDepth int) bool {
	depth, quoted := 0, false
	for at := 0; at < len(text); at++ {
		switch c := text[at]; {
		case quoted && c == '\\':
			at++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return false
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return true
}
