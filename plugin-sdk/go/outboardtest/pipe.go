package outboardtest

import (
	"io"
	"sync"
)

// pipe is a stream in memory whose writer never waits.
type pipe struct {
	mu     sync.Mutex
	more   sync.Cond
	data   []byte
	closed bool
}

func newPipe() *pipe {
	p := &pipe{}
	p.more.L = &p.mu
	return p
}

func (p *pipe) Read(buffer []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.data) == 0 {
		if p.closed {
			return 0, io.EOF
		}
		p.more.Wait()
	}
	n := copy(buffer, p.data)
	p.data = p.data[n:]
	return n, nil
}

func (p *pipe) write(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.data = append(p.data, text...)
	}
	p.more.Signal()
}

func (p *pipe) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.more.Signal()
}
