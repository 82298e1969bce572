package api

import (
	"encoding/base64"
	"encoding/json"
	"strings"
)

// defaultPage is the size of a page when the request names none; the contract bounds what it may name.
const defaultPage = 50

func pageSize(asked int32) int {
	if asked == 0 {
		return defaultPage
	}
	return int(asked)
}

// pageToken writes where a page ended. It holds only what the page itself shows, so it needs no seal; what comes back is
// used as a bound within the caller's own rows.
func pageToken(kind string, cursor any) (string, error) {
	inner, err := json.Marshal(cursor)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(token{Kind: kind, Cursor: inner})
	return base64.RawURLEncoding.EncodeToString(text), err
}

type token struct {
	Kind   string          `json:"k"`
	Cursor json.RawMessage `json:"c"`
}

// readToken reads a token of the same kind of list; an empty one leaves the cursor as it is.
func readToken(text, kind string, cursor any) error {
	if text == "" {
		return nil
	}
	wrong := violation("page_token", "page_token", "must be the next_page_token of an answer to the same request")
	data, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return wrong
	}
	var t token
	if json.Unmarshal(data, &t) != nil || t.Kind != kind || holdsNUL(t.Cursor) || json.Unmarshal(t.Cursor, cursor) != nil {
		return wrong
	}
	return nil
}

// holdsNUL tells whether a text in a cursor has a NUL, which PostgreSQL does not take. Cursors are flat.
func holdsNUL(cursor json.RawMessage) bool {
	var fields map[string]any
	if json.Unmarshal(cursor, &fields) != nil {
		return true // no cursor at all
	}
	for _, v := range fields {
		if text, ok := v.(string); ok && strings.ContainsRune(text, 0) {
			return true
		}
	}
	return false
}

// page cuts a list that was read with one row more than asked for, and makes the token when there is more.
func page[T any](rows []T, size int, kind string, cursor func(T) any) ([]T, string, error) {
	if len(rows) <= size {
		return rows, "", nil
	}
	rows = rows[:size]
	next, err := pageToken(kind, cursor(rows[size-1]))
	return rows, next, err
}
