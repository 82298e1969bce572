package xpm

import (
	"bytes"
	"errors"
	"strings"

	"github.com/concord-suite/concord/services/connector/internal/provider"
)

// decode reads one answer. body is called for each element beside Status and ErrorDescription, and reads what it wants
// of it. Nothing that body collected may be used when decode returns an error: only the end of the document tells that
// it is whole.
func decode(a provider.Answer, limit int64, body func(r *reader, name string) error) error {
	r, err := newReader(a, limit)
	if err != nil {
		return err
	}
	status, words, err := r.response(body)
	if err != nil {
		if own, ok := errors.AsType[*provider.Error](err); ok {
			return own
		}
		return explain(r.src, err)
	}
	switch strings.ToUpper(status) {
	case "OK":
		return nil
	case "ERROR":
		return refusal(words)
	}
	return provider.Errorf(provider.ErrInvalid, "the provider's answer does not say whether it succeeded")
}

// once are the elements that an answer has one of. A second one contradicts the first, or hides it.
var once = single("Status", "ErrorDescription", "Clients", "Client", "Contacts", "Contact", "Pagination", "Page", "TotalRecords",
	"CustomFields", "CustomFieldDefinitions")

// response reads the root element and sees that nothing follows it.
func (r *reader) response(body func(r *reader, name string) error) (status, words string, err error) {
	root, err := r.root()
	if err != nil {
		return "", "", err
	}
	switch {
	case strings.EqualFold(root, "html"):
		return "", "", errPage
	case root != "Response":
		return "", "", errRoot
	}
	var there seen
	err = r.each(func(name string) (err error) {
		if there.twice(once, name) {
			return errTwice
		}
		switch name {
		case "Status":
			status, err = r.value()
			r.ok = strings.EqualFold(status, "OK")
		case "ErrorDescription":
			words, err = r.value()
		default:
			err = body(r, name)
		}
		return err
	})
	if err != nil {
		return "", "", err
	}
	return status, words, r.end()
}

// unknownClient is what the provider says of a client it does not know, and of one that belongs to another practice.
const unknownClient = "invalid client identifier"

// refusal turns the provider's words into an error.
func refusal(words string) error {
	if strings.EqualFold(strings.TrimRight(words, "."), unknownClient) {
		return provider.Errorf(provider.ErrUnknownRecord, "%s", words)
	}
	if words == "" {
		words = "no reason given"
	}
	return provider.Errorf(provider.ErrRefused, "%s", shorten(words))
}

// maxWords bounds what is repeated of the provider's words.
const maxWords = 300

func shorten(words string) string {
	words = strings.Join(strings.Fields(words), " ")
	if runes := []rune(words); len(runes) > maxWords {
		return string(runes[:maxWords]) + "…"
	}
	return words
}

// Refusal reads an error answer in the provider's own XML.
func (Adapter) Refusal(_ int, body []byte) *provider.Error {
	err := decode(provider.Answer{Body: bytes.NewReader(body)}, int64(len(body))+1, func(*reader, string) error { return nil })
	if errors.Is(err, provider.ErrRefused) || errors.Is(err, provider.ErrUnknownRecord) {
		return provider.Errorf(provider.ErrRefused, "%s", provider.Text(err))
	}
	return nil
}
