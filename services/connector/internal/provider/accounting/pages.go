package accounting

import (
	"context"
	"net/url"
	"strconv"
	"strings"

	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/record"
)

// pageSize is the largest page the provider gives. Calls are what is scarce.
const pageSize = 1000

// cursor is where a listing is: the page to read next, how many contacts came before it, and how many the provider said
// there are, -1 when it did not.
type cursor struct{ page, seen, total int64 }

// String writes a cursor as the token of a page.
func (c cursor) String() string { return itoa(c.page) + "." + itoa(c.seen) + "." + itoa(c.total) }

func parseCursor(token string) (cursor, error) {
	c := cursor{page: 1, total: -1}
	if token == "" {
		return c, nil
	}
	n := make([]int64, 0, 3)
	for part := range strings.SplitSeq(token, ".") {
		if one, err := strconv.ParseInt(part, 10, 64); err == nil {
			n = append(n, one)
		}
	}
	if len(n) != 3 || n[0] < 1 || n[1] < 0 || n[2] < -1 || (cursor{n[0], n[1], n[2]}).String() != token {
		return c, provider.Errorf(provider.ErrRefused, "the page token is none of this listing")
	}
	return cursor{n[0], n[1], n[2]}, nil
}

// pages reads a listing. All listings come from the same pages of the provider: who lists clients and contacts reads them
// twice, at two calls per 1,000, since neither listing may depend on what the connector kept of the other.
type pages struct {
	caller provider.Caller
	query  provider.Query
	at     cursor
	last   string // the first contact of the page before
	bad    error  // what is wrong with the query
}

// Next reads one page.
func (p *pages) Next(ctx context.Context) (provider.Page, error) {
	if p.bad != nil {
		return provider.Page{}, p.bad
	}
	var found []contact
	var e envelope
	request := p.request()
	err := p.caller.Call(ctx, request, func(a provider.Answer) (err error) {
		found = nil
		if a.NotModified {
			e = envelope{at: a.ServerTime, paging: paging{page: p.at.page, size: pageSize, pages: p.at.page}}
			return nil
		}
		e, err = decode(a, pageLimit, "Contacts", func(r *reader) error {
			one, err := r.contact()
			found = append(found, one)
			return err
		})
		return err
	})
	if err != nil {
		return provider.Page{}, err
	}
	return p.take(found, e)
}

func (p *pages) request() provider.Request {
	q := url.Values{"page": {itoa(p.at.page)}, "pageSize": {strconv.Itoa(pageSize)}, "includeArchived": {"true"}, "order": {"ContactID"}}
	r := get("Contacts", q)
	if p.query.Listing == provider.ChangedClients {
		r.Header.Set("If-Modified-Since", p.query.Since.UTC().Format("2006-01-02T15:04:05Z"))
	}
	return r
}

// take makes a page of what was read, and looks whether it fits the pages before.
func (p *pages) take(found []contact, e envelope) (provider.Page, error) {
	n, size, said := int64(len(found)), e.paging.size, e.paging.size > 0
	if !said {
		size = pageSize
	}
	switch {
	case said && e.paging.page != p.at.page:
		return provider.Page{}, provider.Errorf(provider.ErrInvalid, "the provider answered with another page than the one asked for")
	case n > size:
		return provider.Page{}, provider.Errorf(provider.ErrInvalid, "the provider's page holds more than a page can")
	case n > 0 && found[0].id == p.last:
		return provider.Page{}, provider.Errorf(provider.ErrInvalid, "the provider's pages repeat themselves")
	}
	// A provider that says nothing of its pages shows the last one by being empty: a short one may be short for any reason.
	more := n > 0
	page := provider.Page{Size: int(size), Total: -1, Gathered: true, ServerTime: e.at}
	next := cursor{page: p.at.page + 1, seen: p.at.seen + n, total: -1}
	if said {
		more = e.paging.page < e.paging.pages
		next.total, page.Total = e.paging.items, e.paging.items
		page.Drifted = p.at.total >= 0 && p.at.total != next.total || more && n < size || !more && next.seen != next.total
	}
	if n > 0 {
		p.last = found[0].id
	}
	if p.at = next; more {
		page.Next = next.String()
	}
	page.Records = p.records(found)
	if p.query.Listing != provider.Clients {
		page.Total = -1 // the provider counts contacts, not their people
	}
	return page, nil
}

// records returns what a listing has of the contacts of a page.
func (p *pages) records(found []contact) []record.Record {
	var all []record.Record
	if p.query.Listing != provider.Contacts {
		for _, c := range found {
			all = append(all, c.record())
		}
	}
	if p.query.Listing != provider.Clients {
		for _, c := range found {
			all = append(all, c.contacts()...)
		}
	}
	return all
}
