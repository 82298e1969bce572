// Package xpm speaks the API of the practice systems that grew out of WorkflowMax: Xero Practice Manager, version 3.1, and
// what shares its resources and documents. What differs between them is a Dialect. Answers of version 3.0, in which a client
// has an integer ID first and its UUID last, are read as well; they are where an upgrade learns both.
//
// The provider answers in XML and tells its own errors with HTTP 200. Its documents are read in one pass, bounded in size
// and depth, and nothing is taken from one that is not whole. A contact belongs to any number of clients, but the list of
// contacts does not say to which: the list of clients does, so the listing of contacts reads that first.
//
// What is known of the provider without a recording: the paged lists and their links (read by their query parameter,
// never followed as addresses), the list of contacts, the practice's own fields.
package xpm

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"

	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/record"
)

// Adapter is the API in one dialect. Make one with New; it is safe for concurrent use.
type Adapter struct {
	dialect Dialect
	legacy  *url.URL
	fields  *definitions
	limits  limits
}

var (
	_ provider.Adapter  = Adapter{}
	_ provider.Detailer = Adapter{}
)

// New makes an adapter. legacy is the address of the API's version whose answers carry the ids from before OAuth 2, nil
// where there is none. now is the clock that what is remembered grows old by.
func New(d Dialect, legacy *url.URL, now func() time.Time) Adapter {
	return Adapter{dialect: d, legacy: legacy, fields: newDefinitions(now), limits: bounds}
}

// limits bounds answers, in bytes.
type limits struct{ page, list, changed int64 }

var bounds = limits{
	// A page of 500 records, or a single one. 500 clients with long addresses make 1.5 MB.
	page: 32 << 20,
	// A list that is not paged. 15,000 clients with every detail were seen to make 50 MB; it is read piece by piece, so the
	// bound is against an answer without an end.
	list: 512 << 20,
	// A list of changes, which is held in memory: 64 MB are 20,000 clients with every detail. Who has more changes reads
	// everything, page by page.
	changed: 64 << 20,
}

// Requirement says what the person who consents must be allowed.
func (a Adapter) Requirement() string { return a.dialect.Requirement }

// Privilege says what a person lacks whom the provider refuses.
func (a Adapter) Privilege() string { return a.dialect.Privilege }

// Probe reads a page of one client, which needs the privilege that every other call needs.
func (a Adapter) Probe(ctx context.Context, c provider.Caller) error {
	p := a.dialect.Clients
	r := provider.Request{Method: http.MethodGet, Path: p.Path, Query: url.Values{p.SizeName: {"1"}}}
	return c.Call(ctx, r, func(answer provider.Answer) error {
		return decode(answer, a.limits.page, func(*reader, string) error { return nil })
	})
}

// Record reads one client by its UUID.
func (a Adapter) Record(ctx context.Context, c provider.Caller, id string) (record.Record, time.Time, error) {
	var found []record.Record
	var at time.Time
	if uuid.Validate(id) != nil { // the provider would say that there is no such client, which is not what was asked
		return record.Record{}, at, provider.Errorf(provider.ErrRefused, "the identifier is none of this provider's")
	}
	r := provider.Request{Method: http.MethodGet, Path: "client.api/get/" + url.PathEscape(id)}
	err := c.Call(ctx, r, func(answer provider.Answer) error {
		found, at = nil, answer.ServerTime
		return decode(answer, a.limits.page, func(r *reader, name string) error {
			if name != "Client" {
				return nil
			}
			one, err := r.client()
			found = append(found, one.record())
			return err
		})
	})
	switch {
	case errors.Is(err, provider.ErrUnknownRecord):
		return record.Record{ID: id, State: record.Deleted}, at, nil
	case err != nil:
		return record.Record{}, at, err
	case len(found) != 1 || found[0].ID != id:
		return record.Record{}, at, provider.Errorf(provider.ErrInvalid, "the provider answered with another client than the one asked for")
	}
	return found[0], at, nil
}

// List begins or goes on with a listing.
func (a Adapter) List(c provider.Caller, q provider.Query) provider.Pages {
	clients := paged{caller: c, Paging: a.dialect.Clients, place: q.From, limit: a.limits.page}
	contacts := paged{caller: c, Paging: a.dialect.Contacts, place: q.From, limit: a.limits.page}
	switch {
	case q.Listing == provider.ChangedClients:
		return &changed{caller: c, since: q.Since, limit: a.limits.changed}
	case q.Listing == provider.LegacyIDs:
		return &legacyPages{caller: c, base: a.legacy, limit: a.limits.list}
	case q.Listing == provider.Contacts && contacts.Path == "":
		return &gatheredPages{paged: clients, list: a.limits.list}
	case q.Listing == provider.Contacts:
		return &contactPages{paged: contacts, list: a.limits.list}
	default:
		return &clientPages{clients}
	}
}
