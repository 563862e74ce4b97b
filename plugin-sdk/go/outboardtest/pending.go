package outboardtest

import (
	"encoding/json"
	"errors"

	"outboard.example/outboard"
	"outboard.example/outboard/internal/wire"
)

// Progress is what a call told of itself.
type Progress struct {
	Token           string
	Progress, Total float64
	Message         string
}

// Pending is a call that was sent.
type Pending struct {
	host     *Host
	id       wire.ID
	token    string
	answer   *wire.Response
	progress []Progress
}

// Cancel says that the caller has gone.
func (p *Pending) Cancel() {
	p.host.Notify("$/cancel", map[string]any{"id": json.RawMessage(p.id), "reason": "caller"})
}

// Done says whether it was answered.
func (p *Pending) Done() bool {
	p.host.mu.Lock()
	defer p.host.mu.Unlock()
	return p.answer != nil
}

// Progress gives what it told so far, in order.
func (p *Pending) Progress() []Progress { return locked(p.host, &p.progress) }

// Result waits for the answer and stores its result in result, unless that is nil. The error is an *[outboard.Error].
func (p *Pending) Result(result any) error {
	p.host.t.Helper()
	p.host.Wait("call "+string(p.id)+" to be answered", p.Done)
	if err := p.answer.Error; err != nil {
		return &outboard.Error{Code: err.Code, Message: err.Message, Data: err.Data}
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(p.answer.Result, result)
}

func (h *Host) progressed(params json.RawMessage) {
	var told Progress
	if err := json.Unmarshal(params, &told); err != nil {
		h.violate("progress that cannot be read: %s", params)
		return
	}
	for _, pending := range h.pending {
		if pending.token == "" || pending.token != told.Token || pending.answer != nil {
			continue
		}
		if n := len(pending.progress); n > 0 && told.Progress <= pending.progress[n-1].Progress {
			h.violate("progress that does not rise: %s", params)
		}
		pending.progress = append(pending.progress, told)
		return
	}
	h.violate("progress that nobody asked for: %s", params)
}

// read appends params to a list; h.mu is held.
func read[T any](h *Host, params json.RawMessage, list *[]T) T {
	var value T
	if err := json.Unmarshal(params, &value); err != nil {
		h.violate("params that cannot be read: %s", params)
	}
	*list = append(*list, value)
	return value
}

type body struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Data    any    `json:"data,omitempty"`
}

func errorBody(err error) body {
	var own *outboard.Error
	if errors.As(err, &own) {
		return body{own.Code, own.Message, own.Data}
	}
	return body{Code: outboard.CodeApplication, Message: err.Error()}
}
