package main

import (
	"errors"
	"testing"

	"outboard.example/outboard"
	"outboard.example/outboard/outboardtest"
)

// Without a process: the plugin against a host in memory.
func TestItGreets(t *testing.T) {
	host := outboardtest.Open(t, newPlugin(), outboardtest.Config(config{"good morning"}))
	var words string
	if err := host.Call("greet", greet{"Ada"}, &words); err != nil || words != "good morning, Ada" {
		t.Fatal(words, err)
	}
	var refused *outboard.Error
	if err := host.Call("greet", greet{}, nil); !errors.As(err, &refused) || refused.Code != outboard.CodeInvalidParams {
		t.Fatal(err)
	}
}
