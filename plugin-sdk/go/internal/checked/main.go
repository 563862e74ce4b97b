// Command checked is what plugin-sdk/checks holds against the protocol: a plugin that uses everything.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"time"

	"outboard.example/outboard"
)

func main() {
	p := outboard.New("checked", "1.0.0")
	p.Handle("echo", func(_ context.Context, in json.RawMessage) (any, error) { return in, nil })
	p.Handle("add", outboard.Typed(add), outboard.Timeout(2*time.Second), outboard.Schemas(`{"type":"object"}`, ""))
	p.Handle("slow", slow)
	p.Handle("prints", prints)
	p.Handle("fails", func(context.Context, json.RawMessage) (any, error) { panic("on purpose") })
	p.Handle("deaf", func(context.Context, json.RawMessage) (any, error) { select {} })
	p.Handle("count", outboard.Typed(count))
	p.Handle("talks", outboard.Typed(func(ctx context.Context, in struct{ To string }) (int, error) {
		return talks(ctx, p.Host(), in.To)
	}))
	p.Subscribe("checked.*", func(_ context.Context, event outboard.Event) error {
		p.Host().Log(outboard.LevelInfo, "heard", map[string]any{"topic": event.Topic})
		return nil
	})
	p.OnConfig(func(context.Context, json.RawMessage) error { return nil })
	p.OnDrain(func(context.Context) error { return nil })
	p.OnShutdown(func(context.Context) error {
		log.Print("farewell")
		return nil
	})
	p.Run()
}

func add(_ context.Context, in struct{ A, B *int }) (int, error) {
	if in.A == nil || in.B == nil {
		return 0, outboard.Errorf(outboard.CodeInvalidParams, "a and b are needed")
	}
	return *in.A + *in.B, nil
}

func slow(ctx context.Context, _ json.RawMessage) (any, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func prints(context.Context, json.RawMessage) (any, error) {
	fmt.Println("a stray print")
	return "done", nil
}

// talks says everything that a plugin can say to its host.
func talks(ctx context.Context, host *outboard.Host, to string) (int, error) {
	host.Status(outboard.StateBusy, "talking", time.Second)
	if err := host.PublishNow(ctx, "checked.whispered", nil); err != nil {
		return 0, err
	}
	if _, err := host.Info(ctx); err != nil {
		return 0, err
	}
	if err := host.Call(ctx, to, "echo", map[string]int{"a": 1}, nil); err != nil {
		return 0, err
	}
	if err := host.Call(ctx, to, "forbidden", nil, nil); err != nil {
		host.Status(outboard.StateReady, "", 0)
	}
	return host.Publish(ctx, "checked.said", map[string]int{"n": 1})
}

func count(ctx context.Context, in struct{ To int }) (int, error) {
	for done := 1; done <= in.To; done++ {
		outboard.CallFrom(ctx).Progress(float64(done), float64(in.To), "")
	}
	return in.To, nil
}
