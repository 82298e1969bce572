package faults

import (
	"bytes"
	"net/http"
	"strconv"

	"github.com/concord-suite/concord/sim/gateway"
	"github.com/concord-suite/concord/sim/world"
)

// refuse answers a status fault the way the gateway answers that status: nothing but headers for
// 429, JSON for the others.
func refuse(w http.ResponseWriter, f *world.Fault) {
	if f.Retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(f.Retry))
	}
	if f.Status != http.StatusTooManyRequests {
		gateway.Problem(w, f.Status, http.StatusText(f.Status))
		return
	}
	limit := f.Limit
	if limit == "" {
		limit = "minute"
	}
	w.Header().Set("X-Rate-Limit-Problem", limit)
	if limit == "minute" {
		w.Header().Set("X-MinLimit-Remaining", "0")
	}
	w.WriteHeader(f.Status)
}

// capture holds an answer back so that it can be spoiled.
type capture struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func newCapture() *capture { return &capture{header: http.Header{}, status: http.StatusOK} }

func (c *capture) Header() http.Header         { return c.header }
func (c *capture) WriteHeader(status int)      { c.status = status }
func (c *capture) Write(b []byte) (int, error) { return c.body.Write(b) }

// cut sends the headers of the whole answer and n bytes of its body, then closes the connection.
func (c *capture) cut(w http.ResponseWriter, n int) {
	c.begin(w, c.body.Len())
	_, _ = w.Write(c.body.Bytes()[:min(n, c.body.Len())])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// half sends the first half of the body as if it were all of it.
func (c *capture) half(w http.ResponseWriter) {
	n := c.body.Len() / 2
	c.begin(w, n)
	_, _ = w.Write(c.body.Bytes()[:n])
}

func (c *capture) begin(w http.ResponseWriter, length int) {
	for name, values := range c.header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Length", strconv.Itoa(length))
	w.WriteHeader(c.status)
}
