package outboard

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
)

var errTerminal = errors.New(
	"this is an outboard plugin; a supervisor starts it and speaks to it on stdin.\n" +
		"Name its command in a manifest, then type: outboard run FOLDER-OF-THE-MANIFEST")

// stdio is where frames come from and go to.
type stdio struct {
	in  io.Reader
	out io.Writer
}

// takeStdio gives private descriptors for frames. From then on number 0 is at its end and number 1 is stderr: for
// fmt.Println, C code and child processes alike. The second time it gives the same.
var takeStdio = sync.OnceValues(func() (stdio, error) {
	number := os.Getenv("OUTBOARD_RPC_FD")
	// What this process starts is no plugin, even where it imports this package. Unsetenv fails for bad names alone.
	_ = os.Unsetenv("OUTBOARD_PROTOCOL")
	_ = os.Unsetenv("OUTBOARD_RPC_FD")
	if fd, err := strconv.Atoi(number); err == nil && fd > 2 {
		closeOnExec(fd)
		socket := os.NewFile(uintptr(fd), "OUTBOARD_RPC_FD")
		return stdio{socket, socket}, nil
	}
	if isTerminal(0) {
		return stdio{}, errTerminal
	}
	taken, err := takePipes()
	if err != nil {
		return stdio{}, fmt.Errorf("stdin and stdout cannot be used: %w", err)
	}
	return taken, nil
})
