// Package outboard is for writing outboard plugins in Go.
//
//	package main
//
//	import "outboard.example/outboard"
//
//	func main() {
//		p := outboard.New("echo", "1.0.0")
//		p.Handle("echo", func(_ outboard.Context, in outboard.Raw) (any, error) { return in, nil })
//		p.Run()
//	}
//
// A plugin is a process that a supervisor starts. It reads one JSON object a line on stdin and writes one a line on
// stdout. This package does the protocol's part; what is left is one function for each method. Each call runs in a
// goroutine of its own, with a context that knows its deadline and is cancelled when its caller has gone.
//
// Package outboardtest runs a plugin against a host in memory.
package outboard

import (
	"context"
	"encoding/json"
	"os"
)

// Context and Raw are the standard library's types under shorter names, for plugins that need no more of it.
type (
	Context = context.Context
	Raw     = json.RawMessage
)

// Under a supervisor stdout is taken away at once, so that nothing which runs later can print between the frames.
func init() {
	if _, supervised := os.LookupEnv("OUTBOARD_PROTOCOL"); supervised {
		// A failure is kept, and told by Run.
		_, _ = takeStdio()
	}
}
