package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// The vectors that every SDK passes. "content-length" framing is left out: plugins speak one JSON object a line, and
// never read the other.

type chunk struct {
	Text   string `json:"text"`
	Base64 string `json:"base64"`
	Repeat *struct {
		Text  string `json:"text"`
		Times int    `json:"times"`
	} `json:"repeat"`
}

func (c chunk) bytes(t *testing.T) []byte {
	t.Helper()
	switch {
	case c.Repeat != nil:
		return []byte(strings.Repeat(c.Repeat.Text, c.Repeat.Times))
	case c.Base64 != "":
		data, err := base64.StdEncoding.DecodeString(c.Base64)
		if err != nil {
			t.Fatal(err)
		}
		return data
	default:
		return []byte(c.Text)
	}
}

func load[T any](t *testing.T, name string) []T {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "protocol", "vectors", name))
	if err != nil {
		t.Fatal(err)
	}
	var cases []T
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 40 {
		t.Fatalf("only %d cases", len(cases))
	}
	return cases
}

func TestFraming(t *testing.T) {
	type framing struct {
		Name, Framing string
		Limits        struct{ MaxFrameBytes int }
		Chunks        []chunk
		EOF           bool
		Expect        []map[string]any
	}
	for _, c := range load[framing](t, "framing.json") {
		if c.Framing != "newline" {
			continue
		}
		var given [][]byte
		for _, chunk := range c.Chunks {
			given = append(given, chunk.bytes(t))
		}
		whole := bytes.Join(given, nil)
		var single [][]byte
		for i := range whole {
			single = append(single, whole[i:i+1])
		}
		cuts := map[string][][]byte{"as given": given, "whole": {whole}, "byte by byte": single}
		for how, pieces := range cuts {
			t.Run(c.Name+"/"+how, func(t *testing.T) {
				limit := DefaultMaxFrame
				if c.Limits.MaxFrameBytes > 0 {
					limit = c.Limits.MaxFrameBytes
				}
				framer := NewFramer(limit)
				found := []map[string]any{}
				take := func(item Item) { found = append(found, shown(item)) }
				for _, piece := range pieces {
					framer.Feed(piece, take)
				}
				if tail, is := framer.Finish(); c.EOF && is {
					take(tail)
				}
				if !reflect.DeepEqual(found, c.Expect) {
					t.Errorf("found %v\nwant  %v", found, c.Expect)
				}
			})
		}
	}
}

func shown(item Item) map[string]any {
	bytes := func(n int) map[string]any { return map[string]any{"bytes": float64(n)} }
	switch item := item.(type) {
	case Frame:
		return map[string]any{"frame": string(item)}
	case Junk:
		about := bytes(item.Bytes)
		about["kind"] = item.Kind
		return map[string]any{"junk": about}
	case TooLong:
		about := bytes(item.Bytes)
		if item.ID != "" {
			about["id"] = value([]byte(item.ID))
		}
		return map[string]any{"tooLong": about}
	case Tail:
		return map[string]any{"tail": bytes(item.Bytes)}
	default:
		panic("a new kind of item")
	}
}

func value(text []byte) any {
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		return err
	}
	return value
}

func TestMessages(t *testing.T) {
	type message struct {
		Name, Level string
		Input       []chunk
		Expect      map[string]map[string]any
	}
	for _, c := range load[message](t, "messages.json") {
		if c.Level != "must" {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			var input []byte
			for _, chunk := range c.Input {
				input = append(input, chunk.bytes(t)...)
			}
			for _, wanted := range c.Expect {
				if wanted["result"] == "@depth127" {
					wanted["result"] = value([]byte(strings.Repeat("[", 127) + strings.Repeat("]", 127)))
				}
			}
			found := shownMessage(Decode(bytes.TrimSpace(input), DefaultMaxDepth))
			if !reflect.DeepEqual(found, c.Expect) {
				t.Errorf("found %v\nwant  %v", found, c.Expect)
			}
		})
	}
}

func shownMessage(message Message) map[string]map[string]any {
	members := map[string]any{}
	put := func(name string, text []byte) {
		if len(text) > 0 {
			members[name] = value(text)
		}
	}
	remote := func(err *RemoteError) map[string]any {
		about := map[string]any{"code": float64(err.Code), "message": err.Message}
		if err.Data != nil {
			about["data"] = value(err.Data)
		}
		return about
	}
	kind := ""
	switch message := message.(type) {
	case Request:
		kind = "request"
		put("id", []byte(message.ID))
		members["method"] = message.Method
		put("params", message.Params)
	case Notification:
		kind = "notification"
		members["method"] = message.Method
		put("params", message.Params)
	case Response:
		kind = "response"
		put("id", []byte(message.ID))
		put("result", message.Result)
		if message.Error != nil {
			members["error"] = remote(message.Error)
		}
	case OrphanError:
		kind = "orphanError"
		members = remote(message.Error)
	case Reject:
		kind = "reject"
		members["reason"] = message.Reason
		put("id", []byte(message.ID))
	}
	return map[string]map[string]any{kind: members}
}
