//go:build !linux

package outboard

import "os"

// takePipes keeps what prints through package os off the wire. The supervisor runs on Linux alone; this is so that
// plugins can be built and tested elsewhere.
func takePipes() (stdio, error) {
	taken := stdio{os.Stdin, os.Stdout}
	os.Stdout = os.Stderr
	return taken, nil
}

func closeOnExec(int) {}

func isTerminal(int) bool {
	about, err := os.Stdin.Stat()
	return err == nil && about.Mode()&os.ModeCharDevice != 0 && about.Name() != os.DevNull
}
