package record

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestHashCoversEveryField sets one field after the other by reflection, so that a field added later and forgotten in the
// hash fails.
func TestHashCoversEveryField(t *testing.T) {
	left := map[string]bool{"Groups": true, "GroupsRead": true, "CustomFields": true, "CustomFieldsRead": true,
		"Relationships": true, "RelationshipsRead": true} // the package says why
	base := Record{ID: "1", State: Active, Client: &Client{Name: "A"}}
	seen := map[string]string{base.Hash(): "base"}
	typ := reflect.TypeFor[Client]()
	for i := range typ.NumField() {
		one := Client{Name: "A"}
		f := reflect.ValueOf(&one).Elem().Field(i)
		switch f.Kind() {
		case reflect.String:
			f.SetString("changed")
			requireNew(t, seen, Record{ID: "1", State: Active, Client: &one}, typ.Field(i).Name)
		case reflect.Struct:
			for j := range f.NumField() {
				one := Client{Name: "A"}
				reflect.ValueOf(&one).Elem().Field(i).Field(j).SetString("changed")
				requireNew(t, seen, Record{ID: "1", State: Active, Client: &one}, typ.Field(i).Name+"."+f.Type().Field(j).Name)
			}
		default:
			require.True(t, left[typ.Field(i).Name], "%s is neither hashed nor excused", typ.Field(i).Name)
		}
	}
	requireNew(t, seen, Record{ID: "1", State: Archived, Client: &Client{Name: "A"}}, "State")
	requireNew(t, seen, Record{ID: "2", State: Active, Client: &Client{Name: "A"}}, "ID")
	detailed := Record{ID: "1", State: Active, LegacyID: "7", OutOfScope: true, Client: &Client{Name: "A", Groups: []string{"G"}, GroupsRead: true,
		CustomFields: []CustomField{{ID: "f", Name: "F", Value: "v"}}, CustomFieldsRead: true,
		Relationships: []Relationship{{Type: "Director", Related: "2"}}, RelationshipsRead: true}}
	require.Equal(t, base.Hash(), detailed.Hash(), "the same client from an answer that carries details")
	require.Empty(t, Record{ID: "1", State: Active, Outline: true, Client: &Client{Name: "A"}}.Hash(), "what is not known has no hash")
}

func TestHashOfContacts(t *testing.T) {
	seen := map[string]string{}
	requireNew(t, seen, Record{ID: "1", State: Active, Contact: &Contact{Name: "A"}}, "base")
	requireNew(t, seen, Record{ID: "1", State: Active, Client: &Client{Name: "A"}}, "a client of the same name")
	requireNew(t, seen, Record{ID: "1", State: Active, Contact: &Contact{Email: "A"}}, "the value in another field")
	ab := []Link{{Client: "a"}, {Client: "b", Position: "Director", Primary: true}}
	ba := []Link{ab[1], ab[0]}
	requireNew(t, seen, Record{ID: "1", State: Active, Contact: &Contact{Name: "A", Links: ab}}, "links")
	require.Equal(t, Record{ID: "1", State: Active, Contact: &Contact{Links: ab}}.Hash(),
		Record{ID: "1", State: Active, Contact: &Contact{Links: ba}}.Hash(), "order of links")
	require.Equal(t, "a", ab[0].Client, "hashing leaves the record as it is")
	requireNew(t, seen, Record{ID: "1", State: Active, Contact: &Contact{Name: "A", Links: []Link{{Client: "a", Primary: true}}}}, "primary")
}

func requireNew(t *testing.T, seen map[string]string, r Record, what string) {
	t.Helper()
	require.Len(t, r.Hash(), 64)
	require.NotContains(t, seen, r.Hash(), "%s hashes like %s", what, seen[r.Hash()])
	seen[r.Hash()] = what
}

func clients(from, to int) []Record {
	var list []Record
	for i := from; i < to; i++ {
		list = append(list, Record{ID: fmt.Sprintf("id-%d", i), State: Active, Client: &Client{Name: fmt.Sprintf("Client %03d", i)}})
	}
	return list
}

func TestWatch(t *testing.T) {
	type page struct {
		records []Record
		more    bool
	}
	reversed := clients(3, 6)
	reversed[0], reversed[2] = reversed[2], reversed[0]
	cases := map[string]struct {
		pages   []page
		drifted bool
	}{
		"still":               {[]page{{clients(0, 3), true}, {clients(3, 6), true}, {clients(6, 7), false}}, false},
		"empty":               {[]page{{nil, false}}, false},
		"one short page":      {[]page{{clients(0, 2), false}}, false},
		"repeated":            {[]page{{clients(0, 3), true}, {clients(2, 4), false}}, true},
		"repeated in a page":  {[]page{{append(clients(0, 1), clients(0, 1)...), false}}, true},
		"short in the middle": {[]page{{clients(0, 2), true}, {clients(3, 6), false}}, true},
		"reordered":           {[]page{{clients(0, 3), true}, {reversed, false}}, true},
		"went back":           {[]page{{clients(3, 6), true}, {clients(0, 3), false}}, true},
		"never in order":      {[]page{{reversed, true}, {clients(0, 3), false}}, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := NewWatch(false, "")
			for _, p := range c.pages {
				w.Page(p.records, 3, p.more)
			}
			require.Equal(t, c.drifted, w.Drifted())
		})
	}
}

func TestWatchGoesOnAfterAnInterruption(t *testing.T) {
	w := NewWatch(false, "")
	w.Page(clients(3, 6), 3, true)
	next := NewWatch(w.State())
	next.Page(clients(0, 3), 3, false)
	require.True(t, next.Drifted(), "the order is remembered")

	w = NewWatch(false, "")
	w.Page(clients(0, 2), 3, true)
	next = NewWatch(w.State())
	next.Page(clients(3, 6), 3, false)
	require.True(t, next.Drifted(), "drift is remembered")
}

func TestSample(t *testing.T) {
	take := func(earlier string, from, to int) *Sample {
		s := NewSample(earlier)
		for _, r := range clients(from, to) {
			s.Add(r.ID)
		}
		return s
	}
	first := take("", 0, 200)
	require.False(t, first.Strange(), "nothing to compare with")
	require.False(t, take(first.String(), 0, 200).Strange())
	require.False(t, take(first.String(), 0, 20000).Strange(), "grown a hundredfold")
	require.False(t, take(first.String(), 100, 300).Strange(), "half of it is gone")
	require.True(t, take(first.String(), 1000, 1200).Strange(), "another practice")
	require.False(t, take(first.String(), 0, 0).Strange(), "empty is not strange, it is empty")
	require.False(t, take(take("", 0, 4).String(), 1000, 1200).Strange(), "too few to tell")
	require.False(t, take("nonsense", 1000, 1200).Strange())
	require.LessOrEqual(t, len(first.String()), 32*33)
}

func TestWithin(t *testing.T) {
	customer := Record{State: Active, Types: []string{"CUSTOMERS", "GROUP:1"}}
	require.False(t, customer.Within(nil).OutOfScope, "none chosen means all")
	require.False(t, customer.Within([]string{"SUPPLIERS", "GROUP:1"}).OutOfScope)
	require.True(t, customer.Within([]string{"SUPPLIERS"}).OutOfScope)
	require.True(t, Record{State: Active}.Within([]string{"SUPPLIERS"}).OutOfScope, "of no type at all")
	customer.State = Archived
	require.False(t, customer.Within([]string{"SUPPLIERS"}).OutOfScope, "that it has left is not to be hidden")
}

// TestFieldsByPath reaches every text field of a client by its path in the contract.
func TestFieldsByPath(t *testing.T) {
	var c Client
	seen := map[*string]bool{}
	for _, path := range []string{"name", "code", "entity_type", "first_name", "last_name", "email", "phone", "mobile", "other_phone", "website",
		"tax_number", "business_number", "company_number", "birth_date"} {
		seen[c.Field(path)] = true
	}
	for _, part := range AddressParts {
		seen[c.Field("postal_address."+part)], seen[c.Field("physical_address."+part)] = true, true
	}
	texts := 0
	for _, v := range []reflect.Value{reflect.ValueOf(c), reflect.ValueOf(c.Postal), reflect.ValueOf(c.Physical)} {
		for i := range v.NumField() {
			if v.Field(i).Kind() == reflect.String {
				texts++
			}
		}
	}
	require.Len(t, seen, texts)
	require.NotContains(t, seen, (*string)(nil))
	for _, path := range []string{"", "groups", "postal_address", "postal_address.", "email.x", "unread"} {
		require.Nil(t, c.Field(path), path)
	}
}
