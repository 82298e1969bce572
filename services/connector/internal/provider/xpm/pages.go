package xpm

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/record"
)

// pageSize is the largest page the provider gives. Calls are what is scarce.
const pageSize = 500

// paged reads a list that comes in pages of 500 with a link to the next.
type paged struct {
	caller provider.Caller
	path   string
	token  string
}

// next reads one page. list is called for the element that holds the records.
func (p *paged) next(ctx context.Context, list func(r *reader, name string) ([]record.Record, error)) (provider.Page, error) {
	page := provider.Page{Size: pageSize, Total: -1}
	q := url.Values{"pageSize": {strconv.Itoa(pageSize)}}
	if p.token != "" {
		q.Set("pageToken", p.token)
	}
	request := provider.Request{Method: http.MethodGet, Path: p.path, Query: q}
	err := p.caller.Call(ctx, request, func(a provider.Answer) error {
		page.ServerTime, page.Records, page.Next = a.ServerTime, nil, ""
		return decode(a, pageLimit, func(r *reader, name string) (err error) {
			if name == "Pagination" {
				page.Next, err = r.nextToken()
				return err
			}
			records, err := list(r, name)
			page.Records = append(page.Records, records...)
			return err
		})
	})
	if err != nil {
		return provider.Page{}, err
	}
	if page.Next != "" && page.Next == p.token {
		return provider.Page{}, provider.Errorf(provider.ErrInvalid, "the provider's page names itself as the next one")
	}
	p.token = page.Next
	return page, nil
}

// nextToken reads Pagination/Links/Next. The link is not followed as an address: it could lead anywhere.
func (r *reader) nextToken() (token string, err error) {
	err = r.each(func(name string) error {
		if name != "Links" {
			return nil
		}
		return r.each(func(name string) error {
			if name != "Next" {
				return nil
			}
			link, err := r.value()
			if err == nil && link != "" {
				token, err = tokenOf(link)
			}
			return err
		})
	})
	return token, err
}

func tokenOf(link string) (string, error) {
	if u, err := url.Parse(link); err == nil {
		for name, values := range u.Query() {
			if strings.EqualFold(name, "pageToken") && values[0] != "" {
				return values[0], nil
			}
		}
	}
	return "", provider.Errorf(provider.ErrInvalid, "the provider's link to the next page has no page token")
}

// clientPages reads the clients that are neither archived nor deleted. They come without contacts and groups.
type clientPages struct{ paged }

func (p *clientPages) Next(ctx context.Context) (provider.Page, error) {
	return p.next(ctx, func(r *reader, name string) (records []record.Record, err error) {
		if name != "Clients" {
			return nil, nil
		}
		err = r.clients(func(c client) { records = append(records, c.record()) })
		return records, err
	})
}

// clients reads the Client elements within the element last opened.
func (r *reader) clients(each func(client)) error {
	return r.each(func(name string) error {
		if name != "Client" {
			return nil
		}
		c, err := r.client()
		if err == nil {
			each(c)
		}
		return err
	})
}

// contactPages reads the contacts that are not deleted, and before the first page the clients they belong to.
type contactPages struct {
	paged
	links *links
}

func (p *contactPages) Next(ctx context.Context) (provider.Page, error) {
	if p.links == nil {
		found, err := readLinks(ctx, p.caller)
		if err != nil {
			return provider.Page{}, err
		}
		p.links = found
	}
	return p.next(ctx, func(r *reader, name string) ([]record.Record, error) {
		if name != "Contacts" {
			return nil, nil
		}
		list, err := r.contacts()
		records := make([]record.Record, 0, len(list))
		for _, c := range list {
			records = append(records, c.record(p.links.of(c.id)))
		}
		return records, err
	})
}
