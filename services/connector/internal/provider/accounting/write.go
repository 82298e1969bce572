package accounting

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/record"
)

// elements are the fields that are an element of their own, with the longest value each takes.
var elements = map[string]struct {
	name    string
	longest int
}{
	"name": {"Name", 255}, "code": {"AccountNumber", 50}, "first_name": {"FirstName", 255}, "last_name": {"LastName", 255},
	"email": {"EmailAddress", 255}, "tax_number": {"TaxNumber", 50}, "company_number": {"CompanyNumber", 50},
}

// phoneKinds are the fields that are a number.
var phoneKinds = map[string]string{"phone": mainPhone, "other_phone": direct, "mobile": cellular}

// addressKinds are the fields that are an address.
var addressKinds = map[string]string{"postal_address": postBox, "physical_address": street}

// parts are the longest values of the parts of an address. A street has four lines of 500.
var parts = map[string]int{"street": 4*maxLine + 3, "city": 255, "region": 255, "postal_code": 50, "country": 50}

const (
	maxLine   = 500
	maxLines  = 4
	maxNumber = 50
)

// Writable returns how long a field may be. The website and the groups can be changed by people only.
func (Adapter) Writable(path string) (longest int, ok bool) {
	if e, known := elements[path]; known {
		return e.longest, true
	}
	if _, known := phoneKinds[path]; known {
		return maxNumber, true
	}
	whole, part, _ := strings.Cut(path, ".")
	if _, known := addressKinds[whole]; known {
		longest, ok = parts[part]
	}
	return longest, ok
}

// Open reads one contact to change it.
func (Adapter) Open(ctx context.Context, c provider.Caller, id string) (provider.Document, error) {
	found, at, err := one(ctx, c, id)
	if err != nil {
		return nil, err
	}
	return document{found, at}, nil
}

// document is a contact as it was read.
type document struct {
	contact
	at time.Time
}

// Record is the contact as a client.
func (d document) Record() record.Record { return d.record() }

// At is the provider's clock when it was read.
func (d document) At() time.Time { return d.at }

// Update sends the elements that are to change. Addresses and numbers are lists at the provider, and what becomes of an
// item that is left out is nowhere said: they are sent whole, with what is to change in them.
func (d document) Update(ctx context.Context, c provider.Caller, key string, set *record.Client, paths []string) (record.Record, time.Time, error) {
	change := map[string]any{"ContactID": d.id}
	for _, path := range paths {
		value := *set.Field(path)
		whole, part, _ := strings.Cut(path, ".")
		switch {
		case elements[path].name != "":
			change[elements[path].name] = value
		case phoneKinds[path] != "":
			d.setPhone(phoneKinds[path], value)
			change["Phones"] = d.phones
		case addressKinds[whole] != "":
			if err := d.setAddress(addressKinds[whole], path, part, value); err != nil {
				return record.Record{}, time.Time{}, err
			}
			change["Addresses"] = d.addresses
		}
	}
	return d.send(ctx, c, key, change)
}

// Archive archives the contact.
func (d document) Archive(ctx context.Context, c provider.Caller, key string) (record.Record, time.Time, error) {
	return d.send(ctx, c, key, map[string]any{"ContactID": d.id, "ContactStatus": archived})
}

// setPhone puts a number in one piece in the place of a number of a kind and its codes.
func (d *document) setPhone(kind, number string) {
	d.phones = with(d.phones, func(p phone) bool { return strings.EqualFold(p.Kind, kind) }, phone{Kind: kind, Number: number})
}

// setAddress changes one part of an address.
func (d *document) setAddress(kind, path, part, value string) error {
	a := d.address(kind)
	switch part {
	case "street":
		lines := strings.Split(value, "\n")
		if len(lines) > maxLines {
			return tooMuch(path, "has at most four lines")
		}
		for _, line := range lines {
			if len([]rune(line)) > maxLine {
				return tooMuch(path, "has at most 500 characters in a line")
			}
		}
		lines = append(lines, "", "", "")
		a.Line1, a.Line2, a.Line3, a.Line4 = lines[0], lines[1], lines[2], lines[3]
	case "city":
		a.City = value
	case "region":
		a.Region = value
	case "postal_code":
		a.PostalCode = value
	case "country":
		a.Country = value
	}
	d.addresses = with(d.addresses, func(a address) bool { return strings.EqualFold(a.Kind, kind) }, a)
	return nil
}

func tooMuch(path, text string) error {
	return &provider.Error{Kind: provider.ErrValues, Text: text, Values: []provider.Value{{Path: path, Text: text}}}
}

// with returns a copy of a list in which the item that fits is another one, or that one more.
func with[T any](list []T, fits func(T) bool, item T) []T {
	all := make([]T, 0, len(list)+1)
	placed := false
	for _, one := range list {
		if fits(one) && !placed {
			one, placed = item, true
		}
		all = append(all, one)
	}
	if !placed {
		all = append(all, item)
	}
	return all
}

// send makes one change. Its key is made of the caller's and of what is sent: the provider answers the same key with the
// answer it gave before, and a key that comes with other bytes would be refused.
func (d document) send(ctx context.Context, c provider.Caller, key string, change map[string]any) (record.Record, time.Time, error) {
	body, err := json.Marshal(map[string]any{"Contacts": []any{change}})
	if err != nil {
		return record.Record{}, time.Time{}, provider.Errorf(provider.ErrRefused, "the change can't be written down")
	}
	sum := sha256.Sum256(append([]byte(key+"\n"), body...))
	request := get("Contacts/"+d.id, nil)
	request.Method, request.Body, request.Repeatable = http.MethodPost, body, true
	request.Header["Content-Type"] = []string{"application/json"}
	request.Header.Set("Idempotency-Key", hex.EncodeToString(sum[:]))
	found, at, err := few(ctx, c, request)
	switch {
	case err != nil:
		return record.Record{}, at, err
	case len(found) != 1 || found[0].id != d.id:
		return record.Record{}, at, provider.Errorf(provider.ErrInvalid, "the provider answered with another contact than the one that was changed")
	}
	return found[0].record(), at, nil
}
