package outboard

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"outboard.example/outboard/internal/wire"
)

// The protocol's own requests, then application calls.

func (s *session) open(ctx context.Context, id wire.ID, params json.RawMessage) {
	err := s.guard(func() error { return s.configure(ctx, params) })
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		if s.phase == phaseOpening {
			s.phase = phaseNew
		}
		s.out.fail(id, told(err))
	} else {
		if s.phase == phaseOpening {
			s.phase = phaseOpen
		}
		// Schemas are valid JSON, and the rest is plain.
		result, _ := encodeJSON(s.opening())
		s.out.result(id, result)
	}
	held := s.held
	s.held = nil
	if len(held) > 0 {
		go func() {
			for _, request := range held {
				s.request(ctx, request)
			}
		}()
	}
}

func (s *session) configure(ctx context.Context, params json.RawMessage) error {
	var opening struct {
		ProtocolVersions []int           `json:"protocolVersions"`
		Config           json.RawMessage `json:"config"`
		Limits           struct {
			MaxFrameBytes     int `json:"maxFrameBytes"`
			MaxDepth          int `json:"maxDepth"`
			MaxHostFrameBytes int `json:"maxHostFrameBytes"`
		} `json:"limits"`
	}
	if err := json.Unmarshal(params, &opening); err != nil {
		return Errorf(CodeInvalidParams, "initialize: %v", err)
	}
	if !slices.Contains(opening.ProtocolVersions, protocolVersion) {
		return &Error{
			Code:    CodeUnsupportedProtocol,
			Message: "this plugin speaks version 1 of the protocol",
			Data:    map[string][]int{"supported": {protocolVersion}},
		}
	}
	s.out.setLimits(opening.Limits.MaxFrameBytes, opening.Limits.MaxDepth)
	s.framer.SetMaxFrame(max(wire.DefaultMaxFrame, opening.Limits.MaxHostFrameBytes))
	for _, hook := range s.plugin.onStart {
		if err := hook(ctx, orEmpty(opening.Config)); err != nil {
			return err
		}
	}
	return nil
}

func orEmpty(config json.RawMessage) json.RawMessage {
	if len(config) == 0 || string(config) == "null" {
		return json.RawMessage("{}")
	}
	return config
}

func (s *session) opening() any {
	methods := map[string]about{}
	for name, method := range s.plugin.methods {
		methods[name] = method.about
	}
	subscribe := []string{}
	for _, subscription := range s.plugin.subscriptions {
		subscribe = append(subscribe, subscription.topic)
	}
	return map[string]any{
		"protocolVersion": protocolVersion,
		"name":            s.plugin.Name,
		"version":         s.plugin.Version,
		"methods":         methods,
		"events":          append([]string{}, s.plugin.publishes...),
		"subscribe":       subscribe,
		"concurrency":     s.plugin.concurrency(),
		"ready":           !s.plugin.Starting,
		"supports": map[string]bool{
			"drain":        len(s.plugin.onDrain) > 0,
			"configReload": len(s.plugin.onConfig) > 0,
			"progress":     true,
			"cancel":       true,
			"idempotency":  s.plugin.IdempotencyKeys,
			"meta":         true,
		},
	}
}

func (s *session) reconfigure(ctx context.Context, id wire.ID, params json.RawMessage) {
	var changed struct {
		Config json.RawMessage `json:"config"`
	}
	err := json.Unmarshal(params, &changed)
	for _, hook := range s.plugin.onConfig {
		if err == nil {
			err = s.guard(func() error { return hook(ctx, orEmpty(changed.Config)) })
		}
	}
	if err != nil {
		s.out.fail(id, told(err))
		return
	}
	s.out.result(id, []byte(`{"applied":true}`))
}

func (s *session) drain(ctx context.Context, id wire.ID, params json.RawMessage, idle <-chan struct{}) {
	var limit struct {
		DeadlineMs *int64 `json:"deadlineMs"`
	}
	// Without a deadline, or with one that is no number, it waits as long as it takes.
	var late <-chan time.Time
	if json.Unmarshal(params, &limit) == nil && limit.DeadlineMs != nil {
		timer := time.NewTimer(time.Duration(*limit.DeadlineMs) * time.Millisecond)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-idle:
	case <-late:
		s.out.fail(id, Errorf(CodeDeadline, "calls are still in progress"))
		return
	}
	for _, hook := range s.plugin.onDrain {
		if err := s.guard(func() error { return hook(ctx) }); err != nil {
			s.out.fail(id, told(err))
			return
		}
	}
	s.out.result(id, []byte("{}"))
}

// runShutdownHooks runs each once, and all of them, whatever becomes of one. Who comes second waits for the first.
func (s *session) runShutdownHooks(ctx context.Context) {
	s.hooks.Do(func() {
		for _, hook := range s.plugin.onShutdown {
			s.complain("a shutdown hook", s.guard(func() error { return hook(ctx) }))
		}
	})
}

// call starts an application call. s.mu is held.
func (s *session) call(ctx context.Context, id wire.ID, name string, params json.RawMessage) {
	method, known := s.plugin.methods[name]
	_, twice := s.calls[id]
	switch {
	case !known:
		s.fail(id, CodeMethodNotFound, "has no method %s", name)
		return
	case s.phase == phaseDraining:
		s.fail(id, CodeShuttingDown, "takes no more calls")
		return
	case s.phase == phaseStopping:
		s.fail(id, CodeShuttingDown, "is shutting down")
		return
	case twice:
		s.fail(id, CodeInvalidRequest, "has a call %s in progress already", id)
		return
	case len(s.calls) >= s.plugin.concurrency()+waitingCalls:
		s.fail(id, CodeOverloaded, "has too many calls waiting already")
		return
	}
	own, meta := splitMeta(params)
	call := newCall(name, meta, s.host)
	ctx, cancel := context.WithCancelCause(context.WithValue(ctx, callKey{}, call))
	if len(s.calls) == 0 {
		s.idle = make(chan struct{})
	}
	s.calls[id] = cancel
	go s.answer(ctx, id, call, method, own)
}

func (s *session) answer(
	ctx context.Context, id wire.ID, call *Call, method method, params json.RawMessage,
) {
	if left, is := call.timeLeft(); is {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, left+grace)
		defer cancel()
	}
	result, err := s.run(ctx, method, params)
	call.finish()
	s.mu.Lock()
	s.calls[id](nil)
	delete(s.calls, id)
	if err != nil {
		s.out.fail(id, s.why(ctx, err))
	} else {
		s.out.result(id, result)
	}
	if len(s.calls) == 0 {
		close(s.idle)
	}
	s.mu.Unlock()
}

func (s *session) run(ctx context.Context, method method, params json.RawMessage) ([]byte, error) {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	var result []byte
	err := s.guard(func() error {
		value, err := method.handle(ctx, params)
		if err == nil {
			result, err = s.out.encode(value)
		}
		return err
	})
	return result, err
}

// why tells a handler that ended because it was cancelled from one that failed.
func (s *session) why(ctx context.Context, err error) *Error {
	ended := errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
	if !ended || ctx.Err() == nil {
		return told(err)
	}
	var cause *Error
	if errors.As(context.Cause(ctx), &cause) {
		return cause
	}
	return cancellation(errors.Is(ctx.Err(), context.DeadlineExceeded))
}

func cancellation(late bool) *Error {
	if late {
		return Errorf(CodeDeadline, "the deadline has passed")
	}
	return Errorf(CodeCancelled, "cancelled")
}
