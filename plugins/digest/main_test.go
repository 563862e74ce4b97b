package main

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"syscall"
	"testing"

	"outboard.example/outboard"
	"outboard.example/outboard/outboardtest"
)

// Of "hello".
const hello = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

func open(t *testing.T) (host *outboardtest.Host, root string) {
	t.Helper()
	root = t.TempDir()
	for _, path := range []string{"b", "a/x", "a/y"} {
		whole := filepath.Join(root, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(whole), 0o755), os.WriteFile(whole, []byte("hello"), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return outboardtest.Open(t, newPlugin(), outboardtest.Config(config{root})), root
}

func TestFilesAndTreesAreHashed(t *testing.T) {
	host, _ := open(t)
	var one digest
	if err := host.Call("file", request{"b"}, &one); err != nil {
		t.Fatal(err)
	}
	if want := (digest{"b", hello, 5}); one != want {
		t.Fatalf("got %v, want %v", one, want)
	}
	var all []digest
	call := host.Start("tree", request{})
	if err := call.Result(&all); err != nil {
		t.Fatal(err)
	}
	if want := []digest{{"a/x", hello, 5}, {"a/y", hello, 5}, {"b", hello, 5}}; !reflect.DeepEqual(all, want) {
		t.Fatalf("got %v, want %v", all, want)
	}
	if told := call.Progress(); len(told) != 3 || told[2].Progress != 3 || told[2].Total != 3 {
		t.Fatalf("%v", told)
	}
}

func TestNothingOutsideOfTheRootIsRead(t *testing.T) {
	host, _ := open(t)
	for _, path := range []string{"..", "../x", "/etc/passwd", "a/../../x"} {
		var own *outboard.Error
		err := host.Call("file", request{path}, nil)
		if !errors.As(err, &own) || own.Code != outboard.CodeInvalidParams {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := outboardtest.TryOpen(t, newPlugin(), outboardtest.Config(config{"/no/such"})); err == nil {
		t.Error("a root that is not there was taken")
	}
}

func TestATreeIsGivenUpWithItsCall(t *testing.T) {
	host, root := open(t)
	// Reading it blocks until somebody writes; as a link it is no regular file for the walk, so the file is asked for.
	pipe := filepath.Join(root, "pipe")
	if err := syscall.Mkfifo(pipe, 0o644); err != nil {
		t.Fatal(err)
	}
	writer, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	call := host.Start("file", request{"pipe"})
	host.Ping()
	call.Cancel()
	host.Ping()
	if _, err := writer.WriteString("x"); err != nil {
		t.Fatal(err)
	}
	var own *outboard.Error
	if err := call.Result(nil); !errors.As(err, &own) || own.Code != outboard.CodeCancelled {
		t.Fatalf("%v", err)
	}
}
