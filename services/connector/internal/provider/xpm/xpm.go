// Package xpm speaks the API of Xero Practice Manager, version 3.1. It reads the answers of version 3.0 as well, in which
// a client has an integer ID first and its UUID last.
//
// The provider answers in XML and tells its own errors with HTTP 200. Its documents are read in one pass, bounded in size
// and depth, and nothing is taken from one that is not whole. A contact belongs to any number of clients, but the list of
// contacts does not say to which: the list of clients does, so the listing of contacts reads that first.
//
// What is known of the provider without a recording: the paged lists and their links (read by their query parameter,
// never followed as addresses), and the list of contacts.
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

// Adapter is the provider's API. The zero value is ready.
type Adapter struct{}

var _ provider.Adapter = Adapter{}

// privilege is what a person needs in XPM, in the words that stand there.
const privilege = `The staff member who authorised needs "Authorise 3rd Party Full Access" in Xero Practice Manager: ` +
	`an administrator of the practice sets it under Business > Staff > (the staff member) > Privileges. Then connect again.`

// requirement is what to look to before consent is given.
const requirement = `Whoever signs in at Xero needs the privilege "Authorise 3rd Party Full Access" in Xero Practice Manager ` +
	`(Business > Staff > (the staff member) > Privileges).`

// Requirement says what the person who consents must be allowed.
func (Adapter) Requirement() string { return requirement }

// Privilege says what a person lacks whom the provider refuses.
func (Adapter) Privilege() string { return privilege }

// Probe reads a page of one client, which needs the privilege that every other call needs.
func (Adapter) Probe(ctx context.Context, c provider.Caller) error {
	r := provider.Request{Method: http.MethodGet, Path: "client.api/paged-list", Query: url.Values{"pageSize": {"1"}}}
	return c.Call(ctx, r, func(a provider.Answer) error {
		return decode(a, pageLimit, func(*reader, string) error { return nil })
	})
}

// Record reads one client by its UUID.
func (Adapter) Record(ctx context.Context, c provider.Caller, id string) (record.Record, time.Time, error) {
	var found []record.Record
	var at time.Time
	if uuid.Validate(id) != nil { // the provider would say that there is no such client, which is not what was asked
		return record.Record{}, at, provider.Errorf(provider.ErrRefused, "the identifier is none of this provider's")
	}
	r := provider.Request{Method: http.MethodGet, Path: "client.api/get/" + url.PathEscape(id)}
	err := c.Call(ctx, r, func(a provider.Answer) error {
		found, at = nil, a.ServerTime
		return decode(a, pageLimit, func(r *reader, name string) error {
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
func (Adapter) List(c provider.Caller, q provider.Query) provider.Pages {
	switch q.Listing {
	case provider.Contacts:
		return &contactPages{paged: paged{caller: c, path: "client.api/contacts", token: q.From}}
	case provider.ChangedClients:
		return &changed{caller: c, since: q.Since}
	default:
		return &clientPages{paged{caller: c, path: "client.api/paged-list", token: q.From}}
	}
}
