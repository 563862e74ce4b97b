package outboard

import (
	"bytes"
	"encoding/json"
	"io"
	"sync"
	"time"

	"outboard.example/outboard/internal/wire"
)

const (
	// envelopeBytes is what a frame has around its payload, at most.
	envelopeBytes = 512
	// waitingBytes is how much may wait for a host that does not read. Beyond that whoever says something waits too.
	waitingBytes = 16 << 20
)

// outlet is the way out: whole frames, from any goroutine. One goroutine writes what has gathered, so that reading
// never depends on writing. When the host is gone nothing is sent and nothing fails: the end is near.
type outlet struct {
	mu       sync.Mutex
	changed  sync.Cond
	waiting  []byte
	writing  bool
	closed   bool
	maxFrame int
	maxDepth int
}

func newOutlet(out io.Writer) *outlet {
	o := &outlet{maxFrame: wire.DefaultMaxFrame, maxDepth: wire.DefaultMaxDepth}
	o.changed.L = &o.mu
	go o.write(out)
	return o
}

func (o *outlet) write(out io.Writer) {
	var spare []byte
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		for len(o.waiting) == 0 && !o.closed {
			o.changed.Wait()
		}
		if len(o.waiting) == 0 {
			return
		}
		frames := o.waiting
		o.waiting, o.writing = spare[:0], true
		o.changed.Broadcast()
		o.mu.Unlock()
		_, err := out.Write(frames)
		o.mu.Lock()
		o.writing = false
		if spare = frames; cap(spare) > 64<<10 {
			spare = nil
		}
		if err != nil {
			// Half a frame may be out, so nothing may follow it.
			o.closed, o.waiting = true, nil
		}
		o.changed.Broadcast()
	}
}

// close sends what waits, for limit at most, and nothing after it.
func (o *outlet) close(limit time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.changed.Broadcast()
	late := false
	timer := time.AfterFunc(limit, func() {
		o.mu.Lock()
		late = true
		o.mu.Unlock()
		o.changed.Broadcast()
	})
	defer timer.Stop()
	for (len(o.waiting) > 0 || o.writing) && !late {
		o.changed.Wait()
	}
}

func (o *outlet) setLimits(maxFrame, maxDepth int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if maxFrame > 0 {
		o.maxFrame = maxFrame
	}
	if maxDepth > 0 {
		o.maxDepth = maxDepth
	}
}

func (o *outlet) result(id wire.ID, result []byte) {
	o.send(`{"jsonrpc":"2.0","id":`, string(id), `,"result":`, string(result), "}\n")
}

func (o *outlet) fail(id wire.ID, err *Error) {
	type body struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
		Data    any    `json:"data,omitempty"`
	}
	text, wrong := o.encode(body{err.Code, err.Message, err.Data})
	if wrong != nil {
		message := err.Message[:min(len(err.Message), 4096)]
		// An integer and a text are always JSON.
		text, _ = json.Marshal(body{Code: err.Code, Message: message})
	}
	o.send(`{"jsonrpc":"2.0","id":`, string(id), `,"error":`, string(text), "}\n")
}

func (o *outlet) request(id wire.ID, method string, params any) error {
	text, err := o.encode(params)
	if err != nil {
		return err
	}
	o.send(`{"jsonrpc":"2.0","id":`, string(id), `,"method":"`, method, `","params":`, string(text), "}\n")
	return nil
}

func (o *outlet) notify(method string, params any) error {
	text, err := o.encode(params)
	if err != nil {
		return err
	}
	o.send(`{"jsonrpc":"2.0","method":"`, method, `","params":`, string(text), "}\n")
	return nil
}

func (o *outlet) send(parts ...string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.waiting) > waitingBytes && !o.closed {
		o.changed.Wait()
	}
	if o.closed {
		return
	}
	for _, part := range parts {
		o.waiting = append(o.waiting, part...)
	}
	o.changed.Broadcast()
}

// encode gives value as JSON on one line, if it is that and within the host's limits. Raw text stays as it is.
func (o *outlet) encode(value any) ([]byte, error) {
	text, err := encodeJSON(value)
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	maxFrame, maxDepth := o.maxFrame, o.maxDepth
	o.mu.Unlock()
	if len(text)+envelopeBytes > maxFrame {
		return nil, Errorf(CodeTooLarge, "%d bytes are more than the host takes", len(text))
	}
	if !wire.DepthWithin(text, maxDepth-1) {
		return nil, Errorf(CodeTooLarge, "it nests deeper than the host takes")
	}
	return text, nil
}

func encodeJSON(value any) ([]byte, error) {
	raw, is := value.(json.RawMessage)
	if is && len(raw) > 0 && json.Valid(raw) && bytes.IndexByte(raw, '\n') < 0 {
		return raw, nil
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(text.Bytes(), []byte{'\n'}), nil
}
