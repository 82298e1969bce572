package xpm

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/record"
)

// again is the token of every page of a listing that the provider gives in one piece and not twice the same: who goes on
// with it begins again.
const again = "again"

// changed reads the clients changed since a time, and their contacts after them. It is one call, held in memory: what
// changed since yesterday is little, and all of it must have arrived before any of it is used.
type changed struct {
	caller provider.Caller
	since  time.Time
	limit  int64
	read   bool
	rest   []record.Record
	at     time.Time
}

func (p *changed) Next(ctx context.Context) (provider.Page, error) {
	if !p.read {
		if err := p.fetch(ctx); err != nil {
			return provider.Page{}, err
		}
		p.read = true
	}
	n := min(handful, len(p.rest))
	page := provider.Page{Records: p.rest[:n:n], Size: n, Total: -1, ServerTime: p.at}
	if p.rest = p.rest[n:]; len(p.rest) > 0 {
		page.Next = again
	}
	return page, nil
}

func (p *changed) fetch(ctx context.Context) error {
	q := url.Values{"detailed": {"true"}, "modifiedsince": {p.since.UTC().Format("2006-01-02T15:04:05")}}
	request := provider.Request{Method: http.MethodGet, Path: "client.api/list", Query: q, Heavy: true}
	var contacts *related
	err := p.caller.Call(ctx, request, func(a provider.Answer) error {
		p.at, p.rest, contacts = a.ServerTime, nil, &related{at: map[string]int{}}
		return decode(a, p.limit, func(r *reader, name string) error {
			if name != "Clients" {
				return nil
			}
			return r.clients(func(c client) error {
				p.rest = append(p.rest, c.record())
				contacts.add(c)
				return nil
			})
		})
	})
	if err != nil {
		p.rest = nil
		return err
	}
	p.rest = append(p.rest, contacts.records...)
	return nil
}

// handful is how many records are handed on together of a list that the provider gives in one piece: as many as the largest
// pages have that it does give.
const handful = 500

// related gathers the contacts of changed clients, each once, tied to all of these clients it belongs to.
type related struct {
	records []record.Record
	at      map[string]int
}

func (c *related) add(of client) {
	for _, one := range of.contacts {
		if one.deleted {
			continue
		}
		at, known := c.at[one.id]
		if !known {
			at = len(c.records)
			c.at[one.id] = at
			c.records = append(c.records, one.record(nil))
		}
		fields := c.records[at].Contact
		fields.Links = append(fields.Links, one.link(of.uuid))
	}
}

// legacyPages lists clients with the ids they had before OAuth 2. Only the older version of the API tells them, and it
// gives all clients in one answer, archived ones too. A practice of 100,000 clients makes an answer of 100 MB, so its pages
// are handed on while it is still being read, and memory stays as it is. What breaks off after the first page ends the
// listing with an error and begins again as a whole; the last page comes when the document has proven whole.
//
// The answer is read beside whoever asks for pages, until the context of the first Next ends.
type legacyPages struct {
	caller provider.Caller
	base   *url.URL
	limit  int64
	out    chan handed
}

// handed is a page, or what came in the place of the next one.
type handed struct {
	page provider.Page
	err  error
}

func (p *legacyPages) Next(ctx context.Context) (provider.Page, error) {
	if p.base == nil {
		return provider.Page{}, provider.Errorf(provider.ErrRefused, "no version of the provider's API tells the ids from before OAuth 2")
	}
	if p.out == nil {
		p.out = make(chan handed)
		go p.read(ctx)
	}
	select {
	case h := <-p.out:
		return h.page, h.err
	case <-ctx.Done():
		return provider.Page{}, ctx.Err()
	}
}

// read makes the call and hands on what it finds.
func (p *legacyPages) read(ctx context.Context) {
	request := provider.Request{Method: http.MethodGet, Base: p.base, Path: "client.api/list", Query: url.Values{"detailed": {"false"}}, Heavy: true}
	var rest []record.Record
	var at time.Time
	given := false
	hand := func(h handed) error {
		select {
		case p.out <- h:
			given = true
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := p.caller.Call(ctx, request, func(a provider.Answer) error {
		at, rest = a.ServerTime, nil
		err := decode(a, p.limit, func(r *reader, name string) error {
			switch {
			case name != "Clients":
				return nil
			case !r.ok: // pages are handed on before the end of the document, so it says first whether it succeeded
				return errStatusLate
			}
			return r.clients(func(c client) error {
				if len(rest) == handful {
					page := provider.Page{Records: rest, Size: handful, Next: again, Total: -1, ServerTime: at}
					if err := hand(handed{page: page}); err != nil {
						return err
					}
					rest = nil // the page belongs to its reader now
				}
				rest = append(rest, c.outline())
				return nil
			})
		})
		if err != nil && given {
			return partly{err} // not what calls are repeated for
		}
		return err
	})
	if cut, ok := errors.AsType[partly](err); ok {
		err = cut.error
	}
	last := handed{page: provider.Page{Records: rest, Size: handful, Total: -1, ServerTime: at}}
	if err != nil {
		last = handed{err: err}
	}
	_ = hand(last) // an error here means that nobody waits for it
}

// partly is an error after pages were handed on. It hides what the error is: a call that is repeated would hand them on
// once more.
type partly struct{ error }
