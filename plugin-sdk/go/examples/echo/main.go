package main

import "outboard.example/outboard"

func main() {
	p := outboard.New("echo", "1.0.0")
	p.Handle("echo", func(_ outboard.Context, in outboard.Raw) (any, error) { return in, nil })
	p.Run()
}
