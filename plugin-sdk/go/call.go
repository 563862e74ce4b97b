package outboard

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"sync"
	"time"
)

// grace is how much later than the host the plugin notices a deadline. The host has answered the caller by then and has
// said $/cancel; that it was late, and by how much, is for the host to tell.
const grace = 100 * time.Millisecond

// Call is what a handler knows of the call that it answers, beside the params. Its deadline and its cancellation are
// in the context.
type Call struct {
	// Method that was called.
	Method string
	// Meta is what the host and the caller said beside the params: trace context and the like.
	Meta map[string]json.RawMessage

	host *Host
	came time.Time

	mu       sync.Mutex
	progress float64
	done     bool
}

// untilHost is the time that the host gives what has this deadline, by its own clock.
func untilHost(ctx context.Context, deadline time.Time) time.Duration {
	left := time.Until(deadline)
	call := CallFrom(ctx)
	if call == nil {
		return left
	}
	if own, is := call.timeLeft(); is {
		left = min(left, time.Until(call.came.Add(own)))
	}
	return left
}

type callKey struct{}

// CallFrom gives the call that ctx belongs to, or nil outside of handlers.
func CallFrom(ctx context.Context) *Call {
	call, _ := ctx.Value(callKey{}).(*Call)
	return call
}

func newCall(method string, meta json.RawMessage, host *Host) *Call {
	call := &Call{Method: method, host: host, came: time.Now(), progress: math.Inf(-1)}
	// What is no object says nothing.
	_ = json.Unmarshal(meta, &call.Meta)
	return call
}

// Caller is "cli", "api:NAME" or "plugin:ID", or "" when it is not known.
func (c *Call) Caller() string { return metaValue[string](c, "caller") }

// IdempotencyKey is "" when there is none. The same key means the same effect.
func (c *Call) IdempotencyKey() string { return metaValue[string](c, "idempotencyKey") }

// Attempt is 1, or 2 when the call is repeated after a crash.
func (c *Call) Attempt() int { return max(1, metaValue[int](c, "attempt")) }

func metaValue[T any](c *Call, name string) T {
	var value T
	// What is of another type is as good as absent.
	_ = json.Unmarshal(c.Meta[name], &value)
	return value
}

func (c *Call) timeLeft() (time.Duration, bool) {
	if len(c.Meta["deadlineMs"]) == 0 {
		return 0, false
	}
	left := metaValue[int64](c, "deadlineMs")
	return time.Duration(min(left, math.MaxInt64/int64(time.Millisecond))) * time.Millisecond, true
}

// Progress tells the caller how far the call is, if it wants to know. done rises from one time to the next. A total of
// 0 and a message of "" are left out.
func (c *Call) Progress(done, total float64, message string) {
	token := c.Meta["progressToken"]
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(token) == 0 || string(token) == "null" || c.done || !(done > c.progress) {
		return
	}
	c.progress = done
	// Without NaN, which is not above anything, only an infinite number is no JSON; that is the author's to see.
	if err := c.host.out().notify("$/progress", struct {
		Token    json.RawMessage `json:"token"`
		Progress float64         `json:"progress"`
		Total    float64         `json:"total,omitempty"`
		Message  string          `json:"message,omitempty"`
	}{token, done, total, message}); err != nil {
		c.host.Log(LevelWarn, "progress was not sent: "+err.Error(), nil)
	}
}

func (c *Call) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done = true
}

// splitMeta takes _meta out of params. Every other byte stays as it is.
func splitMeta(params json.RawMessage) (own, meta json.RawMessage) {
	if !bytes.Contains(params, []byte(`"_meta"`)) {
		return params, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(params))
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return params, nil
	}
	for first := true; decoder.More(); first = false {
		start := decoder.InputOffset()
		name, err := decoder.Token()
		if err != nil {
			return params, nil
		}
		var value json.RawMessage
		if decoder.Decode(&value) != nil {
			return params, nil
		}
		if name != "_meta" {
			continue
		}
		// The comma before it goes along; where it is the first, the one behind it.
		rest := params[decoder.InputOffset():]
		if first {
			rest = bytes.TrimPrefix(bytes.TrimLeft(rest, " \t\r\n"), []byte{','})
		}
		own = append(bytes.Clone(params[:start]), rest...)
		return own, value
	}
	return params, nil
}
