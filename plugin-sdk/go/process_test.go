package outboard_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"outboard.example/outboard"
)

// Plugins as processes: what only a real stdin, stdout and signal can show. The plugin is this very program, started
// again.

// long is generous: it only keeps a broken package from hanging the tests.
const long = 30 * time.Second

func TestMain(m *testing.M) {
	if os.Getenv("ROUGH") != "" {
		rough()
		return
	}
	os.Exit(m.Run())
}

// rough is a plugin that does what plugins should not.
func rough() {
	fmt.Println("before the plugin")
	p := outboard.New("rough", "1.0.0")
	p.Handle("echo", echo)
	p.Handle("size", outboard.Typed(func(_ context.Context, in struct{ Text string }) (int, error) {
		return len(in.Text), nil
	}))
	p.Handle("panic", func(context.Context, json.RawMessage) (any, error) { panic("on purpose") })
	p.Handle("prints", func(context.Context, json.RawMessage) (any, error) {
		fmt.Println("a stray print")
		_, err := syscall.Write(1, []byte("a stray write\n"))
		log.Print("an old log line")
		slog.Warn("a log line", "n", 1)
		child := exec.Command("sh", "-c", "echo a stray child: $OUTBOARD_PROTOCOL.; cat")
		child.Stdin, child.Stdout = os.Stdin, os.Stdout
		if err == nil {
			err = child.Run()
		}
		return "printed", err
	})
	p.Handle("forever", func(ctx context.Context, _ json.RawMessage) (any, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	p.Handle("deaf", func(context.Context, json.RawMessage) (any, error) {
		for {
			time.Sleep(time.Hour)
		}
	})
	p.OnDrain(func(context.Context) error { return nil })
	p.OnShutdown(func(context.Context) error {
		fmt.Println("farewell")
		return nil
	})
	p.Run()
}

type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	in     *os.File
	out    *bufio.Reader
	errors *bufio.Scanner
	logs   []string
	id     int
}

func start(t *testing.T) *process {
	t.Helper()
	in, hostIn, err := os.Pipe()
	must(t, err)
	hostOut, out, err := os.Pipe()
	must(t, err)
	hostErr, errs, err := os.Pipe()
	must(t, err)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "ROUGH=1", "OUTBOARD_PROTOCOL=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, errs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	must(t, cmd.Start())
	in.Close()
	out.Close()
	errs.Close()
	must(t, hostOut.SetReadDeadline(time.Now().Add(2*long)))
	must(t, hostErr.SetReadDeadline(time.Now().Add(2*long)))
	p := &process{t: t, cmd: cmd, in: hostIn}
	p.out, p.errors = bufio.NewReaderSize(hostOut, 1<<20), bufio.NewScanner(hostErr)
	t.Cleanup(func() {
		// What has ended already cannot be killed or waited for once more.
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		hostIn.Close()
		hostOut.Close()
		hostErr.Close()
	})
	return p
}

func opened(t *testing.T) *process {
	t.Helper()
	p := start(t)
	opening := p.ask("initialize", `{"protocolVersions":[1]}`)
	if opening.Error != nil {
		t.Fatalf("%v", opening.Error)
	}
	p.send(`{"jsonrpc":"2.0","method":"initialized","params":{}}`)
	return p
}

func (p *process) send(line string) {
	p.t.Helper()
	_, err := p.in.WriteString(line + "\n")
	must(p.t, err)
}

func (p *process) start(method, params string) int {
	p.t.Helper()
	p.id++
	p.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":%s}`, p.id, method, params))
	return p.id
}

type frame struct {
	ID     int
	Method string
	Params json.RawMessage
	Result json.RawMessage
	Error  *struct {
		Code    int
		Message string
	}
}

func (p *process) frame() frame {
	p.t.Helper()
	for {
		line, err := p.out.ReadBytes('\n')
		must(p.t, err)
		var found frame
		if err := json.Unmarshal(line, &found); err != nil {
			p.t.Fatalf("%q: %v", line, err)
		}
		if found.Method != "$/log" {
			return found
		}
		p.logs = append(p.logs, string(found.Params))
	}
}

func (p *process) ask(method, params string) frame {
	p.t.Helper()
	id := p.start(method, params)
	found := p.frame()
	equal(p.t, found.ID, id)
	return found
}

// says waits for a line on stderr.
func (p *process) says(words string) {
	p.t.Helper()
	for p.errors.Scan() {
		if p.errors.Text() == words {
			return
		}
	}
	p.t.Fatalf("stderr ended without %q: %v", words, p.errors.Err())
}

func (p *process) endsWell() {
	p.t.Helper()
	timer := time.AfterFunc(long, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	must(p.t, p.cmd.Wait())
}

func TestPrintsStayOffTheWire(t *testing.T) {
	p := opened(t)
	equal(t, string(p.ask("prints", "{}").Result), `"printed"`)
	for _, words := range []string{"before the plugin", "a stray print", "a stray write", "a stray child: ."} {
		p.says(words)
	}
	equal(t, p.logs, []string{
		`{"level":"info","message":"an old log line"}`,
		`{"level":"warn","message":"a log line","fields":{"n":1}}`,
	})
	equal(t, string(p.ask("ping", "{}").Result), "{}")
}

func TestAPanicIsAnAnswerAndThePluginLivesOn(t *testing.T) {
	p := opened(t)
	equal(t, p.ask("panic", "{}").Error.Message, "panic: on purpose")
	equal(t, string(p.ask("ping", "{}").Result), "{}")
}

func TestWhatBlocksForEverIsCancelledAndOutlivesNoDeadline(t *testing.T) {
	p := opened(t)
	id := p.start("forever", "{}")
	equal(t, string(p.ask("ping", "{}").Result), "{}")
	p.send(fmt.Sprintf(`{"jsonrpc":"2.0","method":"$/cancel","params":{"id":%d,"reason":"caller"}}`, id))
	cancelled := p.frame()
	equal(t, cancelled.ID, id)
	equal(t, cancelled.Error.Code, outboard.CodeCancelled)
	equal(t, p.ask("forever", `{"_meta":{"deadlineMs":30}}`).Error.Code, outboard.CodeDeadline)
}

func TestFramesOfEightMebibytes(t *testing.T) {
	p := opened(t)
	text := `{"text":"` + strings.Repeat("x", 8<<20) + `"}`
	equal(t, string(p.ask("size", text).Result), fmt.Sprint(8<<20))
	if echo := p.ask("echo", text); string(echo.Result) != text {
		t.Fatalf("%d bytes came back", len(echo.Result))
	}
}

func TestTwentyThousandPingsAgainstAPausedReader(t *testing.T) {
	p := opened(t)
	var lines bytes.Buffer
	for n := range 20_000 {
		fmt.Fprintf(&lines, `{"jsonrpc":"2.0","id":%d,"method":"ping","params":{}}`+"\n", n+100)
	}
	// All of it is taken although nothing is read yet.
	must(t, p.in.SetWriteDeadline(time.Now().Add(long)))
	_, err := p.in.Write(lines.Bytes())
	must(t, err)
	for n := range 20_000 {
		equal(t, p.frame().ID, n+100)
	}
}

func TestDrainShutdownExit(t *testing.T) {
	p := opened(t)
	equal(t, string(p.ask("drain", `{"deadlineMs":2000}`).Result), "{}")
	equal(t, p.ask("echo", "{}").Error.Code, outboard.CodeShuttingDown)
	equal(t, string(p.ask("shutdown", `{"deadlineMs":2000}`).Result), "{}")
	p.says("farewell")
	p.send(`{"jsonrpc":"2.0","method":"exit","params":{}}`)
	p.endsWell()
}

func TestTheEndIsTheEndWhateverIsInProgress(t *testing.T) {
	for _, method := range []string{"ping", "forever", "deaf"} {
		for _, how := range []string{"exit", "eof", "term"} {
			t.Run(how+" during "+method, func(t *testing.T) {
				p := opened(t)
				id := p.start(method, "{}")
				if method == "ping" {
					equal(t, p.frame().ID, id)
				}
				switch how {
				case "exit":
					p.send(`{"jsonrpc":"2.0","method":"exit","params":{}}`)
				case "eof":
					must(t, p.in.Close())
					p.says("farewell")
				case "term":
					must(t, syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM))
					p.says("farewell")
				}
				p.endsWell()
			})
		}
	}
}

func TestTheEndOfStdinBeforeTheOpeningIsTheEnd(t *testing.T) {
	p := start(t)
	must(t, p.in.Close())
	p.endsWell()
}

func TestASocketCanCarryTheFrames(t *testing.T) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	must(t, err)
	ours, theirs := os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs")
	defer ours.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "ROUGH=1", "OUTBOARD_PROTOCOL=1", "OUTBOARD_RPC_FD=3")
	cmd.ExtraFiles = []*os.File{theirs}
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	must(t, cmd.Start())
	theirs.Close()
	timer := time.AfterFunc(long, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	_, err = ours.WriteString(`{"jsonrpc":"2.0","id":1,"method":"ping","params":{}}` + "\n")
	must(t, err)
	line, err := bufio.NewReader(ours).ReadString('\n')
	must(t, err)
	equal(t, line, `{"jsonrpc":"2.0","id":1,"result":{}}`+"\n")
	must(t, syscall.Shutdown(pair[0], syscall.SHUT_WR))
	must(t, cmd.Wait())
	equal(t, stdout.String(), "before the plugin\nfarewell\n")
}
