package outboard

import (
	"encoding/json"
	"fmt"
)

// Codes of JSON-RPC and of the host that a plugin may meet or use. An application's own are any integers outside
// -32768…-32000 and -31099…-31000.
const (
	CodeInvalidRequest      = -32600
	CodeMethodNotFound      = -32601
	CodeInvalidParams       = -32602
	CodeInternal            = -32603
	CodeDeadline            = -31002
	CodeOverloaded          = -31004
	CodeTooLarge            = -31005
	CodeShuttingDown        = -31008
	CodeNotReady            = -31009
	CodeUnsupportedProtocol = -31010
	CodeCancelled           = -32800
	// CodeApplication is what an error without a code of its own is answered with.
	CodeApplication = 1
)

// Error is an error answer: return one from a handler, wrapped or not, to choose what the caller gets. A call to
// another plugin that is answered with an error returns one.
type Error struct {
	Code    int
	Message string
	// Data is what a program, rather than a person, wants to know; anything that is JSON. In an error that came from
	// outside it is a [json.RawMessage].
	Data any
}

// Errorf makes an error with a code.
func Errorf(code int, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string { return e.Message }

// Retryable tells whether the host says that the same call may be tried again.
func (e *Error) Retryable() bool { return e.hostData().Retryable }

// Class is the host's word for what went wrong, such as "backoff" or "in_flight", or "".
func (e *Error) Class() string { return e.hostData().Class }

type hostData struct {
	Class     string `json:"class"`
	Retryable bool   `json:"retryable"`
}

func (e *Error) hostData() hostData {
	var data hostData
	if raw, is := e.Data.(json.RawMessage); is {
		// What is of another shape is not the host's.
		_ = json.Unmarshal(raw, &data)
	}
	return data
}

// errHostGone is what requests to the host end with when it does.
var errHostGone = &Error{Code: CodeShuttingDown, Message: "the host has gone"}
