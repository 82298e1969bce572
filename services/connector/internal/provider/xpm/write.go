package xpm

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/record"
)

// maxField is the longest text that the provider keeps in one element, in characters; an address has several lines.
const maxField, maxStreet = 255, 1024

// elements are the fields that can be written, by the element they have in a request. Reading, the website is Website.
// The tax number is missing: it is read masked, and what was read would be written over what is there. So are the kind of
// entity, the groups and the practice's own fields, which have requests of their own.
var elements = map[string]string{
	"name": "Name", "code": "ExportCode", "first_name": "FirstName", "last_name": "LastName", "email": "Email", "phone": "Phone",
	"other_phone": "Fax", "website": "WebSite", "business_number": "BusinessNumber", "company_number": "CompanyNumber",
	"birth_date":              "DateOfBirth",
	"physical_address.street": "Address", "physical_address.city": "City", "physical_address.region": "Region",
	"physical_address.postal_code": "PostCode", "physical_address.country": "Country",
	"postal_address.street": "PostalAddress", "postal_address.city": "PostalCity", "postal_address.region": "PostalRegion",
	"postal_address.postal_code": "PostalPostCode", "postal_address.country": "PostalCountry",
}

// Writable returns how long a field may be.
func (Adapter) Writable(path string) (longest int, ok bool) {
	_, ok = elements[path]
	if strings.HasSuffix(path, ".street") {
		return maxStreet, ok
	}
	return maxField, ok
}

// Open reads one client to change it.
func (a Adapter) Open(ctx context.Context, c provider.Caller, id string) (provider.Document, error) {
	found, at, err := a.Record(ctx, c, id)
	switch {
	case err != nil:
		return nil, err
	case found.Client == nil:
		return nil, provider.Errorf(provider.ErrUnknownRecord, "the provider knows no such client")
	}
	return document{adapter: a, found: found, at: at}, nil
}

// document is a client as it was read.
type document struct {
	adapter Adapter
	found   record.Record
	at      time.Time
}

// Record is the client.
func (d document) Record() record.Record { return d.found }

// At is the provider's clock when it was read.
func (d document) At() time.Time { return d.at }

// Update sends the elements that are to change and leaves the others out, which leaves them as they are.
func (d document) Update(ctx context.Context, c provider.Caller, _ string, set *record.Client, paths []string) (record.Record, time.Time, error) {
	w := newWriter(d.found.ID)
	for _, path := range paths {
		w.text(elements[path], *set.Field(path))
	}
	return d.send(ctx, c, "client.api/update", w.end())
}

// Archive archives the client.
func (d document) Archive(ctx context.Context, c provider.Caller, _ string) (record.Record, time.Time, error) {
	return d.send(ctx, c, "client.api/archive", newWriter(d.found.ID).end())
}

// send makes one change. The provider has no idempotency keys: who gets no answer reads again before sending again.
func (d document) send(ctx context.Context, c provider.Caller, path string, body []byte) (record.Record, time.Time, error) {
	var found []record.Record
	var at time.Time
	err := c.Call(ctx, provider.Request{Method: http.MethodPut, Path: path, Body: body}, func(answer provider.Answer) error {
		found, at = nil, answer.ServerTime
		return decode(answer, d.adapter.limits.page, func(r *reader, name string) error {
			if name != "Client" {
				return nil
			}
			one, err := r.client()
			found = append(found, one.record())
			return err
		})
	})
	switch {
	case errors.Is(err, provider.ErrRefused): // what the provider says of a change is about its values
		words := provider.Text(err)
		return record.Record{}, at, &provider.Error{Kind: provider.ErrValues, Text: words, Cause: err,
			Values: []provider.Value{{Path: provider.Blame(words), Text: words}}}
	case err != nil:
		return record.Record{}, at, err
	case len(found) != 1 || found[0].ID != d.found.ID:
		return record.Record{}, at, provider.Errorf(provider.ErrInvalid, "the provider answered with another client than the one that was changed")
	}
	return found[0], at, nil
}

// writer writes a Client element. Text is escaped, and what XML has no form for is left out.
type writer struct{ out bytes.Buffer }

func newWriter(id string) *writer {
	w := &writer{}
	w.out.WriteString("<Client>")
	w.text("UUID", id)
	return w
}

func (w *writer) text(element, value string) {
	w.out.WriteString("<" + element + ">")
	_ = xml.EscapeText(&w.out, []byte(strings.ToValidUTF8(value, string(utf8.RuneError)))) // a buffer takes everything
	w.out.WriteString("</" + element + ">")
}

func (w *writer) end() []byte {
	w.out.WriteString("</Client>")
	return w.out.Bytes()
}
