package upstream

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/provider/budget"
	"github.com/concord-suite/concord/services/connector/internal/provider/custody"
	"github.com/concord-suite/concord/services/connector/internal/provider/transport"
)

// permitSlack is how much longer than the call its permit lives, for what happens between.
const permitSlack = 10 * time.Second

// once makes one HTTP call within the limits.
func (c *Caller) once(ctx context.Context, token custody.Token, r provider.Request, read func(provider.Answer) error) error {
	timeout := c.up.cfg.Call
	if r.Heavy {
		timeout = c.up.cfg.Heavy
	}
	request, err := c.request(r, token)
	if err != nil {
		return err
	}
	permit, err := c.up.budget.Acquire(ctx, budget.Ask{Key: budget.Key{App: c.def.App, Tenant: c.tenant}, Firm: c.firm, Lane: c.lane,
		Limits: c.def.Limits, Life: timeout + permitSlack})
	if err != nil {
		return err
	}
	c.calls++
	call, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	told, err := c.exchange(request.WithContext(call), read)
	if ended := permit.End(ctx, told); ended != nil {
		c.up.logger.WarnContext(ctx, "the end of a call could not be written down; it counts until its time is over", "error", ended)
	}
	return err
}

func (c *Caller) request(r provider.Request, token custody.Token) (*http.Request, error) {
	base := c.def.BaseURL
	if r.Base != nil {
		base = r.Base
	}
	at := base.JoinPath(r.Path)
	at.RawQuery = r.Query.Encode()
	var body io.Reader
	if r.Body != nil {
		body = bytes.NewReader(r.Body)
	}
	request, err := http.NewRequest(r.Method, at.String(), body)
	if err != nil {
		return nil, fmt.Errorf("upstream: %s %s: the address is not valid", r.Method, r.Path)
	}
	request.Header.Set("Authorization", "Bearer "+token.Access())
	request.Header.Set(cmp.Or(c.def.TenantHeader, "xero-tenant-id"), c.tenant)
	// XPM asks for the content type on every request, and answers XML whatever is accepted.
	request.Header.Set("Content-Type", "application/xml")
	request.Header.Set("Accept", "application/xml")
	for name, values := range r.Header {
		if request.Header.Del(name); len(values) > 0 {
			request.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	return request, nil
}

// exchange sends a request and has the answer read, to its end.
func (c *Caller) exchange(request *http.Request, read func(provider.Answer) error) (budget.Told, error) {
	told := budget.Told{DayLeft: -1}
	resp, err := c.up.client.Do(request)
	if err != nil {
		return told, unreached(err)
	}
	defer resp.Body.Close()
	now := c.up.now()
	told.Answered = now
	body := &watched{in: resp.Body}
	resp.Body = body
	told.DayLeft = transport.Left(resp.Header, "X-DayLimit-Remaining")
	same := resp.StatusCode == http.StatusNotModified && request.Header.Get("If-Modified-Since") != ""
	if !same && (resp.StatusCode < 200 || resp.StatusCode > 299) {
		err = transport.Problem(resp, now, c.def.Adapter.Refusal)
	} else {
		err = read(provider.Answer{Body: body, NotModified: same, ContentType: resp.Header.Get("Content-Type"),
			ServerTime: transport.ServerTime(resp.Header, now)})
	}
	if refused, ok := errors.AsType[*provider.Error](err); ok && errors.Is(err, provider.ErrLimit) {
		told.Limit, told.RetryAfter = refused.Limit, refused.RetryAfter
	}
	told.Whole = body.rest()
	return told, err
}

// unreached is a call that got no answer. The cause is kept without the address, whose parameters are nobody's business.
func unreached(err error) error {
	if at, ok := errors.AsType[*url.Error](err); ok {
		err = at.Err
	}
	return &provider.Error{Kind: provider.ErrUnavailable, Text: "the provider could not be reached", Cause: err}
}

// watched notices whether a body was read to its end.
type watched struct {
	in    io.ReadCloser
	ended bool
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.in.Read(p)
	w.ended = w.ended || errors.Is(err, io.EOF)
	return n, err
}

// Close closes the body.
func (w *watched) Close() error { return w.in.Close() }

// tail is how much is read of a body that was left before its end: what fits costs less than a new connection.
const tail = 64 << 10

// rest reads a short rest and reports whether that was the end.
func (w *watched) rest() bool {
	if !w.ended {
		_, _ = io.CopyN(io.Discard, w, tail) // an error here leaves ended as it is, which is the answer
	}
	return w.ended
}
