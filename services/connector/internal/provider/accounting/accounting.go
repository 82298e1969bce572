// Package accounting speaks Xero's accounting API, version 2.0, as far as contacts go.
//
// What the API calls a contact, a customer or supplier, is a client here, and the people of a contact are contacts. The
// answers are read in one pass, bounded in size and depth, and nothing is taken from one that is not whole.
//
// Lists come in pages of 1,000 with archived contacts among them, in the order of ContactID. Contacts are never deleted
// and their ids never change, so in this order nothing moves but by what is added: an added contact pushes others to
// later pages, where they come a second time and show, and none slides back unseen onto a page that was read. (By name or
// by the time of the change, an edit moves a contact, and the one behind it into the gap.)
package accounting

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/record"
)

// Adapter is the provider's API. The zero value is ready.
type Adapter struct{}

var (
	_ provider.Adapter = Adapter{}
	_ provider.Writer  = Adapter{}
	_ provider.Typed   = Adapter{}
)

// requirement is what to look to before consent is given.
const requirement = `Whoever signs in at Xero needs a role in the organisation that may see and edit contacts (Standard or Adviser).`

// privilege is what a person needs, in the words that stand at the provider.
const privilege = `The person who authorised needs a role in the Xero organisation that may see and edit contacts (Standard or ` +
	`Adviser): somebody who manages users there sets it under Settings > Users. Then connect again.`

// Requirement says what the person who consents must be allowed.
func (Adapter) Requirement() string { return requirement }

// Privilege says what a person lacks whom the provider refuses.
func (Adapter) Privilege() string { return privilege }

// get is a call that reads; the API answers XML to who does not ask for JSON.
func get(path string, q url.Values) provider.Request {
	return provider.Request{Method: http.MethodGet, Path: path, Query: q, Header: http.Header{
		"Accept": {"application/json"}, "Content-Type": nil}}
}

// Probe reads a page of one contact, which needs the scope that every other call needs.
func (Adapter) Probe(ctx context.Context, c provider.Caller) error {
	r := get("Contacts", url.Values{"page": {"1"}, "pageSize": {"1"}, "summaryOnly": {"true"}})
	return c.Call(ctx, r, func(a provider.Answer) error {
		_, err := decode(a, pageLimit, "Contacts", (*reader).skip)
		return err
	})
}

// Record reads one contact by its id.
func (Adapter) Record(ctx context.Context, c provider.Caller, id string) (record.Record, time.Time, error) {
	found, at, err := one(ctx, c, id)
	switch {
	case errors.Is(err, provider.ErrUnknownRecord):
		return record.Record{ID: strings.ToLower(id), State: record.Deleted}, at, nil
	case err != nil:
		return record.Record{}, at, err
	}
	return found.record(), at, nil
}

// one reads one contact. An address that does not exist is answered with 404 like a contact that does not, so a 404 is
// believed only when a list that is narrowed to the id comes back without it.
func one(ctx context.Context, c provider.Caller, id string) (contact, time.Time, error) {
	if uuid.Validate(id) != nil || len(id) != len(uuid.Nil.String()) {
		return contact{}, time.Time{}, provider.Errorf(provider.ErrRefused, "the identifier is none of this provider's")
	}
	found, at, err := few(ctx, c, get("Contacts/"+id, nil))
	if errors.Is(err, provider.ErrUnknownRecord) {
		found, at, err = few(ctx, c, get("Contacts", url.Values{"IDs": {id}, "page": {"1"}, "includeArchived": {"true"}}))
		switch {
		case err == nil && len(found) == 0:
			return contact{}, at, provider.Errorf(provider.ErrUnknownRecord, "the provider knows no such contact")
		case errors.Is(err, provider.ErrUnknownRecord):
			return contact{}, at, provider.Errorf(provider.ErrInvalid, "the provider has no list of contacts at this address")
		}
	}
	switch {
	case err != nil:
		return contact{}, at, err
	case len(found) != 1 || !strings.EqualFold(found[0].id, id):
		return contact{}, at, provider.Errorf(provider.ErrInvalid, "the provider answered with another contact than the one asked for")
	}
	return found[0], at, nil
}

// few makes a call whose answer holds few contacts.
func few(ctx context.Context, c provider.Caller, request provider.Request) (found []contact, at time.Time, err error) {
	err = c.Call(ctx, request, func(a provider.Answer) error {
		found = nil
		e, err := decode(a, pageLimit, "Contacts", func(r *reader) error {
			one, err := r.contact()
			found = append(found, one)
			return err
		})
		at = e.at
		return err
	})
	return found, at, err
}

// ContactTypes returns what a contact can be: a customer, a supplier, a member of a group.
func (Adapter) ContactTypes(ctx context.Context, c provider.Caller) ([]provider.ContactType, error) {
	var groups []group
	err := c.Call(ctx, get("ContactGroups", nil), func(a provider.Answer) error {
		_, err := decode(a, pageLimit, "ContactGroups", func(r *reader) error {
			one, err := r.group()
			groups = append(groups, one)
			return err
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	groups = slices.DeleteFunc(groups, func(g group) bool { return g.status == "DELETED" })
	slices.SortFunc(groups, func(a, b group) int {
		return strings.Compare(strings.ToLower(a.name)+"\x00"+a.id, strings.ToLower(b.name)+"\x00"+b.id)
	})
	types := []provider.ContactType{{ID: customers, Name: "Customers"}, {ID: suppliers, Name: "Suppliers"}}
	for _, g := range groups {
		types = append(types, provider.ContactType{ID: groupType + g.id, Name: g.name})
	}
	return types, nil
}

// Lasting reports whether every organisation has a contact type, whatever its groups.
func (Adapter) Lasting(id string) bool { return id == customers || id == suppliers }

// List begins or goes on with a listing.
func (Adapter) List(c provider.Caller, q provider.Query) provider.Pages {
	at, err := parseCursor(q.From)
	return &pages{caller: c, query: q, at: at, bad: err}
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
