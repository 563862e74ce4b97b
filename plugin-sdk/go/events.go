package outboard

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
)

// waitingEvents is how many events wait for those before them. Beyond that the newest is dropped, and counted in the
// next one's Missed.
const waitingEvents = 1024

// Event is something that another plugin, or the host, published.
type Event struct {
	Topic  string          `json:"topic"`
	Data   json.RawMessage `json:"data"`
	Source string          `json:"source"`
	// Seq counts up from 1 for this run of the plugin.
	Seq int64 `json:"seq"`
	// TimeMs is when it was published, in milliseconds since 1970.
	TimeMs int64 `json:"timeMs"`
	// Missed is how many events were lost between the last one and this.
	Missed int64 `json:"missed"`
}

// EventHandler handles one event at a time. Its error is logged.
type EventHandler func(ctx context.Context, event Event) error

type subscription struct {
	topic  string
	handle EventHandler
}

// events hands events to those who subscribed to them, in order.
type events struct {
	mu     sync.Mutex
	queue  []Event
	missed int64
	busy   bool
}

func (e *events) take(ctx context.Context, params json.RawMessage, s *session) {
	var event Event
	if len(s.plugin.subscriptions) == 0 || json.Unmarshal(params, &event) != nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	event.Missed += e.missed
	if len(e.queue) >= waitingEvents {
		e.missed = event.Missed + 1
		return
	}
	e.missed = 0
	e.queue = append(e.queue, event)
	if !e.busy {
		e.busy = true
		go e.run(ctx, s)
	}
}

func (e *events) run(ctx context.Context, s *session) {
	for {
		e.mu.Lock()
		if len(e.queue) == 0 {
			e.busy = false
			e.mu.Unlock()
			return
		}
		event := e.queue[0]
		e.queue = e.queue[1:]
		e.mu.Unlock()
		for _, subscription := range s.plugin.subscriptions {
			if topicMatches(subscription.topic, event.Topic) {
				err := s.guard(func() error { return subscription.handle(ctx, event) })
				s.complain("the handler of "+event.Topic, err)
			}
		}
	}
}

// topicMatches reads * as any run of characters.
func topicMatches(pattern, topic string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == topic
	}
	rest, is := strings.CutPrefix(topic, parts[0])
	if !is {
		return false
	}
	for _, part := range parts[1 : len(parts)-1] {
		if _, rest, is = strings.Cut(rest, part); !is {
			return false
		}
	}
	return strings.HasSuffix(rest, parts[len(parts)-1])
}
