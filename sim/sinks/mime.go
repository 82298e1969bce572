package sinks

import (
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/textproto"
	"strings"
)

// maxDepth is how deep parts may be nested: real mail stops at four or five.
const maxDepth = 10

// bodies returns the first plain text and the first HTML of a message, decoded.
func bodies(head textproto.MIMEHeader, body io.Reader, depth int) (text, html string, err error) {
	if depth > maxDepth {
		return "", "", errors.New("parts are nested too deep")
	}
	kind, params, err := mime.ParseMediaType(head.Get("Content-Type"))
	if err != nil {
		kind = "text/plain" // RFC 2045 5.2: what a message without a type is
	}
	if strings.HasPrefix(kind, "multipart/") {
		return parts(multipart.NewReader(body, params["boundary"]), depth)
	}
	raw, err := io.ReadAll(transfer(head.Get("Content-Transfer-Encoding"), body))
	switch {
	case err != nil:
		return "", "", err
	case kind == "text/html":
		return "", string(raw), nil
	case strings.HasPrefix(kind, "text/"):
		return string(raw), "", nil
	default:
		return "", "", nil
	}
}

func parts(r *multipart.Reader, depth int) (text, html string, err error) {
	for {
		part, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			return text, html, nil
		}
		if err != nil {
			return text, html, err
		}
		t, h, err := bodies(part.Header, part, depth+1)
		if err != nil {
			return text, html, err
		}
		if text == "" {
			text = t
		}
		if html == "" {
			html = h
		}
	}
}

func transfer(encoding string, body io.Reader) io.Reader {
	switch strings.ToLower(encoding) {
	case "quoted-printable":
		return quotedprintable.NewReader(body)
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, body)
	default:
		return body
	}
}

func decodeHeader(text string) string {
	decoded, err := new(mime.WordDecoder).DecodeHeader(text)
	if err != nil {
		return text
	}
	return decoded
}
