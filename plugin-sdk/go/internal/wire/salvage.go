package wire

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strconv"
)

// Bytes kept of the beginning and of the end of a line that cannot be read whole.
const (
	Head      = 4096
	TailBytes = 256
)

const (
	maxInteger = 1<<53 - 1
	maxTextID  = 256
)

// ID is a request's id as JSON text: an integer that every language can hold, or a short string. Empty is none.
type ID string

// ParseID gives the id that text is, or "".
func ParseID(text []byte) ID {
	if len(text) == 0 {
		return ""
	}
	if text[0] == '"' {
		var id string
		if json.Unmarshal(text, &id) != nil || len(id) > maxTextID {
			return ""
		}
		return ID(text)
	}
	number, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || number < -maxInteger || number > maxInteger || text[0] == '+' {
		return ""
	}
	return ID(text)
}

// NumberID gives a number as an id.
func NumberID(number int64) ID { return ID(strconv.FormatInt(number, 10)) }

// Salvaged is what could be made out of a message that cannot be read whole.
type Salvaged struct {
	ID ID
	// Request says that it has a method: the id is the peer's own.
	Request bool
}

var lastID = regexp.MustCompile(
	`[,{]\s*"id"\s*:\s*(-?[0-9]+|"[^"\\]*")\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$`)

// Salvage finds the id of a message that is too long or too deep: such a request must be answered, and not left to its
// deadline. It looks for an id of the outer object in the head, else for one as the last member in the tail. The second
// is sound: what stands before the last brace belongs to the outer object.
func Salvage(head, tail []byte) Salvaged {
	var found Salvaged
	decoder := json.NewDecoder(bytes.NewReader(head))
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return found
	}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			break
		}
		if name == "method" {
			found.Request = true
		}
		var value json.RawMessage
		if decoder.Decode(&value) != nil {
			break
		}
		// What ends with the head may go on behind it.
		if name == "id" && found.ID == "" && decoder.InputOffset() < int64(len(head)) {
			found.ID = ParseID(value)
		}
	}
	if closed, err := decoder.Token(); err == nil && closed == json.Delim('}') {
		// The object ended within the head: what follows is no part of it.
		return found
	}
	if match := lastID.FindSubmatch(tail); found.ID == "" && match != nil {
		found.ID = ParseID(match[1])
	}
	return found
}
