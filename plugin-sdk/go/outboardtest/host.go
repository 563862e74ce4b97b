// Package outboardtest is a host in memory, for unit tests: no process, no supervisor, real frames.
//
//	func TestEcho(t *testing.T) {
//		host := outboardtest.Open(t, plugin)
//		var got map[string]int
//		if err := host.Call("echo", map[string]int{"a": 1}, &got); err != nil {
//			t.Fatal(err)
//		}
//	}
//
// The host checks what the plugin writes: a frame that is no message, a second answer, or progress that nobody asked
// for fails the test.
package outboardtest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"outboard.example/outboard"
	"outboard.example/outboard/internal/wire"
)

// Host is a host with one plugin. Its methods may be used by several goroutines.
type Host struct {
	t       testing.TB
	timeout time.Duration
	input   *pipe
	ended   chan struct{}
	err     error
	framer  *wire.Framer

	mu         sync.Mutex
	news       chan struct{}
	opening    json.RawMessage
	logs       []Log
	statuses   []Status
	published  []Published
	called     []Called
	violations []string
	others     map[string]func(params json.RawMessage) (any, error)
	pending    map[wire.ID]*Pending
	lastID     int64
	seq        int64
}

// Log is what a plugin logged.
type Log struct {
	Level, Message, Logger string
	Fields                 map[string]any
}

// Status is what a plugin said of itself.
type Status struct {
	State, Message string
	ExpectedMs     int64
}

// Published is an event that a plugin published.
type Published struct {
	Topic string
	Data  json.RawMessage
}

// Called is a call that a plugin made of another one.
type Called struct {
	Plugin, Method string
	Params         json.RawMessage
	TimeoutMs      int64
	Meta           map[string]json.RawMessage `json:"_meta"`
}

// Option says how to open a plugin.
type Option func(*options)

type options struct {
	config, capabilities, limits any
	timeout                      time.Duration
}

// Config is the manifest's [config]: anything that is JSON.
func Config(config any) Option { return func(o *options) { o.config = config } }

// Limits are the host's: the largest frame that it takes, in bytes, and how deep one may nest.
func Limits(maxFrameBytes, maxDepth int) Option {
	return func(o *options) {
		o.limits = map[string]int{"maxFrameBytes": maxFrameBytes, "maxDepth": maxDepth}
	}
}

// WaitAtMost is how long each wait may last before the test fails: 10 s unless said. Nothing is slow for it.
func WaitAtMost(limit time.Duration) Option { return func(o *options) { o.timeout = limit } }

// Open opens plugin, and closes it at the end of the test. The test fails when the plugin refuses.
func Open(t testing.TB, plugin *outboard.Plugin, opts ...Option) *Host {
	t.Helper()
	host, err := TryOpen(t, plugin, opts...)
	if err != nil {
		t.Fatalf("the plugin refuses to open: %v", err)
	}
	return host
}

// TryOpen is Open for plugins that may refuse; the error is an *[outboard.Error].
func TryOpen(t testing.TB, plugin *outboard.Plugin, opts ...Option) (*Host, error) {
	t.Helper()
	o := options{config: struct{}{}, limits: struct{}{}, timeout: 10 * time.Second}
	o.capabilities = map[string]any{"call": []string{"*"}, "publish": []string{"*"}, "events": true}
	for _, opt := range opts {
		opt(&o)
	}
	host := Unopened(t, plugin, opts...)
	err := host.Request("initialize", map[string]any{
		"protocolVersions": []int{1},
		"hostInfo":         map[string]string{"name": "fake", "version": "0"},
		"plugin":           map[string]any{"id": plugin.Name, "instance": plugin.Name + "-0", "generation": 1},
		"config":           o.config,
		"capabilities":     o.capabilities,
		"limits":           o.limits,
	}, &host.opening)
	if err == nil {
		host.Notify("initialized", struct{}{})
	}
	return host, err
}

// Unopened gives a host that has said nothing yet.
func Unopened(t testing.TB, plugin *outboard.Plugin, opts ...Option) *Host {
	o := options{timeout: 10 * time.Second}
	for _, opt := range opts {
		opt(&o)
	}
	h := &Host{
		t:       t,
		timeout: o.timeout,
		input:   newPipe(),
		ended:   make(chan struct{}),
		framer:  wire.NewFramer(wire.DefaultMaxFrame),
		news:    make(chan struct{}),
		others:  map[string]func(json.RawMessage) (any, error){},
		pending: map[wire.ID]*Pending{},
	}
	go func() {
		h.err = plugin.Serve(context.Background(), h.input, h)
		close(h.ended)
		h.tell()
	}()
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		for _, violation := range h.Violations() {
			t.Error("against the protocol: " + violation)
		}
	})
	return h
}

// Close closes the plugin's stdin and waits for its end. The second time it does nothing.
func (h *Host) Close() error {
	h.input.close()
	select {
	case <-h.ended:
		return h.err
	case <-time.After(h.timeout):
		return fmt.Errorf("the plugin did not end when its stdin was closed")
	}
}

// Opening is the result of initialize.
func (h *Host) Opening() json.RawMessage { return h.opening }

// Logs, Statuses, Published and Called give what the plugin said so far, in order.
func (h *Host) Logs() []Log { return locked(h, &h.logs) }

// Statuses gives what the plugin said of itself.
func (h *Host) Statuses() []Status { return locked(h, &h.statuses) }

// Published gives the events that the plugin published.
func (h *Host) Published() []Published { return locked(h, &h.published) }

// Called gives the calls that the plugin made of others.
func (h *Host) Called() []Called { return locked(h, &h.called) }

// Violations gives what the plugin did against the protocol.
func (h *Host) Violations() []string { return locked(h, &h.violations) }

// Forgive forgets what the plugin did against the protocol: for tests of just that.
func (h *Host) Forgive() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.violations = nil
}

func locked[T any](h *Host, list *[]T) []T {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]T(nil), *list...)
}

// Provide answers the plugin's own calls of another one. An *[outboard.Error] is an answer too.
func (h *Host) Provide(plugin, method string, act func(params json.RawMessage) (any, error)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.others[plugin+"."+method] = act
}

// CallOption says more of a call.
type CallOption func(meta map[string]any)

// Deadline is how long the call may take.
func Deadline(left time.Duration) CallOption {
	return func(meta map[string]any) { meta["deadlineMs"] = left.Milliseconds() }
}

// Meta sets a member of _meta.
func Meta(key string, value any) CallOption {
	return func(meta map[string]any) { meta[key] = value }
}

// Call calls a method and stores its result in result, unless that is nil. The error is an *[outboard.Error].
func (h *Host) Call(method string, params, result any, opts ...CallOption) error {
	h.t.Helper()
	return h.Start(method, params, opts...).Result(result)
}

// Start sends a call and does not wait. params are anything that is a JSON object, or nil.
func (h *Host) Start(method string, params any, opts ...CallOption) *Pending {
	h.t.Helper()
	h.mu.Lock()
	token := fmt.Sprintf("t%d", h.lastID+1)
	h.mu.Unlock()
	meta := map[string]any{"caller": "test", "progressToken": token}
	for _, opt := range opts {
		opt(meta)
	}
	text := h.encode(params)
	if params == nil {
		text = []byte("{}")
	}
	if text[0] == '{' {
		// Spliced in, as the host does, so that the rest stays as it is.
		more := ""
		if string(text) != "{}" {
			more = ","
		}
		text = append([]byte(`{"_meta":`+string(h.encode(meta))+more), text[1:]...)
	}
	return h.send(method, text, token)
}

// Request sends one of the protocol's own requests, and waits for its answer.
func (h *Host) Request(method string, params, result any) error {
	h.t.Helper()
	return h.send(method, h.encode(params), "").Result(result)
}

// Ping gives what the plugin says of itself.
func (h *Host) Ping() Status {
	h.t.Helper()
	var status Status
	if err := h.Request("ping", struct{}{}, &status); err != nil {
		h.t.Fatalf("ping: %v", err)
	}
	return status
}

// Drain asks the plugin to finish its calls.
func (h *Host) Drain(limit time.Duration) error {
	return h.Request("drain", map[string]int64{"deadlineMs": limit.Milliseconds()}, nil)
}

// Shutdown asks the plugin to shut down.
func (h *Host) Shutdown() error {
	return h.Request("shutdown", map[string]any{"reason": "stop", "deadlineMs": 5000}, nil)
}

// ChangeConfig gives the plugin a new configuration.
func (h *Host) ChangeConfig(config any) error {
	return h.Request("config/changed", map[string]any{"config": config, "revision": 2}, nil)
}

// Emit delivers an event.
func (h *Host) Emit(topic string, data any) {
	h.mu.Lock()
	h.seq++
	seq := h.seq
	h.mu.Unlock()
	h.Notify("event", map[string]any{
		"topic": topic, "seq": seq, "source": "test", "timeMs": time.Now().UnixMilli(), "missed": 0, "data": data,
	})
}

// Notify sends a notification.
func (h *Host) Notify(method string, params any) {
	h.Send(fmt.Sprintf(`{"jsonrpc":"2.0","method":%q,"params":%s}`, method, h.encode(params)))
}

// Send sends a line as it is.
func (h *Host) Send(line string) { h.input.write(line + "\n") }

// Wait waits until something is so; it looks each time when the plugin has said something.
func (h *Host) Wait(what string, until func() bool) {
	h.t.Helper()
	late := time.After(h.timeout)
	for {
		h.mu.Lock()
		news := h.news
		h.mu.Unlock()
		if until() {
			return
		}
		select {
		case <-news:
			continue
		case <-h.ended:
			if !until() {
				h.t.Fatalf("waited for %s; the plugin has ended", what)
			}
			return
		case <-late:
			h.t.Fatalf("waited for %s; nothing came in %v", what, h.timeout)
		}
	}
}

func (h *Host) encode(value any) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		h.t.Fatalf("no JSON: %v", err)
	}
	if raw, is := value.(json.RawMessage); is {
		return raw
	}
	return text
}

func (h *Host) send(method string, params []byte, token string) *Pending {
	h.mu.Lock()
	h.lastID++
	id := wire.NumberID(h.lastID)
	pending := &Pending{host: h, id: id, token: token}
	h.pending[id] = pending
	h.mu.Unlock()
	h.Send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":%q,"params":%s}`, id, method, params))
	return pending
}

func (h *Host) tell() {
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.news)
	h.news = make(chan struct{})
}

// Write takes what the plugin writes.
func (h *Host) Write(data []byte) (int, error) {
	h.mu.Lock()
	h.framer.Feed(data, func(item wire.Item) {
		if frame, is := item.(wire.Frame); is {
			h.take(wire.Decode(frame, wire.DefaultMaxDepth))
		} else {
			h.violate("not a frame: %v", item)
		}
	})
	h.mu.Unlock()
	h.tell()
	return len(data), nil
}

var _ io.Writer = (*Host)(nil)

func (h *Host) violate(format string, args ...any) {
	h.violations = append(h.violations, fmt.Sprintf(format, args...))
}

// take runs with h.mu held, as what it calls does.
func (h *Host) take(message wire.Message) {
	switch message := message.(type) {
	case wire.Response:
		pending := h.pending[message.ID]
		if pending == nil || pending.answer != nil {
			h.violate("an answer that nobody waits for: %s", message.ID)
			return
		}
		pending.answer = &message
	case wire.Request:
		h.asked(message)
	case wire.Notification:
		h.notified(message)
	default:
		h.violate("not a message: %v", message)
	}
}

func (h *Host) asked(request wire.Request) {
	var act func() (any, error)
	switch request.Method {
	case "host/info":
		act = func() (any, error) { return map[string]any{"hostInfo": map[string]string{"name": "fake"}}, nil }
	case "host/publish":
		read(h, request.Params, &h.published)
		act = func() (any, error) { return map[string]int{"delivered": 1}, nil }
	case "host/call":
		called := read(h, request.Params, &h.called)
		other := h.others[called.Plugin+"."+called.Method]
		act = func() (any, error) {
			if other == nil {
				return nil, outboard.Errorf(
					outboard.CodeMethodNotFound, "nobody provides %s.%s", called.Plugin, called.Method)
			}
			return other(called.Params)
		}
	default:
		act = func() (any, error) {
			return nil, outboard.Errorf(outboard.CodeMethodNotFound, "the host has no such method")
		}
	}
	go func() {
		result, err := act()
		member := fmt.Sprintf(`"result":%s`, h.encode(result))
		if err != nil {
			member = fmt.Sprintf(`"error":%s`, h.encode(errorBody(err)))
		}
		h.Send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,%s}`, request.ID, member))
	}()
}

func (h *Host) notified(note wire.Notification) {
	switch note.Method {
	case "$/log":
		read(h, note.Params, &h.logs)
	case "$/status":
		read(h, note.Params, &h.statuses)
	case "host/publish":
		read(h, note.Params, &h.published)
	case "$/progress":
		h.progressed(note.Params)
	default:
		h.violate("an unknown notification: %s", note.Method)
	}
}
