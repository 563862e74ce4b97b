package outboard

import (
	"os"
	"syscall"
	"unsafe"
)

func takePipes() (stdio, error) {
	in, err := duplicate(0, "stdin")
	if err != nil {
		return stdio{}, err
	}
	out, err := duplicate(1, "stdout")
	if err != nil {
		return stdio{}, err
	}
	nothing, err := os.Open(os.DevNull)
	if err != nil {
		return stdio{}, err
	}
	defer nothing.Close()
	if err := syscall.Dup3(int(nothing.Fd()), 0, 0); err != nil {
		return stdio{}, err
	}
	return stdio{in, out}, syscall.Dup3(2, 1, 0)
}

func duplicate(fd int, name string) (*os.File, error) {
	// No other goroutine may start a process before the copy is closed on exec.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	own, err := syscall.Dup(fd)
	if err != nil {
		return nil, os.NewSyscallError("dup", err)
	}
	syscall.CloseOnExec(own)
	return os.NewFile(uintptr(own), name), nil
}

func closeOnExec(fd int) { syscall.CloseOnExec(fd) }

func isTerminal(fd int) bool {
	var settings syscall.Termios
	_, _, errno := syscall.Syscall(
		syscall.SYS_IOCTL, uintptr(fd), syscall.TCGETS, uintptr(unsafe.Pointer(&settings)))
	return errno == 0
}
