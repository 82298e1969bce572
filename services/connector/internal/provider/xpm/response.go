package xpm

import (
	"bytes"
	"errors"
	"strings"

	"github.com/concord-suite/concord/services/connector/internal/provider"
)

const (
	// pageLimit bounds a page of 500 records and a single record. 500 clients with long addresses make 1.5 MB.
	pageLimit = 32 << 20
	// listLimit bounds a listing that is not paged. 15,000 clients with every detail were seen to make 50 MB; it is read
	// piece by piece, so the bound is against an answer without an end.
	listLimit = 512 << 20
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
		return r.src.explain(err)
	}
	switch strings.ToUpper(status) {
	case "OK":
		return nil
	case "ERROR":
		return refusal(words)
	}
	return provider.Errorf(provider.ErrInvalid, "the provider's answer does not say whether it succeeded")
}

// response reads the root element and sees that nothing follows it.
func (r *reader) response(body func(r *reader, name string) error) (status, words string, err error) {
	root, err := r.open()
	if err != nil {
		return "", "", err
	}
	if root != "Response" {
		return "", "", errors.New("its root is not Response")
	}
	err = r.each(func(name string) (err error) {
		switch name {
		case "Status":
			status, err = r.value()
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

// Words returns what an error answer says in the provider's own XML, "" when it is something else.
func (Adapter) Words(body []byte) string {
	err := decode(provider.Answer{Body: bytes.NewReader(body)}, pageLimit, func(*reader, string) error { return nil })
	if errors.Is(err, provider.ErrRefused) || errors.Is(err, provider.ErrUnknownRecord) {
		return provider.Text(err)
	}
	return ""
}
