package xpm

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/concord-suite/concord/services/connector/internal/provider"
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
type reader struct {
	dec   *xml.Decoder
	src   *bounded
	depth int
}

// newReader reads a document of at most limit bytes.
func newReader(a provider.Answer, limit int64) (*reader, error) {
	src := &bounded{in: a.Body, left: limit}
	text, charset, err := decodeText(src, a.ContentType)
	if err != nil {
		return nil, src.explain(err)
	}
	dec := xml.NewDecoder(text)
	dec.CharsetReader = charset
	return &reader{dec: dec, src: src}, nil
}

// token returns the next tag or text. Comments and processing instructions are passed over.
func (r *reader) token() (xml.Token, error) {
	for {
		r.src.token = maxToken
		t, err := r.dec.Token()
		if err != nil {
			return nil, err
		}
		switch t.(type) {
		case xml.StartElement:
			if r.depth++; r.depth > maxDepth {
				return nil, errDepth
			}
			return t, nil
		case xml.EndElement:
			r.depth--
			return t, nil
		case xml.CharData:
			return t, nil
		case xml.Directive:
			return nil, errDirective
		}
	}
}

var (
	errDepth     = fmt.Errorf("elements nest more than %d deep", maxDepth)
	errDirective = errors.New("it declares a document type")
	errLarge     = errors.New("it is larger than an answer can be")
	errValue     = errors.New("a value is longer than a field can be")
)

// open reads up to the root element.
func (r *reader) open() (string, error) {
	for {
		t, err := r.token()
		if err != nil {
			return "", err
		}
		switch t := t.(type) {
		case xml.StartElement:
			return t.Name.Local, nil
		case xml.CharData:
			if strings.TrimSpace(string(t)) != "" {
				return "", errors.New("it does not begin with an element")
			}
		}
	}
}

// each calls fn for each child of the element last opened, up to its end. What fn leaves unread of a child is skipped.
func (r *reader) each(fn func(name string) error) error {
	inside := r.depth
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
	for r.depth > depth {
		if _, err := r.token(); err != nil {
			return err
		}
	}
	return nil
}

// value returns the text of the element last opened and reads past its end. Elements within it are passed over.
func (r *reader) value() (string, error) {
	inside, text := r.depth, ""
	for r.depth >= inside {
		t, err := r.token()
		if err != nil {
			return "", err
		}
		if chars, ok := t.(xml.CharData); ok && r.depth == inside {
			if len(text)+len(chars) > maxValue {
				return "", errValue
			}
			text += string(chars)
		}
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
		if chars, ok := t.(xml.CharData); !ok || strings.TrimSpace(string(chars)) != "" {
			return errors.New("something follows the end of the document")
		}
	}
}

// bounded counts what is read: of the whole document, and since the last token.
type bounded struct {
	in    io.Reader
	left  int64
	token int
	err   error // what the transport said, when it was not the end
}

// slack is what the decoder's own buffer may read beyond the token it is at.
const slack = 64 << 10

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 || b.token <= -slack {
		return 0, errLarge
	}
	n, err := b.in.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	b.token -= n
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
	}
	return n, err
}

// explain tells a document that is wrong from one that did not arrive.
func (b *bounded) explain(err error) error {
	switch {
	case b.err != nil:
		return &provider.Error{Kind: provider.ErrUnavailable, Text: "the provider's answer broke off", Cause: b.err}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &provider.Error{Kind: provider.ErrInvalid, Text: "the provider's answer ends in the middle"}
	}
	if syntax, ok := errors.AsType[*xml.SyntaxError](err); ok && syntax.Msg == "unexpected EOF" {
		return &provider.Error{Kind: provider.ErrInvalid, Text: "the provider's answer ends in the middle"}
	}
	return &provider.Error{Kind: provider.ErrInvalid, Text: "the provider's answer is not the XML it should be", Cause: err}
}
