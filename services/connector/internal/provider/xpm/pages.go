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

// paged reads a list that comes in pages.
type paged struct {
	Paging
	caller provider.Caller
	// place is where the next page begins, in the words of the dialect; empty at the beginning.
	place string
	limit int64
}

// turn is what a page says of its place in the list.
type turn struct {
	next        string // of a link
	page, total int64  // of numbers, -1 where they are not told
}

// next reads one page. list is called for the element that holds the records.
func (p *paged) next(ctx context.Context, list func(r *reader, name string) ([]record.Record, error)) (provider.Page, error) {
	page := provider.Page{Size: p.Size, Total: -1}
	q := url.Values{p.SizeName: {strconv.Itoa(p.Size)}}
	if p.place != "" {
		q.Set(p.PlaceName, p.place)
	} else if p.Numbered {
		q.Set(p.PlaceName, "1")
	}
	var told turn
	request := provider.Request{Method: http.MethodGet, Path: p.Path, Query: q}
	err := p.caller.Call(ctx, request, func(a provider.Answer) error {
		page.ServerTime, page.Records, told = a.ServerTime, nil, turn{page: -1, total: -1}
		return decode(a, p.limit, func(r *reader, name string) error {
			if took, err := r.turn(name, &told); took || err != nil {
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
	page.Total = told.total
	if page.Next, err = p.following(told, len(page.Records)); err != nil {
		return provider.Page{}, err
	}
	p.place = page.Next
	return page, nil
}

// turn reads the elements that say where a page stands. took is false for other elements.
func (r *reader) turn(name string, t *turn) (took bool, err error) {
	switch name {
	case "Pagination":
		t.next, err = r.nextToken()
	case "Page":
		t.page, err = r.number(name)
	case "TotalRecords":
		t.total, err = r.number(name)
	default:
		return false, nil
	}
	return true, err
}

// following returns where the next page begins, "" after the last one.
func (p *paged) following(t turn, records int) (string, error) {
	if !p.Numbered {
		if t.next != "" && t.next == p.place {
			return "", provider.Errorf(provider.ErrInvalid, "the provider's page names itself as the next one")
		}
		return t.next, nil
	}
	number := int64(1)
	if p.place != "" {
		var err error
		if number, err = strconv.ParseInt(p.place, 10, 64); err != nil || number < 1 {
			return "", provider.Errorf(provider.ErrInvalid, "the page to go on from is no number")
		}
	}
	switch {
	case t.page != number:
		return "", provider.Errorf(provider.ErrInvalid, "the provider answered with another page than the one asked for")
	case t.total < 0:
		return "", provider.Errorf(provider.ErrInvalid, "the provider's page does not say how many records there are")
	case number*int64(p.Size) >= t.total:
		return "", nil
	case records == 0:
		return "", provider.Errorf(provider.ErrInvalid, "the provider's list ends before the number of records that it announced")
	}
	return strconv.FormatInt(number+1, 10), nil
}

// number reads a whole number that is not negative.
func (r *reader) number(name string) (int64, error) {
	v, err := r.value()
	if err != nil {
		return -1, err
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 0 {
		return -1, provider.Errorf(provider.ErrInvalid, "%s in the provider's answer is no number", name)
	}
	return n, nil
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

// clientPages reads clients, those that are neither archived nor deleted where the dialect's list has no others. What else
// the list carries of them is left to the listings it is for.
type clientPages struct{ paged }

func (p *clientPages) Next(ctx context.Context) (provider.Page, error) {
	return p.next(ctx, func(r *reader, name string) (records []record.Record, err error) {
		if name != "Clients" {
			return nil, nil
		}
		err = r.clients(func(c client) error {
			records = append(records, c.record())
			return nil
		})
		return records, err
	})
}

// clients reads the Client elements within the element last opened, up to the first error.
func (r *reader) clients(each func(client) error) error {
	return r.each(func(name string) error {
		if name != "Client" {
			return nil
		}
		c, err := r.client()
		if err == nil {
			err = each(c)
		}
		return err
	})
}

// contactPages reads the contacts that are not deleted, and before the first page the clients they belong to.
type contactPages struct {
	paged
	links *links
	list  int64
}

func (p *contactPages) Next(ctx context.Context) (provider.Page, error) {
	if p.links == nil {
		found, err := readLinks(ctx, p.caller, p.list)
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

// gatheredPages reads contacts where no list has them: out of the pages of clients, and before the first page the clients
// they belong to. A contact is taken from the first of its clients, so that it comes once, wherever the reading began.
type gatheredPages struct {
	paged
	links *links
	watch *record.Watch
	list  int64
}

func (p *gatheredPages) Next(ctx context.Context) (provider.Page, error) {
	if p.links == nil {
		found, err := readLinks(ctx, p.caller, p.list)
		if err != nil {
			return provider.Page{}, err
		}
		p.links, p.watch = found, record.NewWatch(false, "")
	}
	var people []record.Record
	page, err := p.next(ctx, func(r *reader, name string) (clients []record.Record, err error) {
		if name != "Clients" {
			return nil, nil
		}
		people = nil
		err = r.clients(func(c client) error {
			clients = append(clients, c.record())
			for _, one := range c.contacts {
				if of := p.links.of(one.id); !one.deleted && len(of) > 0 && of[0].Client == c.uuid {
					people = append(people, one.record(of))
				}
			}
			return nil
		})
		return clients, err
	})
	if err != nil {
		return provider.Page{}, err
	}
	p.watch.Page(page.Records, p.Size, page.Next != "")
	page.Records, page.Total, page.Gathered, page.Drifted = people, -1, true, p.watch.Drifted()
	return page, nil
}
