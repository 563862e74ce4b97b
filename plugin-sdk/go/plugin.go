package outboard

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// defaultConcurrency is how many calls run at once unless a plugin says otherwise.
const defaultConcurrency = 8

// Plugin is a plugin: its methods, then [Plugin.Run]. Set everything before that.
type Plugin struct {
	// Name and Version as told to the host.
	Name, Version string
	// Concurrency is how many calls run at once; 8 when it is 0. The host keeps what is beyond.
	Concurrency int
	// Starting opens as not ready: no call comes until Host().Status(StateReady, …).
	Starting bool
	// IdempotencyKeys says that every handler looks at Call.IdempotencyKey, and does nothing twice for the same one: the
	// host then sends a call that has one again after a crash.
	IdempotencyKeys bool
	// Stacks puts the stacks of handlers that panicked into their answers; they are in the log in any case.
	Stacks bool
	// KeepLogger leaves the default logger of log/slog, and so package log, as they are. Otherwise Run leads them to
	// the host.
	KeepLogger bool

	host          *Host
	methods       map[string]method
	subscriptions []subscription
	publishes     []string
	onStart       []ConfigHook
	onConfig      []ConfigHook
	onDrain       []Hook
	onShutdown    []Hook
}

// Handler answers one call. The result is anything that is JSON; a [Raw] one is passed on byte for byte. An error is
// answered with its message: an *[Error] with its own code and data, any other with code 1. A panic is answered with
// -32603, and the plugin lives on.
//
// The context is cancelled when the caller has gone or the deadline has passed. A handler that does not look at it is
// not disturbed, and keeps its place among those that run at once until it returns.
type Handler func(ctx context.Context, params json.RawMessage) (any, error)

// Hook is an author's own code at one of the plugin's turns.
type Hook func(ctx context.Context) error

// ConfigHook takes the manifest's [config].
type ConfigHook func(ctx context.Context, config json.RawMessage) error

type method struct {
	handle Handler
	about  about
}

// about is what the opening says of a method.
type about struct {
	Params      json.RawMessage `json:"params,omitempty"`
	Result      json.RawMessage `json:"result,omitempty"`
	Idempotent  bool            `json:"idempotent,omitempty"`
	TimeoutMs   int64           `json:"timeoutMs,omitempty"`
	Description string          `json:"description,omitempty"`
}

// MethodOption says more of a method.
type MethodOption func(*about)

// Idempotent allows the host to send a call again after a crash.
func Idempotent() MethodOption { return func(a *about) { a.Idempotent = true } }

// Timeout is how long a call may take.
func Timeout(limit time.Duration) MethodOption {
	return func(a *about) { a.TimeoutMs = limit.Milliseconds() }
}

// Description is for people.
func Description(text string) MethodOption { return func(a *about) { a.Description = text } }

// Schemas are JSON Schemas of params and result, to be shown to people. Either may be "".
func Schemas(params, result string) MethodOption {
	return func(a *about) { a.Params, a.Result = json.RawMessage(params), json.RawMessage(result) }
}

// New makes a plugin.
func New(name, version string) *Plugin {
	return &Plugin{Name: name, Version: version, host: newHost(), methods: map[string]method{}}
}

// Host gives the host. Before [Plugin.Run] there is none, and what is said to it is lost.
func (p *Plugin) Host() *Host { return p.host }

// Handle adds a method. See [Typed] for handlers whose params are not raw JSON.
//
// It panics when the name is not [A-Za-z0-9_$./:-]{1,128}, is the protocol's own, or is there already, and when a
// schema is no JSON.
func (p *Plugin) Handle(name string, handler Handler, options ...MethodOption) {
	checkName(name)
	if _, twice := p.methods[name]; twice {
		panic(fmt.Sprintf("outboard: the method %q is there twice", name))
	}
	m := method{handle: handler}
	for _, option := range options {
		option(&m.about)
	}
	for _, schema := range []json.RawMessage{m.about.Params, m.about.Result} {
		if len(schema) > 0 && !json.Valid(schema) {
			panic(fmt.Sprintf("outboard: a schema of %q is no JSON", name))
		}
	}
	p.methods[name] = m
}

// Typed makes a handler of a function with typed params. Params that do not read as a P are answered with -32602,
// without the handler.
func Typed[P, R any](handle func(ctx context.Context, params P) (R, error)) Handler {
	return func(ctx context.Context, raw json.RawMessage) (any, error) {
		var params P
		if err := json.Unmarshal(raw, &params); err != nil {
			return nil, Errorf(CodeInvalidParams, "wrong params: %v", err)
		}
		return handle(ctx, params)
	}
}

// Config makes a hook of a function that takes the manifest's [config] as a C. What does not read as a C, unknown keys
// included, refuses the start.
func Config[C any](take func(ctx context.Context, config C) error) ConfigHook {
	return func(ctx context.Context, raw json.RawMessage) error {
		var config C
		decoder := json.NewDecoder(strings.NewReader(string(raw)))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&config); err != nil {
			return Errorf(CodeInvalidParams, "the manifest's [config] is wrong: %v", err)
		}
		return take(ctx, config)
	}
}

// OnStart runs hook with the configuration, before the opening is answered. Its error refuses the start.
func (p *Plugin) OnStart(hook ConfigHook) { p.onStart = append(p.onStart, hook) }

// OnConfig runs hook when the manifest's [config] has changed. Without such a hook, or when it fails, the host restarts
// the plugin instead.
func (p *Plugin) OnConfig(hook ConfigHook) { p.onConfig = append(p.onConfig, hook) }

// OnDrain runs hook when no more calls will come and those in progress have ended.
func (p *Plugin) OnDrain(hook Hook) { p.onDrain = append(p.onDrain, hook) }

// OnShutdown runs hook once before the plugin ends, be it asked to, told by SIGTERM, or left without a host.
func (p *Plugin) OnShutdown(hook Hook) { p.onShutdown = append(p.onShutdown, hook) }

// Subscribe subscribes to a topic, or a pattern of them ("net.*"). One event is handled at a time.
func (p *Plugin) Subscribe(topic string, handle EventHandler) {
	p.subscriptions = append(p.subscriptions, subscription{topic, handle})
}

// Publishes says which topics this plugin publishes.
func (p *Plugin) Publishes(topics ...string) { p.publishes = append(p.publishes, topics...) }

// Run serves until the host says exit, closes stdin, or SIGTERM comes; then it returns, and the process ends when main
// does. When it cannot serve, it says why and ends the process with status 1.
func (p *Plugin) Run() {
	taken, err := takeStdio()
	if err == nil {
		if !p.KeepLogger {
			slog.SetDefault(slog.New(p.host.Handler()))
		}
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		err = p.Serve(ctx, taken.in, taken.out)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", p.Name, err)
		os.Exit(1)
	}
}

// Serve serves over in and out until the host says exit, in ends, or ctx is done. Calls in progress have a second to be
// answered then. It reads in to its end, or is left reading there.
func (p *Plugin) Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	return newSession(p, out).serve(ctx, in)
}

func (p *Plugin) concurrency() int {
	if p.Concurrency == 0 {
		return defaultConcurrency
	}
	return max(1, p.Concurrency)
}

var (
	legalName = regexp.MustCompile(`^[A-Za-z0-9_$./:-]{1,128}$`)
	ownName   = regexp.MustCompile(
		`^(initialize|initialized|ping|shutdown|exit|drain|event|(config/|host/|\$/).*)$`)
)

func checkName(name string) {
	if !legalName.MatchString(name) {
		panic(fmt.Sprintf("outboard: %q cannot be a method's name: 1 to 128 of A-Z a-z 0-9 _ $ . / : -", name))
	}
	if ownName.MatchString(name) {
		panic(fmt.Sprintf("outboard: %q is the protocol's own", name))
	}
}
