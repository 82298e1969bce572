package buckettest

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
)

func (s *Server) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "unix", s.socket)
}

func pemOf(der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}) }

// Answer answers the first times requests that match with an error of S3.
func Answer(times int32, status int, code string, match func(*http.Request) bool) Rule {
	var said atomic.Int32
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if !match(r) || said.Add(1) > times {
			return false
		}
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>as the test wants it</Message></Error>", code)
		return true
	}
}

// CutUpload breaks the connection of the first times matching requests after so many bytes of their body; the server sees a
// body that ends.
func CutUpload(times int32, after int64, match func(*http.Request) bool) Rule {
	var cut atomic.Int32
	return func(w http.ResponseWriter, r *http.Request, forward http.Handler) bool {
		if !match(r) || cut.Add(1) > times {
			return false
		}
		r.Body = &broken{ReadCloser: r.Body, left: after}
		forward.ServeHTTP(w, r)
		return true
	}
}

// CutDownload breaks the connection of the first times matching requests after so many bytes of the answer.
func CutDownload(times int32, after int64, match func(*http.Request) bool) Rule {
	var cut atomic.Int32
	return func(w http.ResponseWriter, r *http.Request, forward http.Handler) bool {
		if !match(r) || cut.Add(1) > times {
			return false
		}
		forward.ServeHTTP(&breaking{ResponseWriter: w, left: after}, r)
		return true
	}
}

// LoseAnswer lets the first times matching requests happen and breaks the connection in place of their answer.
func LoseAnswer(times int32, match func(*http.Request) bool) Rule {
	return CutDownload(times, -1, match)
}

// Change changes the body of each answer that matches.
func Change(match func(*http.Request) bool, change func([]byte)) Rule {
	return func(w http.ResponseWriter, r *http.Request, forward http.Handler) bool {
		if !match(r) {
			return false
		}
		forward.ServeHTTP(&changing{ResponseWriter: w, change: change}, r)
		return true
	}
}

// broken is a body that ends too early.
type broken struct {
	io.ReadCloser
	left int64
}

func (b *broken) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// breaking is an answer whose connection breaks, before its head when left is below zero.
type breaking struct {
	http.ResponseWriter
	left int64
}

func (b *breaking) WriteHeader(status int) {
	if b.left < 0 && status >= http.StatusOK {
		panic(http.ErrAbortHandler)
	}
	b.ResponseWriter.WriteHeader(status)
}

func (b *breaking) Write(p []byte) (int, error) {
	n, err := b.ResponseWriter.Write(p[:min(int64(len(p)), max(b.left, 0))])
	if b.left -= int64(n); b.left <= 0 {
		_ = http.NewResponseController(b.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, err
}

func (b *breaking) Unwrap() http.ResponseWriter { return b.ResponseWriter }

type changing struct {
	http.ResponseWriter
	change func([]byte)
}

func (c *changing) Write(p []byte) (int, error) {
	other := append([]byte{}, p...)
	c.change(other)
	return c.ResponseWriter.Write(other)
}

func (c *changing) Unwrap() http.ResponseWriter { return c.ResponseWriter }
