package transcript

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"io"
)

// maxLine bounds what is held of a file that may be anything. An entry has a few names of at most 300 characters each.
const maxLine = 1 << 20

// item is a line of the file.
type item struct {
	number int64
	text   []byte
	// end is true after the last line, and for a last line that was cut.
	end bool
	// entry is set for a line that has the form of an entry, with its hash.
	entry *line
	hash  []byte
	// last is set for a line that has the form of the signed end, with the sum of everything before it.
	last   *lastLine
	before []byte
}

type reader struct {
	in     *bufio.Reader
	number int64
	sum    hash.Hash
}

func newReader(r io.Reader) *reader {
	return &reader{in: bufio.NewReaderSize(r, 64<<10), sum: sha256.New()}
}

func (r *reader) read() (*item, error) {
	r.number++
	it := &item{number: r.number}
	text, whole, err := r.line()
	if err != nil {
		return nil, err
	}
	if it.text = text; !whole {
		it.end = len(text) <= maxLine // a line that is too long is no entry, and not the end either
		return it, nil
	}
	var last lastLine
	var e line
	switch {
	case strict(text, &last) == nil && last.Trailer != nil:
		it.last, it.before = &last, r.sum.Sum(nil)
	case strict(text, &e) == nil && e.Sequence > 0:
		if hash, err := hex.DecodeString(e.Hash); err == nil && len(hash) == sha256.Size {
			it.entry, it.hash = &e, hash
		}
	}
	r.sum.Write(text)
	return it, nil
}

// line reads up to the end of a line; whole is false for what has no end, or is too long.
func (r *reader) line() (text []byte, whole bool, err error) {
	for {
		part, err := r.in.ReadSlice('\n')
		text = append(text, part...)
		switch {
		case len(text) > maxLine:
			return text, false, nil
		case err == nil:
			return text, true, nil
		case errors.Is(err, io.EOF):
			return text, false, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, false, err
		}
	}
}

// strict reads a line that was written by this package: the very bytes that writing the value again gives. So nothing is
// in it that a person reads and a program overlooks.
func strict(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	again, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if !bytes.Equal(append(again, '\n'), text) {
		return errors.New("transcript: not as it was written")
	}
	return nil
}
