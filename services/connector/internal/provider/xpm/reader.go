package xpm

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"

	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/provider/transport"
)

const (
	// maxDepth is how deep elements may nest. Answers nest six deep; the rest is for what the provider may add.
	maxDepth = 32
	// maxToken bounds one tag or one run of text. The longest text there is, a note, is refused by the provider beyond
	// a few ten thousand characters.
	maxToken = 1 << 20
	// maxValue bounds a value that is kept. The provider's longest field has 255 characters, an address a few lines.
	maxValue = 64 << 10
)

// reader walks through the elements of an XML document from the outside in. It expands no entities but the five of XML
// itself and refuses a document type, so a document is never larger than its bytes.
//
// It takes raw tokens and sees to the nesting itself: the namespaces that encoding/xml would keep besides are a tenth of
// the time, and no answer has any.
type reader struct {
	dec *xml.Decoder
	src *transport.Bounded
	// open are the elements that are open, from the outside in.
	open []xml.Name
	// turned is set when the document is turned into UTF-8 on its way.
	turned bool
	// ok is set once the document said that the call succeeded.
	ok bool
}

// newReader reads a document of at most limit bytes.
func newReader(a provider.Answer, limit int64) (*reader, error) {
	r := &reader{src: transport.NewBounded(a.Body, limit, maxToken), open: make([]xml.Name, 0, maxDepth)}
	text, charset, err := r.decodeText(a.ContentType)
	if err != nil {
		return nil, explain(r.src, err)
	}
	r.dec = xml.NewDecoder(text)
	r.dec.CharsetReader = charset
	return r, nil
}

// token returns the next tag or text. Comments and processing instructions are passed over.
func (r *reader) token() (xml.Token, error) {
	for {
		r.src.Token()
		t, err := r.dec.RawToken()
		if err != nil {
			if errors.Is(err, io.EOF) && len(r.open) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		switch tag := t.(type) { // t is returned and not tag, which would be boxed a second time
		case xml.StartElement:
			if len(r.open) == maxDepth {
				return nil, errDepth
			}
			r.open = append(r.open, tag.Name)
			return t, nil
		case xml.EndElement:
			last := len(r.open) - 1
			if last < 0 || r.open[last] != tag.Name {
				return nil, errNesting
			}
			r.open = r.open[:last]
			return t, nil
		case xml.CharData:
			return t, nil
		case xml.Directive:
			if start := []byte("doctype html"); len(tag) >= len(start) && bytes.EqualFold(tag[:len(start)], start) {
				return nil, errPage
			}
			return nil, errDirective
		}
	}
}

// root reads up to the root element.
func (r *reader) root() (string, error) {
	for {
		t, err := r.token()
		if err != nil {
			return "", err
		}
		switch t := t.(type) {
		case xml.StartElement:
			return t.Name.Local, nil
		case xml.CharData:
			switch text := bytes.TrimSpace(t); {
			case len(text) == 0:
			case text[0] == '{', text[0] == '[':
				return "", errJSON
			default:
				return "", errText
			}
		}
	}
}

// each calls fn for each child of the element last opened, up to its end. What fn leaves unread of a child is skipped.
func (r *reader) each(fn func(name string) error) error {
	inside := len(r.open)
	for {
		t, err := r.token()
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.StartElement:
			if err := fn(t.Name.Local); err != nil {
				return err
			}
			if err := r.leave(inside); err != nil {
				return err
			}
		case xml.EndElement:
			return nil
		}
	}
}

// leave reads on until depth is reached again.
func (r *reader) leave(depth int) error {
	for len(r.open) > depth {
		if _, err := r.token(); err != nil {
			return err
		}
	}
	return nil
}

// value returns the text of the element last opened and reads past its end. Elements within it are passed over.
func (r *reader) value() (string, error) {
	inside, text := len(r.open), ""
	for len(r.open) >= inside {
		t, err := r.token()
		if err != nil {
			return "", err
		}
		chars, ok := t.(xml.CharData)
		if !ok || len(r.open) != inside {
			continue
		}
		switch {
		case len(text)+len(chars) > maxValue:
			return "", errValue
		case r.turned && bytes.ContainsRune(chars, '\uFFFD'):
			return "", errLetters
		}
		text += string(chars)
	}
	return strings.TrimSpace(text), nil
}

// end reports an error when anything but white space follows the document.
func (r *reader) end() error {
	for {
		t, err := r.token()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if chars, ok := t.(xml.CharData); !ok || len(bytes.TrimSpace(chars)) > 0 {
			return errMore
		}
	}
}

// seen remembers which of up to 64 elements were there.
type seen uint64

// single gives each of some elements a bit, to notice one that comes twice. Names with a stroke between are the same element
// in two spellings.
func single(names ...string) map[string]seen {
	all := map[string]seen{}
	for i, spellings := range names {
		for name := range strings.SplitSeq(spellings, "|") {
			all[name] = 1 << i
		}
	}
	return all
}

// twice reports whether an element that comes once was there before.
func (s *seen) twice(of map[string]seen, name string) bool {
	bit := of[name]
	before := *s&bit != 0
	*s |= bit
	return before
}
