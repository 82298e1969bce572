package xpm

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/record"
)

// Detail reads one client with the practice's own fields, which is a call more. Fields that the consent does not cover stay
// unread: nobody documented which scope they are in, and a client without them is still a client.
func (a Adapter) Detail(ctx context.Context, c provider.Caller, memory, id string) (record.Record, time.Time, error) {
	found, at, err := a.Record(ctx, c, id)
	if err != nil || found.Client == nil || found.State == record.Deleted {
		return found, at, err
	}
	fields, err := a.customFields(ctx, c, memory, id)
	switch {
	case errors.Is(err, provider.ErrUnknownRecord): // deleted between the two calls
		return record.Record{ID: id, State: record.Deleted}, at, nil
	case errors.Is(err, provider.ErrScope), errors.Is(err, provider.ErrForbidden):
		return found, at, nil
	case err != nil:
		return record.Record{}, at, err
	}
	found.Client.CustomFields, found.Client.CustomFieldsRead = fields, true
	return found, at, nil
}

// customFields reads the values of one client. The provider answers fields that have one; a check box without is one that is
// not ticked, so what check boxes there are is read too, once for many clients.
func (a Adapter) customFields(ctx context.Context, c provider.Caller, memory, id string) ([]record.CustomField, error) {
	var values []record.CustomField
	r := provider.Request{Method: http.MethodGet, Path: "client.api/get/" + url.PathEscape(id) + "/customfield", Optional: true}
	err := c.Call(ctx, r, func(answer provider.Answer) error {
		values = nil
		return decode(answer, a.limits.page, func(r *reader, name string) (err error) {
			if name == "CustomFields" {
				values, err = r.customFields()
			}
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	known, fresh, err := a.fields.of(ctx, memory, a.definitionsOf(c))
	if err == nil && !fresh && !known.cover(values) { // defined since they were read
		a.fields.forget(memory)
		known, _, err = a.fields.of(ctx, memory, a.definitionsOf(c))
	}
	if err != nil {
		return nil, err
	}
	for _, box := range known.boxes {
		if !slices.ContainsFunc(values, func(v record.CustomField) bool { return v.ID == box.ID }) {
			values = append(values, box)
		}
	}
	slices.SortFunc(values, func(x, y record.CustomField) int {
		return cmp.Or(strings.Compare(x.Name, y.Name), strings.Compare(x.ID, y.ID))
	})
	return values, nil
}

// fieldParts are the elements that a field with its value has one of; valueElements are those of them that hold the value.
var (
	valueElements = []string{"Text", "Decimal", "Number", "Boolean", "Date"}
	fieldParts    = single("UUID", "Name", strings.Join(valueElements, "|"))
)

// customFields reads the CustomField elements within the element last opened. One without a value is left out.
func (r *reader) customFields() (all []record.CustomField, err error) {
	err = r.each(func(name string) error {
		if name != "CustomField" {
			return nil
		}
		f, err := r.customField()
		if err == nil && f.Value != "" {
			all = append(all, f)
		}
		return err
	})
	return all, err
}

func (r *reader) customField() (record.CustomField, error) {
	var f record.CustomField
	var there seen
	var good = true
	err := r.each(func(name string) error {
		if there.twice(fieldParts, name) {
			return errTwice
		}
		if fieldParts[name] == 0 {
			return nil
		}
		if name == "Text" {
			text, err := r.lines()
			f.Value = text
			return err
		}
		v, err := r.value()
		switch {
		case err != nil:
			return err
		case name == "UUID":
			f.ID = identifier(v)
		case name == "Name":
			f.Name = line(v)
		default:
			f.Value, good = typed(name, v)
		}
		return nil
	})
	switch {
	case err != nil:
		return f, err
	case f.ID == "":
		return f, provider.Errorf(provider.ErrInvalid, "a field of the practice's own in the provider's answer has no valid UUID")
	case !good:
		return f, provider.Errorf(provider.ErrInvalid, "a value in the provider's answer is not of its type")
	}
	return f, nil
}

// typed writes a value the one way it is written here. A value that is not of its type is refused, since comparing it with
// another would mean nothing.
func typed(element, v string) (string, bool) {
	if v == "" {
		return "", true
	}
	switch element {
	case "Boolean":
		switch strings.ToLower(v) {
		case "true", "yes":
			return "true", true
		case "false", "no":
			return "false", true
		}
		return "", false
	case "Date":
		return date(v)
	default:
		return decimal(v)
	}
}

// decimal returns a number with a point for its decimals and without signs between its thousands.
func decimal(v string) (string, bool) {
	digits := strings.TrimPrefix(strings.TrimPrefix(v, "+"), "-")
	whole, fraction, point := strings.Cut(digits, ".")
	if groups := strings.Split(whole, ","); len(groups) > 1 {
		for i, g := range groups {
			if len(g) > 3 || g == "" || i > 0 && len(g) < 3 {
				return "", false
			}
		}
		whole = strings.Join(groups, "")
	}
	number := func(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
	if !number(whole) || point && !number(fraction) || len(v)-len(digits) > 1 {
		return "", false
	}
	if point {
		whole += "." + fraction
	}
	if strings.HasPrefix(v, "-") {
		whole = "-" + whole
	}
	return whole, true
}

// relationParts are the elements that a relationship has one of.
var relationParts = single("Type", "RelatedClient", "NumberOfShares", "Percentage", "StartDate", "EndDate")

// relationships reads the Relationship elements within the element last opened.
func (r *reader) relationships() (all []record.Relationship, err error) {
	err = r.each(func(name string) error {
		if name != "Relationship" {
			return nil
		}
		one, err := r.relationship()
		all = append(all, one)
		return err
	})
	return all, err
}

func (r *reader) relationship() (record.Relationship, error) {
	var rel record.Relationship
	var there seen
	err := r.each(func(name string) (err error) {
		if there.twice(relationParts, name) {
			return errTwice
		}
		var v string
		switch name {
		case "RelatedClient":
			return r.each(func(name string) (err error) {
				switch name {
				case "UUID":
					v, err = r.value()
					rel.Related = identifier(v)
				case "Name":
					v, err = r.value()
					rel.RelatedName = line(v)
				}
				return err
			})
		case "Type":
			v, err = r.value()
			rel.Type = line(v)
		case "NumberOfShares", "Percentage":
			v, err = r.value()
			if n, ok := decimal(v); ok {
				v = n
			}
			if name == "Percentage" {
				rel.Percentage = line(v)
			} else {
				rel.Shares = line(v)
			}
		case "StartDate", "EndDate":
			v, err = r.value()
			day, _ := date(v)
			if day < "0002" { // the provider's year 1 stands for none
				day = ""
			}
			if name == "StartDate" {
				rel.Start = day
			} else {
				rel.End = day
			}
		}
		return err
	})
	return rel, err
}

const (
	// remembered is how long the definitions of a practice's own fields are kept. An administrator there changes them a few
	// times a year; read with each client they would cost as many calls as the clients.
	remembered = time.Hour
	// fresh is how old they may be when a field that is not among them is taken for one that nobody defined for clients.
	fresh = time.Minute
)

// definitions remembers which fields of their own practices have for clients. It is safe for concurrent use.
type definitions struct {
	now func() time.Time

	mu   sync.Mutex
	kept map[string]definition
}

// definition is what is remembered of one practice.
type definition struct {
	read time.Time
	// ids are the fields of clients; boxes are those of them that are check boxes, not ticked.
	ids   map[string]bool
	boxes []record.CustomField
}

func newDefinitions(now func() time.Time) *definitions {
	return &definitions{now: now, kept: map[string]definition{}}
}

// cover reports whether every field of some values is among the definitions.
func (d definition) cover(values []record.CustomField) bool {
	return !slices.ContainsFunc(values, func(v record.CustomField) bool { return !d.ids[v.ID] })
}

// of returns the definitions kept under a name, or those that read gets. isFresh tells that they were read just now.
func (d *definitions) of(ctx context.Context, name string, read func(context.Context) (definition, error)) (got definition, isFresh bool, err error) {
	d.mu.Lock()
	now := d.now()
	got, known := d.kept[name]
	for key, old := range d.kept { // there are few: connections whose details are being read
		if now.Sub(old.read) >= remembered {
			delete(d.kept, key)
		}
	}
	d.mu.Unlock()
	if age := now.Sub(got.read); known && age < remembered {
		return got, age < fresh, nil
	}
	if got, err = read(ctx); err != nil {
		return got, false, err
	}
	got.read = now
	d.mu.Lock()
	defer d.mu.Unlock()
	d.kept[name] = got
	return got, true, nil
}

func (d *definitions) forget(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.kept, name)
}

// definitionsOf reads the definitions of the tenant that a caller calls.
func (a Adapter) definitionsOf(c provider.Caller) func(context.Context) (definition, error) {
	return func(ctx context.Context) (found definition, err error) {
		r := provider.Request{Method: http.MethodGet, Path: "customfield.api/definition", Optional: true}
		return found, c.Call(ctx, r, func(answer provider.Answer) error {
			found = definition{ids: map[string]bool{}}
			return decode(answer, a.limits.page, func(r *reader, name string) error {
				if name != "CustomFieldDefinitions" {
					return nil
				}
				return r.definitions(&found)
			})
		})
	}
}

// definitions reads the CustomFieldDefinition elements within the element last opened.
func (r *reader) definitions(into *definition) error {
	return r.each(func(name string) error {
		if name != "CustomFieldDefinition" {
			return nil
		}
		var f record.CustomField
		var forClients, box bool
		err := r.each(func(name string) (err error) {
			var v string
			switch name {
			case "UUID":
				v, err = r.value()
				f.ID = identifier(v)
			case "Name":
				v, err = r.value()
				f.Name = line(v)
			case "UseClient":
				forClients, err = r.flag(name)
			case "ValueElement":
				v, err = r.value()
				box = v == "Boolean"
			}
			return err
		})
		if err != nil || !forClients || f.ID == "" {
			return err
		}
		into.ids[f.ID] = true
		if box {
			f.Value = "false"
			into.boxes = append(into.boxes, f)
		}
		return nil
	})
}
