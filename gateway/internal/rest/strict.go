package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
)

// strict is JSON of which a body holds one value and nothing after it: a request cut together from two is a mistake to
// be told, not half obeyed.
type strict struct{ *runtime.JSONPb }

// What the decoder says begins with one of these, so that it is told from what the translation says of the address.
const (
	saysLarge  = "body: too large: "
	saysSyntax = "body: syntax: "
	saysMore   = "body: more follows after the end of the request"
)

// NewDecoder implements runtime.Marshaler. A body is bounded, so it is read whole, which lets an error say where it is.
func (s strict) NewDecoder(r io.Reader) runtime.Decoder {
	return runtime.DecoderFunc(func(v any) error {
		body, err := io.ReadAll(r)
		if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return fmt.Errorf("%s%d", saysLarge, large.Limit)
		}
		if err != nil {
			return err
		}
		if len(bytes.TrimSpace(body)) == 0 {
			return io.EOF // which the translation takes for a request without a body
		}
		if err := wellFormed(body); err != nil {
			return err
		}
		return s.JSONPb.Unmarshal(body, v)
	})
}

// wellFormed says where a body stops being JSON.
func wellFormed(body []byte) error {
	d := json.NewDecoder(bytes.NewReader(body))
	var value json.RawMessage
	err := d.Decode(&value)
	at := int64(len(body))
	switch syntax, ok := errors.AsType[*json.SyntaxError](err); {
	case ok && syntax.Offset < at:
		at = syntax.Offset - 1
		return fmt.Errorf("%s%s: %w", saysSyntax, place(body, at), err)
	case err != nil:
		return fmt.Errorf("%s%s: the body ends in the middle", saysSyntax, place(body, at))
	}
	if rest := bytes.TrimSpace(body[d.InputOffset():]); len(rest) > 0 {
		return errors.New(saysMore)
	}
	return nil
}

// place is a position in words, both counted from 1.
func place(body []byte, at int64) string {
	before := body[:at]
	line := bytes.Count(before, []byte("\n")) + 1
	return fmt.Sprintf("line %d, column %d", line, at-int64(bytes.LastIndexByte(before, '\n')))
}
