// The plugin {{name}}.
package main

import (
	"context"

	"outboard.example/outboard"
)

type config struct {
	Greeting string `json:"greeting"`
}

type greet struct {
	Name string `json:"name"`
}

func newPlugin() *outboard.Plugin {
	var c config
	p := outboard.New("{{name}}", "0.1.0")
	p.OnStart(outboard.Config(func(_ context.Context, given config) error {
		c = given
		return nil
	}))
	p.Handle("greet", outboard.Typed(func(_ context.Context, in greet) (string, error) {
		if in.Name == "" {
			return "", outboard.Errorf(outboard.CodeInvalidParams, "a name is needed")
		}
		return c.Greeting + ", " + in.Name, nil
	}))
	return p
}

func main() { newPlugin().Run() }
