package xpm

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"mime"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
)

// charsets are the encodings an answer may have; nil is UTF-8. Another one is refused by name: guessing would change
// people's names.
var charsets = map[string]encoding.Encoding{
	"utf-8": nil, "utf8": nil, "us-ascii": nil,
	"iso-8859-1": charmap.ISO8859_1, "latin1": charmap.ISO8859_1, "windows-1252": charmap.Windows1252,
	"utf-16": unicode.UTF16(unicode.LittleEndian, unicode.UseBOM),
}

// decodeText returns the document as UTF-8, and how an encoding named in the document itself is to be read. A byte order
// mark decides, then the charset of the HTTP header, then the document's declaration: a server that writes a document
// into a string declares the string's encoding, UTF-16, whatever it sends.
func (r *reader) decodeText(contentType string) (io.Reader, func(string, io.Reader) (io.Reader, error), error) {
	text := bufio.NewReaderSize(r.src, 16<<10)
	asIs := func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	r.src.Token()
	mark, err := text.Peek(3)
	if err != nil && len(mark) == 0 {
		return nil, nil, err
	}
	switch {
	case bytes.HasPrefix(mark, []byte{0xEF, 0xBB, 0xBF}):
		_, err := text.Discard(3)
		return text, asIs, err
	case bytes.HasPrefix(mark, []byte{0xFF, 0xFE}), bytes.HasPrefix(mark, []byte{0xFE, 0xFF}):
		out, err := r.decoder("utf-16", text)
		return out, asIs, err
	}
	if _, params, err := mime.ParseMediaType(contentType); err == nil && params["charset"] != "" {
		out, err := r.decoder(params["charset"], text)
		return out, asIs, err
	}
	return text, r.decoder, nil
}

// maxCharset bounds what is repeated of an encoding's name.
const maxCharset = 40

func (r *reader) decoder(name string, in io.Reader) (io.Reader, error) {
	enc, known := charsets[strings.ToLower(strings.TrimSpace(name))]
	if !known {
		return nil, flaw(fmt.Sprintf("its encoding %q is not supported", name[:min(len(name), maxCharset)]))
	}
	if enc == nil {
		return in, nil
	}
	r.turned = true
	return enc.NewDecoder().Reader(in), nil
}
