package xpm

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/record"
)

// again is the token of every page of a listing of changes. The provider gives such a listing in one piece and not twice
// the same, so who goes on with it begins again.
const again = "again"

// changed reads the clients changed since a time, and their contacts after them. It is one call, held in memory: what
// changed since yesterday is little, and all of it must have arrived before any of it is used.
type changed struct {
	caller provider.Caller
	since  time.Time
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
	n := min(pageSize, len(p.rest))
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
		return decode(a, changedLimit, func(r *reader, name string) error {
			if name != "Clients" {
				return nil
			}
			return r.clients(func(c client) {
				p.rest = append(p.rest, c.record())
				contacts.add(c)
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

// changedLimit bounds a listing of changes, which is held in memory: 64 MB are 20,000 clients with every detail. Who has
// more changes reads everything, page by page.
const changedLimit = 64 << 20

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
