package accounting

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"slices"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/transform"

	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/provider/transport"
)

const (
	// maxDepth is how deep objects and lists may nest. Answers nest six deep; the rest is for what the provider may add.
	maxDepth = 32
	// maxToken bounds one key, number or text as it arrives. The longest text there is has 500 characters.
	maxToken = 1 << 20
	// maxValue bounds a text that is kept.
	maxValue = 64 << 10
	// maxKeys bounds the keys of one object. A contact has some forty.
	maxKeys = 256
)

// reader walks through a JSON document from the outside in, one token at a time. Nothing is kept of what is not asked
// for, a key that stands twice in an object is an error (which of the two counts would be a guess), and so is text that
// is not UTF-8 (encoding/json would put another character in its place).
type reader struct {
	dec   *json.Decoder
	src   *transport.Bounded
	depth int
}

// newReader reads a document of at most limit bytes.
func newReader(a provider.Answer, limit int64) (*reader, error) {
	src := transport.NewBounded(a.Body, limit, maxToken)
	if _, params, err := mime.ParseMediaType(a.ContentType); err == nil {
		if charset := strings.ToLower(params["charset"]); !slices.Contains([]string{"", "utf-8", "utf8", "us-ascii"}, charset) {
			return nil, explain(src, fmt.Errorf("its encoding %.40q is not supported", charset))
		}
	}
	text := bufio.NewReader(transform.NewReader(src, encoding.UTF8Validator))
	if mark, _ := text.Peek(3); bytes.Equal(mark, []byte{0xEF, 0xBB, 0xBF}) { // what is shorter is told by the decoder
		_, _ = text.Discard(3)
	}
	dec := json.NewDecoder(text)
	dec.UseNumber()
	return &reader{dec: dec, src: src}, nil
}

var (
	errDepth = fmt.Errorf("it nests more than %d deep", maxDepth)
	errValue = errors.New("a value is longer than a field can be")
	errKeys  = errors.New("an object has more keys than one can have")
	errShape = errors.New("a value is of another kind than it should be")
	errTwice = errors.New("a key stands twice in one object")
	errTail  = errors.New("something follows the end of the document")
)

// next returns the next token.
func (r *reader) next() (json.Token, error) {
	r.src.Token()
	t, err := r.dec.Token()
	if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('{'), json.Delim('['):
		if r.depth++; r.depth > maxDepth {
			return nil, errDepth
		}
	case json.Delim('}'), json.Delim(']'):
		r.depth--
	}
	return t, nil
}

// more reports whether the object or list last opened goes on.
func (r *reader) more() bool {
	r.src.Token()
	return r.dec.More()
}

// object calls each for every key of the object that comes next; each reads the key's value. null is an object without
// keys.
func (r *reader) object(each func(key string) error) error {
	open, err := r.open('{')
	if err != nil || !open {
		return err
	}
	var seen []string
	for r.more() {
		t, err := r.next()
		if err != nil {
			return err
		}
		key, _ := t.(string) // the decoder lets nothing else stand here
		switch {
		case slices.Contains(seen, key):
			return errTwice
		case len(seen) == maxKeys:
			return errKeys
		}
		seen = append(seen, key)
		if err := each(key); err != nil {
			return err
		}
	}
	_, err = r.next()
	return err
}

// list calls each for every item of the list that comes next; each reads the item. null is a list without items.
func (r *reader) list(each func() error) error {
	open, err := r.open('[')
	if err != nil || !open {
		return err
	}
	for r.more() {
		if err := each(); err != nil {
			return err
		}
	}
	_, err = r.next()
	return err
}

func (r *reader) open(with json.Delim) (bool, error) {
	t, err := r.next()
	switch {
	case err != nil:
		return false, err
	case t == nil:
		return false, nil
	case t != with:
		return false, errShape
	}
	return true, nil
}

// text reads a text; null is an empty one.
func (r *reader) text() (string, error) {
	t, err := r.next()
	if err != nil || t == nil {
		return "", err
	}
	text, ok := t.(string)
	switch {
	case !ok:
		return "", errShape
	case len(text) > maxValue:
		return "", errValue
	}
	return text, nil
}

// flag reads true or false; null is false.
func (r *reader) flag() (bool, error) {
	t, err := r.next()
	if err != nil || t == nil {
		return false, err
	}
	flag, ok := t.(bool)
	if !ok {
		return false, errShape
	}
	return flag, nil
}

// number reads an integer.
func (r *reader) number() (int64, error) {
	t, err := r.next()
	if err != nil {
		return 0, err
	}
	text, ok := t.(json.Number)
	if !ok {
		return 0, errShape
	}
	n, err := text.Int64()
	if err != nil {
		return 0, errShape
	}
	return n, nil
}

// skip reads past a value of any kind.
func (r *reader) skip() error {
	outside := r.depth
	for {
		if _, err := r.next(); err != nil {
			return err
		}
		if r.depth == outside {
			return nil
		}
	}
}

// end reports an error when anything but white space follows the document.
func (r *reader) end() error {
	_, err := r.next()
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err == nil:
		return errTail
	}
	return err
}

// explain tells a document that is wrong from one that did not arrive.
func explain(src *transport.Bounded, err error) error {
	if own, ok := errors.AsType[*provider.Error](err); ok {
		return own
	}
	switch {
	case src.Broke() != nil:
		return &provider.Error{Kind: provider.ErrUnavailable, Text: "the provider's answer broke off", Cause: src.Broke()}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return provider.Errorf(provider.ErrInvalid, "the provider's answer ends in the middle")
	case errors.Is(err, encoding.ErrInvalidUTF8):
		return provider.Errorf(provider.ErrInvalid, "the provider's answer is not in UTF-8")
	}
	return &provider.Error{Kind: provider.ErrInvalid, Text: "the provider's answer is not the JSON it should be", Cause: err}
}
