package sim_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/concord-suite/concord/sim"
)

const (
	accountingAPI    = "/api.xro/2.0/"
	accountingScopes = "openid offline_access accounting.contacts accounting.settings.read"
)

// books is a connected organisation.
type books struct{ session }

func organisation(t *testing.T, cfg sim.Config) books {
	t.Helper()
	return open(t, start(t, cfg), accountingScopes, sim.OrganisationName)
}

// open connects an organisation of the owner.
func open(t *testing.T, w *sim.World, scope, name string) books {
	t.Helper()
	return books{connectFor(t, w, sim.Owner, name, scope)}
}

// ask calls the accounting API with JSON; pairs are headers.
func (b books) ask(method, path, body string, pairs ...string) (*http.Response, []byte) {
	b.t.Helper()
	req := b.request(method, accountingAPI+path, body)
	req.Header.Set("Accept", "application/json")
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(pairs); i += 2 {
		req.Header.Set(pairs[i], pairs[i+1])
	}
	return send(b.t, req)
}

// party is a contact as the API shows it, as far as the tests look.
type party struct {
	ContactID, ContactNumber, AccountNumber, ContactStatus, Name, FirstName, LastName, EmailAddress, TaxNumber string
	UpdatedDateUTC, DefaultCurrency, Website, SalesDefaultLineAmountType, StatusAttributeString                string
	IsSupplier, IsCustomer                                                                                     *bool
	Balances                                                                                                   any
	ContactGroups                                                                                              []struct{ ContactGroupID, Name, Status string }
	ContactPersons                                                                                             []struct{ FirstName, LastName, EmailAddress string }
	Addresses                                                                                                  []struct{ AddressType, AddressLine1, City, Country string }
	Phones                                                                                                     []struct{ PhoneType, PhoneNumber string }
	HasValidationErrors                                                                                        bool
	ValidationErrors                                                                                           []struct{ Message string }
}

// envelope is an answer of the accounting API.
type envelope struct {
	Id, Status, ProviderName, DateTimeUTC string
	Pagination                            *struct{ Page, PageSize, PageCount, ItemCount int }
	Contacts                              []party
	ContactGroups                         []struct {
		ContactGroupID, Name, Status string
		Contacts                     []party
	}
	Organisations []struct{ OrganisationID, Name, CountryCode, CreatedDateUTC string }

	ErrorNumber   int
	Type, Message string
	Elements      []party
}

// want asks and expects a status.
func (b books) want(status int, method, path, body string, pairs ...string) envelope {
	b.t.Helper()
	res, raw := b.ask(method, path, body, pairs...)
	if res.StatusCode != status {
		b.t.Fatalf("%s %s: %s %s", method, path, res.Status, raw)
	}
	var e envelope
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &e); err != nil {
			b.t.Fatalf("%s %s: %v: %s", method, path, err, raw)
		}
	}
	return e
}

func (b books) list(query string, pairs ...string) []party {
	b.t.Helper()
	return b.want(http.StatusOK, http.MethodGet, "Contacts?"+query, "", pairs...).Contacts
}

func where(filter string) string { return "where=" + url.QueryEscape(filter) }

func TestContactsAreListedInPages(t *testing.T) {
	b := organisation(t, sim.Config{Contacts: 250})
	seen := map[string]bool{}
	for page := 1; page <= 3; page++ {
		e := b.want(http.StatusOK, http.MethodGet, fmt.Sprintf("Contacts?page=%d", page), "")
		p := e.Pagination
		if p.Page != page || p.PageSize != 100 || p.PageCount != 3 || p.ItemCount != 250 || e.Status != "OK" || e.ProviderName != "Concord" {
			t.Errorf("page %d: %+v of %+v", page, p, e)
		}
		for _, c := range e.Contacts {
			if seen[c.ContactID] || c.ContactStatus != "ACTIVE" || !strings.HasSuffix(c.UpdatedDateUTC, "+0000)/") {
				t.Errorf("page %d has %+v", page, c)
			}
			seen[c.ContactID] = true
		}
	}
	if len(seen) != 250 {
		t.Errorf("%d contacts, want 250", len(seen))
	}
	if e := b.want(http.StatusOK, http.MethodGet, "Contacts?page=9", ""); len(e.Contacts) != 0 || e.Pagination.PageCount != 3 {
		t.Errorf("behind the end: %+v", e.Pagination)
	}
	if e := b.want(http.StatusOK, http.MethodGet, "Contacts?pageSize=1000&includeArchived=true", ""); len(e.Contacts) != 250+20+2 || e.Pagination.Page != 1 {
		t.Errorf("with archived ones %d, %+v", len(e.Contacts), e.Pagination)
	}
	for _, wrong := range []string{"page=0", "page=x", "pageSize=1001", "pageSize=-1", "order=Nonsense", "order=Name+SIDEWAYS", "IDs=7"} {
		if e := b.want(http.StatusBadRequest, http.MethodGet, "Contacts?"+wrong, ""); e.Type != "QueryParseException" {
			t.Errorf("%s: %+v", wrong, e)
		}
	}
}
