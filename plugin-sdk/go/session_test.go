package outboard_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"outboard.example/outboard"
	"outboard.example/outboard/outboardtest"
)

const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func echo(_ context.Context, in json.RawMessage) (any, error) { return in, nil }

// wants fails the test unless err is an error answer with this code, and gives it.
func wants(t *testing.T, err error, code int) *outboard.Error {
	t.Helper()
	var own *outboard.Error
	if !errors.As(err, &own) || own.Code != code {
		t.Fatalf("got %v, want code %d", err, code)
	}
	return own
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T any](t *testing.T, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got  %v\nwant %v", got, want)
	}
}

type sum struct{ A, B int }

func add(_ context.Context, in sum) (int, error) { return in.A + in.B, nil }

func TestAnEchoAndItsOpening(t *testing.T) {
	p := outboard.New("echo", "1.2.3")
	p.Concurrency = 3
	p.IdempotencyKeys = true
	p.Handle("echo", echo)
	p.Handle("add", outboard.Typed(add), outboard.Idempotent(), outboard.Timeout(2*time.Second),
		outboard.Description("Adds."), outboard.Schemas(`{"type":"object"}`, ""))
	host := outboardtest.Open(t, p)
	// Byte for byte, without the host's own member.
	params := `{"n":123456789012345678901234567890,"e":1e400,"s":"\ud800<\u2028","x":{"_meta":5}}`
	var raw json.RawMessage
	must(t, host.Call("echo", json.RawMessage(params), &raw))
	equal(t, string(raw), params)
	must(t, host.Call("echo", nil, &raw))
	equal(t, string(raw), "{}")
	var total int
	must(t, host.Call("add", sum{2, 40}, &total))
	equal(t, total, 42)
	equal(t, host.Ping(), outboardtest.Status{})
	var opening map[string]any
	must(t, json.Unmarshal(host.Opening(), &opening))
	equal(t, opening, map[string]any{
		"protocolVersion": 1.0, "name": "echo", "version": "1.2.3", "concurrency": 3.0, "ready": true,
		"events": []any{}, "subscribe": []any{},
		"methods": map[string]any{
			"echo": map[string]any{},
			"add": map[string]any{
				"idempotent": true, "timeoutMs": 2000.0, "description": "Adds.",
				"params": map[string]any{"type": "object"},
			},
		},
		"supports": map[string]any{
			"drain": false, "configReload": false, "progress": true, "cancel": true,
			"idempotency": true, "meta": true,
		},
	})
}

func TestNoCommonVersionIsRefusedAndASecondOpening(t *testing.T) {
	p := outboard.New("p", "1")
	p.Handle("echo", echo)
	host := outboardtest.Unopened(t, p)
	wants(t, host.Call("echo", nil, nil), outboard.CodeNotReady)
	host.Ping()
	open := func(versions ...int) error {
		return host.Request("initialize", map[string]any{"protocolVersions": versions, "future": 1}, nil)
	}
	refused := wants(t, open(999), outboard.CodeUnsupportedProtocol)
	equal(t, string(refused.Data.(json.RawMessage)), `{"supported":[1]}`)
	must(t, open(999, 1))
	wants(t, open(1), outboard.CodeInvalidRequest)
	must(t, host.Call("echo", nil, nil))
}

func TestCallsBehindTheOpeningWaitForIt(t *testing.T) {
	p := outboard.New("p", "1")
	p.Handle("echo", echo)
	started, release := make(chan struct{}), make(chan struct{})
	p.OnStart(func(context.Context, json.RawMessage) error {
		close(started)
		<-release
		return nil
	})
	host := outboardtest.Unopened(t, p)
	done := make(chan error, 1)
	go func() { done <- host.Request("initialize", map[string]any{"protocolVersions": []int{1}}, nil) }()
	<-started
	call := host.Start("echo", nil)
	host.Ping()
	close(release)
	must(t, <-done)
	must(t, call.Result(nil))
}

type settings struct {
	Unit  string
	Depth int
}

func TestConfigurationIsTypedAndMayRefuseTheStart(t *testing.T) {
	var got settings
	configured := func() *outboard.Plugin {
		p := outboard.New("p", "1")
		p.OnStart(outboard.Config(func(_ context.Context, config settings) error {
			got = config
			if config.Unit == "" {
				return outboard.Errorf(4, "no unit")
			}
			return nil
		}))
		return p
	}
	outboardtest.Open(t, configured(), outboardtest.Config(map[string]any{"unit": "m", "depth": 3}))
	equal(t, got, settings{"m", 3})
	for config, code := range map[string]int{
		`{}`:                      4,
		`{"unit":7}`:              outboard.CodeInvalidParams,
		`{"unit":"m","dept":"h"}`: outboard.CodeInvalidParams,
	} {
		_, err := outboardtest.TryOpen(t, configured(), outboardtest.Config(json.RawMessage(config)))
		wants(t, err, code)
	}
}

func TestNewConfigurationIsTakenOrRefused(t *testing.T) {
	p := outboard.New("p", "1")
	var unit string
	p.OnConfig(outboard.Config(func(_ context.Context, config settings) error {
		if config.Unit == "yd" {
			return fmt.Errorf("no yards")
		}
		unit = config.Unit
		return nil
	}))
	host := outboardtest.Open(t, p)
	must(t, host.ChangeConfig(settings{Unit: "ft"}))
	wants(t, host.ChangeConfig(settings{Unit: "yd"}), outboard.CodeApplication)
	equal(t, unit, "ft")
	without := outboardtest.Open(t, outboard.New("q", "1"))
	wants(t, without.ChangeConfig(settings{}), outboard.CodeMethodNotFound)
}

func TestFailuresAreTypedAndTheStackStaysInTheLog(t *testing.T) {
	p := outboard.New("p", "1")
	fails := func(name string, err error) {
		p.Handle(name, func(context.Context, json.RawMessage) (any, error) { return nil, err })
	}
	fails("own", &outboard.Error{Code: 9, Message: "out of ink", Data: map[string]int{"tray": 2}})
	fails("wrapped", fmt.Errorf("printing: %w", outboard.Errorf(9, "out of ink")))
	_, noFile := os.Open("/no/such/file")
	fails("foreign", noFile)
	p.Handle("add", outboard.Typed(add))
	p.Handle("panic", func(context.Context, json.RawMessage) (any, error) { panic("on purpose") })
	// The error that is no error, and not nil either.
	fails("typed/nil", (*outboard.Error)(nil))
	p.Handle("func", func(context.Context, json.RawMessage) (any, error) { return func() {}, nil })
	host := outboardtest.Open(t, p)
	own := wants(t, host.Call("own", nil, nil), 9)
	equal(t, string(own.Data.(json.RawMessage)), `{"tray":2}`)
	equal(t, wants(t, host.Call("wrapped", nil, nil), 9).Message, "printing: out of ink")
	equal(t, wants(t, host.Call("foreign", nil, nil), 1).Message, "open /no/such/file: no such file or directory")
	wants(t, host.Call("add", json.RawMessage(`{"a":"x"}`), nil), outboard.CodeInvalidParams)
	wants(t, host.Call("no/such", nil, nil), outboard.CodeMethodNotFound)
	wants(t, host.Call("func", nil, nil), 1)
	panicked := wants(t, host.Call("panic", nil, nil), outboard.CodeInternal)
	equal(t, panicked.Message, "panic: on purpose")
	equal(t, string(panicked.Data.(json.RawMessage)), `{"class":"panic"}`)
	host.Ping()
	logs := host.Logs()
	wants(t, host.Call("typed/nil", nil, nil), outboard.CodeInternal)
	if len(logs) != 1 || !strings.Contains(logs[0].Message, "session_test.go") {
		t.Fatalf("%v", logs)
	}
}

func TestAStackIsOnTheWireWhenAskedFor(t *testing.T) {
	p := outboard.New("p", "1")
	p.Stacks = true
	p.Handle("panic", func(context.Context, json.RawMessage) (any, error) { panic("on purpose") })
	host := outboardtest.Open(t, p)
	panicked := wants(t, host.Call("panic", nil, nil), outboard.CodeInternal)
	if !strings.Contains(string(panicked.Data.(json.RawMessage)), "session_test.go") {
		t.Fatalf("%s", panicked.Data)
	}
}

func TestAContextIsCancelledAlsoOfACallThatWaits(t *testing.T) {
	p := outboard.New("p", "1")
	p.Concurrency = 1
	running := make(chan struct{}, 2)
	p.Handle("forever", func(ctx context.Context, _ json.RawMessage) (any, error) {
		running <- struct{}{}
		<-ctx.Done()
		return nil, fmt.Errorf("waiting: %w", ctx.Err())
	})
	p.Handle("half", func(ctx context.Context, _ json.RawMessage) (any, error) {
		running <- struct{}{}
		<-ctx.Done()
		return "half", nil
	})
	host := outboardtest.Open(t, p)
	first := host.Start("forever", nil)
	<-running
	waiting := host.Start("forever", nil)
	host.Ping()
	waiting.Cancel()
	wants(t, waiting.Result(nil), outboard.CodeCancelled)
	if first.Done() {
		t.Fatal("the wrong call was cancelled")
	}
	first.Cancel()
	wants(t, first.Result(nil), outboard.CodeCancelled)
	half := host.Start("half", nil)
	<-running
	half.Cancel()
	var result string
	must(t, half.Result(&result))
	equal(t, result, "half")
	first.Cancel()
	host.Notify("$/cancel", map[string]int{"id": 12345})
	host.Ping()
}

func TestADeadlineEndsACall(t *testing.T) {
	p := outboard.New("p", "1")
	p.Handle("slow", func(ctx context.Context, _ json.RawMessage) (any, error) {
		call := outboard.CallFrom(ctx)
		equal(t, []any{call.Method, call.Caller(), call.Attempt(), call.IdempotencyKey()},
			[]any{"slow", "test", 2, "k"})
		<-ctx.Done()
		return nil, ctx.Err()
	})
	p.Handle("free", func(ctx context.Context, _ json.RawMessage) (any, error) {
		_, is := ctx.Deadline()
		return is, nil
	})
	host := outboardtest.Open(t, p)
	wants(t, host.Call("slow", nil, nil, outboardtest.Deadline(30*time.Millisecond),
		outboardtest.Meta("attempt", 2), outboardtest.Meta("idempotencyKey", "k")), outboard.CodeDeadline)
	var bounded bool
	must(t, host.Call("free", nil, &bounded))
	equal(t, bounded, false)
}

func TestProgressRisesAndEndsWithTheCall(t *testing.T) {
	p := outboard.New("p", "1")
	calls := make(chan *outboard.Call, 2)
	p.Handle("work", func(ctx context.Context, _ json.RawMessage) (any, error) {
		call := outboard.CallFrom(ctx)
		for _, done := range []float64{1, 2, 2, 1, 3} {
			call.Progress(done, 3, "reading")
		}
		calls <- call
		return nil, nil
	})
	host := outboardtest.Open(t, p)
	call := host.Start("work", nil)
	must(t, call.Result(nil))
	(<-calls).Progress(4, 0, "")
	host.Ping()
	var told []float64
	for _, progress := range call.Progress() {
		told = append(told, progress.Progress)
		equal(t, progress.Total, 3)
		equal(t, progress.Message, "reading")
	}
	equal(t, told, []float64{1, 2, 3})
	quiet := host.Start("work", nil, outboardtest.Meta("progressToken", nil))
	must(t, quiet.Result(nil))
	equal(t, len(quiet.Progress()), 0)
}

func TestCallsToOtherPluginsArePartOfTheCall(t *testing.T) {
	p := outboard.New("p", "1")
	p.Handle("get", func(ctx context.Context, in json.RawMessage) (any, error) {
		var value string
		return value, p.Host().Call(ctx, "kv", "get", in, &value)
	})
	p.Handle("value", func(ctx context.Context, in json.RawMessage) (any, error) {
		var value string
		err := p.Host().Call(ctx, "kv", "get", in, &value)
		return value, err
	})
	host := outboardtest.Open(t, p)
	host.Provide("kv", "get", func(params json.RawMessage) (any, error) {
		if string(params) == `{"key":"a"}` {
			return "b", nil
		}
		data := map[string]any{"retryable": true, "class": "x"}
		return nil, &outboard.Error{Code: 5, Message: "no such key", Data: data}
	})
	var value string
	must(t, host.Call("value", map[string]string{"key": "a"}, &value,
		outboardtest.Deadline(5*time.Second), outboardtest.Meta("traceparent", traceparent)))
	equal(t, value, "b")
	called := host.Called()[0]
	equal(t, string(called.Params), `{"key":"a"}`)
	equal(t, string(called.Meta["traceparent"]), `"`+traceparent+`"`)
	if called.TimeoutMs <= 0 || called.TimeoutMs > 5000 {
		t.Fatalf("timeoutMs is %d", called.TimeoutMs)
	}
	err := wants(t, host.Call("get", map[string]string{"key": "z"}, nil), 5)
	equal(t, []any{err.Message, err.Retryable(), err.Class()}, []any{"no such key", true, "x"})
	must(t, host.Close())
	wants(t, p.Host().Call(context.Background(), "kv", "get", nil, nil), outboard.CodeNotReady)
}

func TestACallToAnotherPluginIsGivenUpWithItsOwnAndWithTheHost(t *testing.T) {
	p := outboard.New("p", "1")
	p.Handle("ask", func(ctx context.Context, _ json.RawMessage) (any, error) {
		return nil, p.Host().Call(ctx, "kv", "never", nil, nil)
	})
	host := outboardtest.Open(t, p)
	never := make(chan struct{})
	defer close(never)
	host.Provide("kv", "never", func(json.RawMessage) (any, error) {
		<-never
		return nil, nil
	})
	call, left := host.Start("ask", nil), host.Start("ask", nil)
	host.Wait("both", func() bool { return len(host.Called()) == 2 })
	call.Cancel()
	wants(t, call.Result(nil), outboard.CodeCancelled)
	must(t, host.Close())
	wants(t, left.Result(nil), outboard.CodeShuttingDown)
}

func TestEventsComeInOrderAndGoOut(t *testing.T) {
	p := outboard.New("p", "1")
	p.Publishes("geo.updated")
	var mu sync.Mutex
	var seen []string
	handle := func(_ context.Context, event outboard.Event) error {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, fmt.Sprint(event.Topic, " ", event.Seq, " ", event.Source, " ", string(event.Data)))
		if event.Topic == "net.bad" {
			panic("bad")
		}
		return nil
	}
	p.Subscribe("net.*", handle)
	p.Subscribe("exact", handle)
	p.Handle("tell", func(ctx context.Context, _ json.RawMessage) (any, error) {
		must(t, p.Host().PublishNow(ctx, "geo.quick", 1))
		return p.Host().Publish(ctx, "geo.updated", map[string]int{"rows": 2})
	})
	host := outboardtest.Open(t, p)
	for _, topic := range []string{"net.up", "other", "net.bad", "exact"} {
		host.Emit(topic, 7)
	}
	var delivered int
	must(t, host.Call("tell", nil, &delivered))
	equal(t, delivered, 1)
	host.Wait("the failure", func() bool { return len(host.Logs()) > 1 })
	for {
		mu.Lock()
		n := len(seen)
		mu.Unlock()
		if n == 3 {
			break
		}
		host.Ping()
	}
	equal(t, seen, []string{"net.up 1 test 7", "net.bad 3 test 7", "exact 4 test 7"})
	equal(t, host.Published(), []outboardtest.Published{
		{Topic: "geo.quick", Data: json.RawMessage("1")},
		{Topic: "geo.updated", Data: json.RawMessage(`{"rows":2}`)},
	})
	var opening struct{ Events, Subscribe []string }
	must(t, json.Unmarshal(host.Opening(), &opening))
	equal(t, opening.Subscribe, []string{"net.*", "exact"})
	equal(t, opening.Events, []string{"geo.updated"})
}

func TestAStatusIsToldAndKeptForProbes(t *testing.T) {
	p := outboard.New("p", "1")
	p.Starting = true
	host := outboardtest.Open(t, p)
	p.Host().Status(outboard.StateBusy, "compacting", 2*time.Second)
	busy := outboardtest.Status{State: "busy", Message: "compacting", ExpectedMs: 2000}
	equal(t, host.Ping(), busy)
	p.Host().Status(outboard.StateReady, "", 0)
	equal(t, host.Ping(), outboardtest.Status{})
	equal(t, host.Statuses(), []outboardtest.Status{busy, {State: "ready"}})
}

func TestSlogGoesToTheHost(t *testing.T) {
	p := outboard.New("p", "1")
	host := outboardtest.Open(t, p)
	logger := slog.New(p.Host().Handler()).With("a", 1).WithGroup("db")
	logger.Warn("slow", "rows", 3, "took", time.Second, "err", errors.New("late"), slog.Group("g", "x", true))
	logger.Log(context.Background(), slog.LevelDebug-4, "too quiet")
	host.Ping()
	equal(t, host.Logs(), []outboardtest.Log{{Level: "warn", Message: "slow", Fields: map[string]any{
		"a":  1.0,
		"db": map[string]any{"rows": 3.0, "took": "1s", "err": "late", "g": map[string]any{"x": true}},
	}}})
}

func TestADrainWaitsForCallsAndRefusesNewOnes(t *testing.T) {
	p := outboard.New("p", "1")
	release := make(chan struct{})
	var order []string
	p.Handle("slow", func(context.Context, json.RawMessage) (any, error) {
		<-release
		order = append(order, "call")
		return nil, nil
	})
	p.OnDrain(func(context.Context) error {
		order = append(order, "drain")
		return nil
	})
	host := outboardtest.Open(t, p)
	call := host.Start("slow", nil)
	wants(t, host.Drain(10*time.Millisecond), outboard.CodeDeadline)
	wants(t, host.Call("slow", nil, nil), outboard.CodeShuttingDown)
	close(release)
	must(t, host.Drain(5*time.Second))
	must(t, call.Result(nil))
	equal(t, order, []string{"call", "drain"})
}

func TestAShutdownRunsItsHooksOnceAndRefusesCalls(t *testing.T) {
	p := outboard.New("p", "1")
	p.Handle("echo", echo)
	var ran []string
	p.OnShutdown(func(context.Context) error {
		ran = append(ran, "first")
		panic("half done")
	})
	p.OnShutdown(func(context.Context) error {
		ran = append(ran, "second")
		return nil
	})
	host := outboardtest.Open(t, p)
	must(t, host.Shutdown())
	equal(t, ran, []string{"first", "second"})
	wants(t, host.Call("echo", nil, nil), outboard.CodeShuttingDown)
	must(t, host.Shutdown())
	host.Notify("exit", struct{}{})
	must(t, host.Close())
	equal(t, ran, []string{"first", "second"})
}

func TestTheEndOfStdinLetsCallsFinish(t *testing.T) {
	p := outboard.New("p", "1")
	release := make(chan struct{})
	p.Handle("slow", func(context.Context, json.RawMessage) (any, error) {
		<-release
		return nil, nil
	})
	var ended atomic.Bool
	p.OnShutdown(func(context.Context) error {
		ended.Store(true)
		return nil
	})
	host := outboardtest.Open(t, p)
	call := host.Start("slow", nil)
	host.Ping()
	time.AfterFunc(20*time.Millisecond, func() { close(release) })
	must(t, host.Close())
	must(t, call.Result(nil))
	equal(t, ended.Load(), true)
}

func TestNoMoreThanTheConcurrencyRunAtOnce(t *testing.T) {
	p := outboard.New("p", "1")
	p.Concurrency = 2
	var running, peak atomic.Int32
	p.Handle("work", func(context.Context, json.RawMessage) (any, error) {
		now := running.Add(1)
		for peak.Load() < now && !peak.CompareAndSwap(peak.Load(), now) {
		}
		time.Sleep(time.Millisecond)
		running.Add(-1)
		return nil, nil
	})
	host := outboardtest.Open(t, p)
	var calls []*outboardtest.Pending
	for range 20 {
		calls = append(calls, host.Start("work", nil))
	}
	for _, call := range calls {
		must(t, call.Result(nil))
	}
	equal(t, peak.Load(), 2)
}

func TestMoreThanAHostShouldSendIsRefused(t *testing.T) {
	p := outboard.New("p", "1")
	p.Concurrency = 1
	p.Handle("forever", func(ctx context.Context, _ json.RawMessage) (any, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	host := outboardtest.Open(t, p)
	var calls []*outboardtest.Pending
	for range 1025 {
		calls = append(calls, host.Start("forever", nil))
	}
	wants(t, host.Call("forever", nil, nil), outboard.CodeOverloaded)
	for _, call := range calls {
		if call.Done() {
			t.Fatal("another one was refused")
		}
		call.Cancel()
	}
	for _, call := range calls {
		wants(t, call.Result(nil), outboard.CodeCancelled)
	}
}

func TestWhatWantsNoAnswerGetsNone(t *testing.T) {
	host := outboardtest.Open(t, outboard.New("p", "1"))
	for _, line := range []string{
		"not json", "[]", "",
		`{"jsonrpc":"2.0","id":77,"result":{}}`,
		`{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"x"}}`,
		`{"jsonrpc":"2.0","method":"no/such"}`,
		`{"jsonrpc":"2.0","method":"event","params":{"topic":"x"}}`,
		`{"level":"info","id":3}`,
	} {
		host.Send(line)
	}
	host.Ping()
	equal(t, len(host.Logs()), 1)
}

func TestAResultBeyondTheHostsLimitsIsAnError(t *testing.T) {
	p := outboard.New("p", "1")
	p.Handle("big", func(context.Context, json.RawMessage) (any, error) { return strings.Repeat("x", 70_000), nil })
	p.Handle("deep", func(context.Context, json.RawMessage) (any, error) {
		return json.RawMessage(strings.Repeat("[", 200) + strings.Repeat("]", 200)), nil
	})
	host := outboardtest.Open(t, p, outboardtest.Limits(65536, 128))
	wants(t, host.Call("big", nil, nil), outboard.CodeTooLarge)
	wants(t, host.Call("deep", nil, nil), outboard.CodeTooLarge)
}

func TestARequestThatCannotBeReadIsAnsweredWhereItSaysWhoAsks(t *testing.T) {
	host := outboardtest.Open(t, outboard.New("p", "1"))
	wants(t, host.Call("echo", 7, nil), outboard.CodeInvalidRequest)
	deep := json.RawMessage(`{"x":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`)
	wants(t, host.Call("echo", deep, nil), outboard.CodeTooLarge)
}

func TestNamesOfTheProtocolAreNotAPlugins(t *testing.T) {
	for _, name := range []string{"ping", "exit", "host/call", "$/x", "config/changed", "", "a b", "é", "twice"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q was taken", name)
				}
			}()
			p := outboard.New("p", "1")
			p.Handle("twice", echo)
			p.Handle(name, echo)
		}()
	}
}

func TestTheKitTellsWhatIsAgainstTheProtocol(t *testing.T) {
	p := outboard.New("p", "1")
	p.Handle("bad", func(ctx context.Context, _ json.RawMessage) (any, error) {
		call := outboard.CallFrom(ctx)
		call.Meta["progressToken"] = json.RawMessage(`"nobody"`)
		call.Progress(1, 0, "")
		return nil, nil
	})
	host := outboardtest.Open(t, p)
	must(t, host.Call("bad", nil, nil))
	found := host.Violations()
	if len(found) != 1 || !strings.Contains(found[0], "progress that nobody asked for") {
		t.Fatalf("%v", found)
	}
	host.Forgive()
}
