package outboard

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"outboard.example/outboard/internal/wire"
)

// State is how a plugin is, in its own words.
type State string

// A plugin is well, not as well as it should be, in want of a restart, or at work on something other than calls.
// StateReady ends the other three, and a start with Plugin.Starting.
const (
	StateReady     State = "ready"
	StateDegraded  State = "degraded"
	StateUnhealthy State = "unhealthy"
	StateBusy      State = "busy"
)

// Level is how bad or how chatty a log line is.
type Level string

// The levels of the plugin's log.
const (
	LevelTrace Level = "trace"
	LevelDebug Level = "debug"
	LevelInfo  Level = "info"
	LevelWarn  Level = "warn"
	LevelError Level = "error"
)

// Host is a handle on the host: calls to other plugins, events, the plugin's status. It is safe for use by several
// goroutines.
type Host struct {
	mu      sync.Mutex
	outlet  *outlet
	running bool
	status  json.RawMessage
	lastID  int64
	pending map[wire.ID]chan wire.Response
	gone    chan struct{}
}

// nowhere is where things are said before the plugin runs.
var nowhere = &outlet{closed: true, maxFrame: wire.DefaultMaxFrame, maxDepth: wire.DefaultMaxDepth}

func newHost() *Host { return &Host{outlet: nowhere, status: json.RawMessage("{}")} }

// Status says how the plugin is; probes are answered with it until the next one. A message of "" is left out, and so
// is expected, for how long it may last, when it is 0.
func (h *Host) Status(state State, message string, expected time.Duration) {
	// A text and a number are always JSON.
	status, _ := json.Marshal(struct {
		State    State  `json:"state"`
		Message  string `json:"message,omitempty"`
		Expected int64  `json:"expectedMs,omitempty"`
	}{state, message, expected.Milliseconds()})
	h.mu.Lock()
	h.status = status
	if state == StateReady {
		h.status = json.RawMessage("{}")
	}
	h.mu.Unlock()
	h.tell("$/status", json.RawMessage(status))
}

// Log writes a line to the plugin's log, with fields beside the sentence. Package log/slog ends there as well, and is
// the usual way.
func (h *Host) Log(level Level, message string, fields map[string]any) {
	h.log(level, "", message, fields)
}

func (h *Host) log(level Level, logger, message string, fields map[string]any) {
	line := struct {
		Level   Level          `json:"level"`
		Message string         `json:"message"`
		Logger  string         `json:"logger,omitempty"`
		Fields  map[string]any `json:"fields,omitempty"`
	}{level, message[:min(len(message), 64<<10)], logger, fields}
	if h.out().notify("$/log", line) != nil {
		// Fields that are no JSON, or too many: the sentence is what counts.
		line.Fields = nil
		h.tell("$/log", line)
	}
}

// tell sends what is known to be JSON and small.
func (h *Host) tell(method string, params any) { _ = h.out().notify(method, params) }

// Call calls another plugin and stores its result in result, unless that is nil.
//
// The call is part of the one that ctx belongs to: its trace goes along, and the context's deadline bounds it. The
// error is an *[Error] with the callee's or the host's words, or the context's.
func (h *Host) Call(ctx context.Context, plugin, method string, params, result any) error {
	if params == nil {
		params = struct{}{}
	}
	request := struct {
		Plugin  string                     `json:"plugin"`
		Method  string                     `json:"method"`
		Params  any                        `json:"params"`
		Timeout int64                      `json:"timeoutMs,omitempty"`
		Meta    map[string]json.RawMessage `json:"_meta,omitempty"`
	}{Plugin: plugin, Method: method, Params: params, Meta: trace(ctx)}
	if deadline, is := ctx.Deadline(); is {
		request.Timeout = max(1, untilHost(ctx, deadline).Milliseconds())
	}
	answer, err := h.request(ctx, "host/call", request)
	if err != nil || result == nil {
		return err
	}
	return json.Unmarshal(answer, result)
}

// Publish publishes an event and gives how many plugins it was handed to.
func (h *Host) Publish(ctx context.Context, topic string, data any) (delivered int, err error) {
	answer, err := h.request(ctx, "host/publish", event(ctx, topic, data))
	if err != nil {
		return 0, err
	}
	var result struct {
		Delivered int `json:"delivered"`
	}
	err = json.Unmarshal(answer, &result)
	return result.Delivered, err
}

// PublishNow publishes an event without asking what became of it. The error is about data that is no JSON, or larger
// than the host takes.
func (h *Host) PublishNow(ctx context.Context, topic string, data any) error {
	return h.out().notify("host/publish", event(ctx, topic, data))
}

// Info gives the host's name and version, its uptime, and the plugins that this one may call, as JSON.
func (h *Host) Info(ctx context.Context) (json.RawMessage, error) {
	return h.request(ctx, "host/info", struct{}{})
}

func event(ctx context.Context, topic string, data any) any {
	return struct {
		Topic string                     `json:"topic"`
		Data  any                        `json:"data"`
		Meta  map[string]json.RawMessage `json:"_meta,omitempty"`
	}{topic, data, trace(ctx)}
}

// trace is the trace context of the call that ctx belongs to.
func trace(ctx context.Context) map[string]json.RawMessage {
	call := CallFrom(ctx)
	if call == nil {
		return nil
	}
	found := map[string]json.RawMessage{}
	for _, key := range []string{"traceparent", "tracestate", "baggage"} {
		if value, is := call.Meta[key]; is {
			found[key] = value
		}
	}
	return found
}

func (h *Host) request(ctx context.Context, method string, params any) (json.RawMessage, error) {
	h.mu.Lock()
	if !h.running {
		h.mu.Unlock()
		return nil, Errorf(CodeNotReady, "the plugin is not running")
	}
	h.lastID++
	id, answer, gone := wire.NumberID(h.lastID), make(chan wire.Response, 1), h.gone
	h.pending[id] = answer
	out := h.outlet
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		delete(h.pending, id)
		h.mu.Unlock()
	}()
	if err := out.request(id, method, params); err != nil {
		return nil, err
	}
	select {
	case response := <-answer:
		if err := response.Error; err != nil {
			return nil, remoteError(err)
		}
		return response.Result, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-gone:
		return nil, errHostGone
	}
}

func remoteError(err *wire.RemoteError) *Error {
	found := &Error{Code: err.Code, Message: err.Message}
	if len(err.Data) > 0 {
		found.Data = err.Data
	}
	return found
}

func (h *Host) out() *outlet {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.outlet
}

func (h *Host) pingResult() []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.status
}

func (h *Host) attach(out *outlet) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.outlet, h.running, h.status = out, true, json.RawMessage("{}")
	h.pending, h.gone = map[wire.ID]chan wire.Response{}, make(chan struct{})
}

// answered hands an answer on. One that was not asked for, or given up meanwhile, is nobody's.
func (h *Host) answered(response wire.Response) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if answer, is := h.pending[response.ID]; is {
		delete(h.pending, response.ID)
		answer <- response
	}
}

func (h *Host) detach() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.running {
		h.running = false
		close(h.gone)
	}
}
