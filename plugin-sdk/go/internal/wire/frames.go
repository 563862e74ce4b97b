// Package wire turns bytes into lines and lines into messages, without any I/O.
package wire

import (
	"bytes"
	"sync/atomic"
	"unicode/utf8"
)

// DefaultMaxFrame is how many bytes a line may have, its line feed aside, unless said otherwise.
const DefaultMaxFrame = 16 << 20

var bom = []byte{0xEF, 0xBB, 0xBF}

// Item is what a [Framer] found: a [Frame], [Junk], [TooLong] or [Tail].
type Item interface{ item() }

// Frame is a line that begins with {. Whether it is a message is the decoder's business. It is the receiver's to keep.
type Frame []byte

// Junk is a line that is no frame.
type Junk struct {
	// Kind is "text", "batch" or "utf8".
	Kind  string
	Bytes int
}

// TooLong is a line beyond the limit.
type TooLong struct {
	Bytes int
	Salvaged
}

// Tail is what was left at the end of input, without a line feed. It is never acted upon.
type Tail struct{ Bytes int }

func (Frame) item()   {}
func (Junk) item()    {}
func (TooLong) item() {}
func (Tail) item()    {}

// Framer cuts a stream at its line feeds, and at nothing else. What comes out never depends on how the bytes were cut
// into reads, and no more is kept of a line than the limit and a little.
type Framer struct {
	maxFrame atomic.Int64
	begun    bool
	line     []byte
	// size counts the whole line. It is more than len(line) only while one too long to keep goes by.
	size       int
	skipping   bool
	head, tail []byte
}

// NewFramer gives a framer with a limit in bytes.
func NewFramer(maxFrame int) *Framer {
	f := &Framer{}
	f.SetMaxFrame(maxFrame)
	return f
}

// SetMaxFrame changes the limit, also while another goroutine feeds.
func (f *Framer) SetMaxFrame(maxFrame int) { f.maxFrame.Store(int64(maxFrame)) }

// Feed takes what was read, and hands what is complete to take.
func (f *Framer) Feed(data []byte, take func(Item)) {
	for {
		part, rest, found := bytes.Cut(data, []byte{'\n'})
		f.keep(part)
		if !found {
			return
		}
		if item := f.endLine(); item != nil {
			take(item)
		}
		data = rest
	}
}

// Finish says what is left at the end of input, if anything is.
func (f *Framer) Finish() (Tail, bool) { return Tail{f.size}, f.size > 0 }

func (f *Framer) keep(part []byte) {
	f.size += len(part)
	if f.skipping {
		f.tail = append(f.tail, last(part)...)
		f.tail = append(f.tail[:0], last(f.tail)...)
		return
	}
	f.line = append(f.line, part...)
	// A carriage return and a byte order mark do not count, and may still be told from the rest.
	if int64(f.size) > f.maxFrame.Load()+1+int64(len(bom)) {
		f.skipping = true
		f.head = bytes.Clone(f.line[:min(len(f.line), Head+len(bom))])
		f.tail = bytes.Clone(last(f.line))
		f.line = nil
	}
}

func (f *Framer) endLine() Item {
	first := !f.begun
	f.begun = true
	line, size := f.line, f.size
	f.line, f.size = nil, 0
	if f.skipping {
		head, tail := f.head, f.tail
		f.skipping, f.head, f.tail = false, nil, nil
		if first && bytes.HasPrefix(head, bom) {
			head, size = head[len(bom):], size-len(bom)
		}
		if bytes.HasSuffix(tail, []byte{'\r'}) {
			tail, size = tail[:len(tail)-1], size-1
		}
		return tooLong(size, head, tail)
	}
	if first {
		line = bytes.TrimPrefix(line, bom)
	}
	line = bytes.TrimSuffix(line, []byte{'\r'})
	if int64(len(line)) > f.maxFrame.Load() {
		return tooLong(len(line), line, line)
	}
	return judge(line)
}

// last gives a carriage return more than is looked at.
func last(part []byte) []byte { return part[max(0, len(part)-TailBytes-1):] }

func tooLong(size int, head, tail []byte) Item {
	head = head[:min(len(head), Head)]
	tail = tail[max(0, len(tail)-TailBytes):]
	return TooLong{size, Salvage(head, tail)}
}

func judge(line []byte) Item {
	text := bytes.Trim(line, " \t")
	switch {
	case len(text) == 0:
		return nil
	case !utf8.Valid(text):
		return Junk{"utf8", len(line)}
	case text[0] == '{':
		return Frame(text)
	case len(text) > 1 && text[0] == '[' && (text[1] == '{' || text[1] == ']'):
		return Junk{"batch", len(line)}
	default:
		return Junk{"text", len(line)}
	}
}
