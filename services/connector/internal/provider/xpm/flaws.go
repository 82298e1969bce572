package xpm

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/provider/transport"
)

// flaw is what is wrong with a document, in words for people that hold nothing of it.
type flaw string

// Error returns the words.
func (f flaw) Error() string { return string(f) }

const (
	errDepth      flaw = "its elements nest deeper than any answer's"
	errNesting    flaw = "its elements do not close as they were opened"
	errDirective  flaw = "it declares a document type"
	errValue      flaw = "a value is longer than a field can be"
	errLetters    flaw = "it holds letters that its encoding does not have"
	errPage       flaw = "it is a web page"
	errJSON       flaw = "it is JSON"
	errText       flaw = "it does not begin with an element"
	errRoot       flaw = "it is another document"
	errMore       flaw = "something follows its end"
	errTwice      flaw = "it says something twice that can be said once"
	errStatusLate flaw = "it does not say first whether it succeeded"
)

// explain tells a document that is wrong from one that did not arrive.
func explain(src *transport.Bounded, err error) error {
	syntax, _ := errors.AsType[*xml.SyntaxError](err)
	f, known := errors.AsType[flaw](err)
	switch {
	case src.Broke() != nil:
		return &provider.Error{Kind: provider.ErrUnavailable, Text: "the provider's answer broke off", Cause: src.Broke()}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), syntax != nil && strings.HasPrefix(syntax.Msg, "unexpected EOF"):
		return provider.Errorf(provider.ErrInvalid, "the provider's answer ends in the middle")
	case errors.Is(err, transport.ErrLarge):
		return provider.Errorf(provider.ErrInvalid, "the provider's answer is not the XML it should be: %s", transport.ErrLarge)
	case known:
		return provider.Errorf(provider.ErrInvalid, "the provider's answer is not the XML it should be: %s", f)
	}
	wrong := &provider.Error{Kind: provider.ErrInvalid, Text: "the provider's answer is not the XML it should be"}
	if syntax != nil {
		wrong.Cause = fmt.Errorf("line %d: %s", syntax.Line, kind(syntax.Msg))
	}
	return wrong
}

// kind returns what sort of mistake a decoder's message tells of, without what it quotes of the document.
func kind(message string) string {
	if at := strings.IndexAny(message, `<&":`); at >= 0 {
		message = message[:at]
	}
	return strings.TrimSpace(message)
}
