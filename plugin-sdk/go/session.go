package outboard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"
	"time"

	"outboard.example/outboard/internal/wire"
)

const (
	protocolVersion = 1
	// waitingCalls is how many calls wait for a slot. The host knows how many run at once and keeps the rest, so more
	// is a host that does not.
	waitingCalls = 1024
	// Time for calls in progress once there is nothing more to read, for the shutdown hooks after them, and for what is
	// then still to be written.
	lastAnswers = time.Second
	lastHooks   = 500 * time.Millisecond
	lastWrites  = 500 * time.Millisecond
)

type phase int

const (
	phaseNew phase = iota
	phaseOpening
	phaseOpen
	phaseDraining
	phaseStopping
)

// session goes from frames to handlers and back.
type session struct {
	plugin *Plugin
	host   *Host
	out    *outlet
	framer *wire.Framer
	events events
	slots  chan struct{}
	// over is closed when there is nothing more to do.
	over     chan struct{}
	overOnce sync.Once
	hooks    sync.Once
	junkOnce sync.Once

	mu    sync.Mutex
	phase phase
	// held is what came behind an opening that is not answered yet.
	held  []wire.Request
	calls map[wire.ID]context.CancelCauseFunc
	// idle is closed when no call is in progress, and another one then.
	idle chan struct{}
}

func newSession(p *Plugin, out io.Writer) *session {
	s := &session{
		plugin: p,
		host:   p.host,
		out:    newOutlet(out),
		framer: wire.NewFramer(wire.DefaultMaxFrame),
		slots:  make(chan struct{}, p.concurrency()),
		over:   make(chan struct{}),
		calls:  map[wire.ID]context.CancelCauseFunc{},
		idle:   make(chan struct{}),
	}
	close(s.idle)
	p.host.attach(s.out)
	return s
}

func (s *session) serve(ctx context.Context, in io.Reader) error {
	// Calls outlive the word to stop by a little.
	calls, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	read := make(chan error, 1)
	go func() { read <- s.read(calls, in) }()
	var err error
	select {
	case <-s.over:
	case <-ctx.Done():
		s.end(calls)
	case err = <-read:
		// What was asked of the host will not be answered any more.
		s.host.detach()
		s.end(calls)
	}
	s.finish()
	s.host.detach()
	s.out.close(lastWrites)
	return err
}

func (s *session) finish() { s.overOnce.Do(func() { close(s.over) }) }

func (s *session) isOver() bool {
	select {
	case <-s.over:
		return true
	default:
		return false
	}
}

func (s *session) read(ctx context.Context, in io.Reader) error {
	buffer := make([]byte, 64<<10)
	for !s.isOver() {
		n, err := in.Read(buffer)
		s.framer.Feed(buffer[:n], func(item wire.Item) { s.take(ctx, item) })
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading stdin: %w", err)
		}
	}
	return nil
}

// end lets calls finish, and runs the shutdown hooks.
func (s *session) end(ctx context.Context) {
	s.mu.Lock()
	s.phase = phaseStopping
	idle := s.idle
	s.mu.Unlock()
	select {
	case <-idle:
	case <-time.After(lastAnswers):
	case <-s.over:
		return
	}
	done := make(chan struct{})
	go func() {
		s.runShutdownHooks(ctx)
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(lastHooks):
	case <-s.over:
	}
}

func (s *session) take(ctx context.Context, item wire.Item) {
	if s.isOver() {
		return
	}
	switch item := item.(type) {
	case wire.Frame:
		s.message(ctx, wire.Decode(item, wire.DefaultMaxDepth))
	case wire.TooLong:
		if item.Request && item.ID != "" {
			s.fail(item.ID, CodeTooLarge, "takes less than %d bytes in a frame", item.Bytes)
			return
		}
		s.junk()
	default:
		s.junk()
	}
}

func (s *session) message(ctx context.Context, message wire.Message) {
	switch message := message.(type) {
	case wire.Request:
		s.request(ctx, message)
	case wire.Notification:
		s.notification(ctx, message)
	case wire.Response:
		s.host.answered(message)
	case wire.Reject:
		switch {
		case message.ID == "" || !message.Request:
			s.junk()
		case message.Reason == "depth":
			s.fail(message.ID, CodeTooLarge, "cannot read this request: %s", message.Reason)
		default:
			s.fail(message.ID, CodeInvalidRequest, "cannot read this request: %s", message.Reason)
		}
	}
}

// junk is never answered: nobody could tell what the answer is to. It is told once.
func (s *session) junk() {
	s.junkOnce.Do(func() {
		s.host.Log(LevelWarn, "stdin has lines that are no messages; they are skipped", nil)
	})
}

func (s *session) notification(ctx context.Context, message wire.Notification) {
	switch message.Method {
	case "exit":
		s.finish()
	case "$/cancel":
		var params struct {
			ID     json.RawMessage `json:"id"`
			Reason string          `json:"reason"`
		}
		if json.Unmarshal(message.Params, &params) != nil {
			return
		}
		s.mu.Lock()
		cancel := s.calls[wire.ParseID(params.ID)]
		s.mu.Unlock()
		if cancel != nil {
			cancel(cancellation(params.Reason == "deadline"))
		}
	case "event":
		s.events.take(ctx, message.Params, s)
	}
}

func (s *session) request(ctx context.Context, request wire.Request) {
	id, name, params := request.ID, request.Method, request.Params
	if params == nil {
		params = json.RawMessage("{}")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case name == "ping":
		s.out.result(id, s.host.pingResult())
	case name == "initialize" && s.phase != phaseNew:
		s.fail(id, CodeInvalidRequest, "has been initialized already")
	case name == "initialize":
		s.phase = phaseOpening
		go s.open(ctx, id, params)
	case name == "shutdown":
		s.phase = phaseStopping
		go func() {
			s.runShutdownHooks(ctx)
			s.out.result(id, []byte("{}"))
		}()
	case s.phase == phaseOpening:
		s.held = append(s.held, request)
	case s.phase == phaseNew:
		s.fail(id, CodeNotReady, "has not been initialized")
	case name == "drain" && len(s.plugin.onDrain) > 0:
		if s.phase == phaseOpen {
			s.phase = phaseDraining
		}
		go s.drain(ctx, id, params, s.idle)
	case name == "config/changed" && len(s.plugin.onConfig) > 0:
		go s.reconfigure(ctx, id, params)
	default:
		s.call(ctx, id, name, params)
	}
}

func (s *session) fail(id wire.ID, code int, format string, args ...any) {
	s.out.fail(id, Errorf(code, "the plugin "+s.plugin.Name+" "+format, args...))
}

// guard runs an author's code and makes an error of a panic.
func (s *session) guard(act func() error) (err error) {
	defer func() {
		if value := recover(); value != nil {
			stack := debug.Stack()
			s.host.Log(LevelError, fmt.Sprintf("panic: %v\n%s", value, stack), nil)
			data := map[string]string{"class": "panic"}
			if s.plugin.Stacks {
				data["stack"] = string(stack)
			}
			err = &Error{Code: CodeInternal, Message: fmt.Sprintf("panic: %v", value), Data: data}
		}
	}()
	if err = act(); err != nil {
		// A nil pointer in an error's place panics when it is asked for its words: here, and not where it is told.
		_ = err.Error()
	}
	return err
}

// complain logs an error that nobody is told.
func (s *session) complain(what string, err error) {
	if err != nil {
		s.host.Log(LevelError, what+" failed: "+err.Error(), nil)
	}
}

// told is what a caller is told of an error.
func told(err error) *Error {
	var own *Error
	if !errors.As(err, &own) {
		return &Error{Code: CodeApplication, Message: err.Error()}
	}
	// What was said around it belongs to it.
	return &Error{Code: own.Code, Message: err.Error(), Data: own.Data}
}
