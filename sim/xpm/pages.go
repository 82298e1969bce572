package xpm

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"sort"
	"strconv"

	"github.com/concord-suite/concord/sim/faults"
	"github.com/concord-suite/concord/sim/world"
)

// Page sizes of the provider.
const (
	defaultPage = 50
	maxPage     = 500
)

// pageClients is the paged list: clients neither archived nor deleted, without contacts, by name.
func (s *Service) pageClients(c *call) (content, error) {
	if err := s.insertMeanwhile(c); err != nil {
		return nil, err
	}
	rows := faults.Rows(c.fault, keep(s.store.ClientsByName(c.tenant), (*world.Client).Active))
	page, next, err := paginate(c, rows, world.ClientKey)
	if err != nil {
		return nil, err
	}
	inner := s.clients(c, page, inPage)
	return func(w *writer) { inner(w); c.links(w, next) }, nil
}

// pageContacts lists the contacts that are not deleted, by name. It does not say which clients they
// belong to: only the unpaged client list and the single client do.
func (s *Service) pageContacts(c *call) (content, error) {
	rows := faults.Rows(c.fault, keep(s.store.ContactsByName(c.tenant), func(r *world.Contact) bool { return !r.Deleted }))
	page, next, err := paginate(c, rows, world.ContactKey)
	if err != nil {
		return nil, err
	}
	return func(w *writer) {
		w.list("Contacts", len(page), func(i int) { w.contact(page[i], nil) })
		c.links(w, next)
	}, nil
}

// paginate cuts the page a request asks for out of rows and returns the token of the next, "" at the
// end. The token is the place of the last row seen, so rows that come or go elsewhere move nothing.
func paginate[T any](c *call, rows []*T, key func(*T) string) ([]*T, string, error) {
	size, err := c.pageSize()
	if err != nil {
		return nil, "", err
	}
	from := 0
	if token := c.query("pageToken"); token != "" {
		after, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil {
			return nil, "", failure{"Invalid page token", http.StatusBadRequest}
		}
		from = sort.Search(len(rows), func(i int) bool { return key(rows[i]) > string(after) })
	}
	to := min(from+size, len(rows))
	next := ""
	if to < len(rows) {
		next = base64.RawURLEncoding.EncodeToString([]byte(key(rows[to-1])))
	}
	return faults.Page(c.fault, rows, from, to), next, nil
}

func (c *call) pageSize() (int, error) {
	text := c.query("pageSize")
	if text == "" {
		return defaultPage, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxPage {
		return 0, failure{fmt.Sprintf("The page size must be between 1 and %d", maxPage), http.StatusBadRequest}
	}
	return n, nil
}

// links writes where the first and the next page are; no Next means the end.
func (c *call) links(w *writer, next string) {
	size, _ := c.pageSize() // checked before
	at := url.URL{Scheme: "http", Host: c.Host, Path: c.URL.Path}
	at.RawQuery = "pageSize=" + strconv.Itoa(size)
	w.open("Pagination")
	w.open("Links")
	w.text("First", at.String())
	if next != "" {
		at.RawQuery = "pageToken=" + next + "&" + at.RawQuery
		w.text("Next", at.String())
	}
	w.close("Links")
	w.close("Pagination")
}

// insertMeanwhile acts out drift by insertion: clients that sort before everything appear now, so a
// caller who is past the first page never sees them.
func (s *Service) insertMeanwhile(c *call) error {
	f := c.fault
	if f == nil || f.Kind != faults.Drift || f.Order != "insert" {
		return nil
	}
	return s.store.Update(func(tx *world.Tx) error {
		for range max(f.Shift, 1) {
			id := tx.NextInt(c.tenant)
			row := &world.Client{UUID: world.NewID(), ID: id, Tenant: c.tenant, Created: tx.Now, Modified: tx.Now,
				Name: fmt.Sprintf("!Inserted Meanwhile %d", id)}
			tx.Clients.Put(tx, row.UUID, row)
		}
		return nil
	})
}
