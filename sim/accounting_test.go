package sim_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/remote"
	"github.com/concord-suite/concord/sim/world"
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

func TestFiltersNarrowTheListing(t *testing.T) {
	b := organisation(t, sim.Config{Contacts: 300})
	all := b.list("pageSize=1000&includeArchived=true")
	count := func(want func(party) bool) (n int) {
		for _, c := range all {
			if want(c) {
				n++
			}
		}
		return n
	}
	active := func(c party) bool { return c.ContactStatus == "ACTIVE" }
	some := all[slices.IndexFunc(all, func(c party) bool { return active(c) && c.AccountNumber != "" && c.EmailAddress != "" })]
	for _, try := range []struct {
		query string
		want  func(party) bool
	}{
		{where("IsCustomer==true"), func(c party) bool { return active(c) && *c.IsCustomer }},
		{where("IsSupplier==true AND IsCustomer==false"), func(c party) bool { return active(c) && *c.IsSupplier && !*c.IsCustomer }},
		{where(`IsSupplier==true || IsCustomer==true`), func(c party) bool { return active(c) && (*c.IsSupplier || *c.IsCustomer) }},
		{"includeArchived=true&" + where(`ContactStatus=="ARCHIVED"`), func(c party) bool { return c.ContactStatus == "ARCHIVED" }},
		{where(`ContactStatus=="ARCHIVED"`), func(party) bool { return false }},
		{where(fmt.Sprintf("Name==%q", some.Name)), func(c party) bool { return active(c) && c.Name == some.Name }},
		{where(fmt.Sprintf("(AccountNumber==%q && EmailAddress!=null)", some.AccountNumber)), func(c party) bool {
			return active(c) && c.AccountNumber == some.AccountNumber && c.EmailAddress != ""
		}},
		{where(`Name.ToLower().Contains("plumb")`), func(c party) bool { return active(c) && strings.Contains(strings.ToLower(c.Name), "plumb") }},
		{where(`Name.ToUpper().ToLower()=="nobody"`), func(party) bool { return false }},
		{where(fmt.Sprintf("ContactID==Guid(%q)", some.ContactID)), func(c party) bool { return c.ContactID == some.ContactID }},
		{where("UpdatedDateUTC>=DateTime(1999,12,31)"), active},
		{where("UpdatedDateUTC < DateTime(1999,12,31,23,59,59)"), func(party) bool { return false }},
		{"IDs=" + some.ContactID + "," + strings.ToUpper(all[0].ContactID) + "&includeArchived=true", func(c party) bool {
			return c.ContactID == some.ContactID || c.ContactID == all[0].ContactID
		}},
		{"searchTerm=" + url.QueryEscape(some.EmailAddress[1:]), func(c party) bool {
			return active(c) && strings.Contains(c.EmailAddress, some.EmailAddress[1:])
		}},
	} {
		if got, want := len(b.list("pageSize=1000&"+try.query)), count(try.want); got != want {
			t.Errorf("%s: %d contacts, want %d", try.query, got, want)
		}
	}
	for _, wrong := range []string{"Nonsense==1", "Name=", "Name==7", "IsCustomer==\"yes\"", "(Name==\"x\"", "Name==\"x\" Name", "Name.Shout()==\"x\"",
		"IsCustomer.Contains(\"t\")", "UpdatedDateUTC>DateTime(1,2)", "ContactID==\"x\"", "Name.Contains(", strings.Repeat("(", 5000),
		"Name" + strings.Repeat(".ToLower()", 5000)} {
		if e := b.want(http.StatusBadRequest, http.MethodGet, "Contacts?"+where(wrong), ""); e.ErrorNumber != 16 {
			t.Errorf("%.40s: %+v", wrong, e)
		}
	}
}

func TestOrderIsByTheLastChangeUnlessAsked(t *testing.T) {
	b := organisation(t, sim.Config{Contacts: 120})
	stamps := func(list []party) (all []string) {
		for _, c := range list {
			all = append(all, c.UpdatedDateUTC)
		}
		return all
	}
	if !slices.IsSorted(stamps(b.list("pageSize=1000"))) {
		t.Error("the listing is not by the last change")
	}
	first := b.list("page=1")
	b.want(http.StatusOK, http.MethodPost, "Contacts/"+first[0].ContactID, `{"EmailAddress":"moved@example.com"}`)
	again := b.list("page=1")
	if again[0].ContactID != first[1].ContactID || b.list("page=2")[19].ContactID != first[0].ContactID {
		t.Error("a change does not move a contact to the end")
	}
	down := b.list("pageSize=1000&order=Name+DESC")
	if !slices.IsSortedFunc(down, func(x, y party) int { return strings.Compare(strings.ToLower(y.Name), strings.ToLower(x.Name)) }) {
		t.Error("Name DESC is not down the names")
	}
}

func TestWhatChangedSince(t *testing.T) {
	w := start(t, sim.Config{Contacts: 50})
	b := open(t, w, accountingScopes, sim.OrganisationName)
	if err := w.Remote().Advance(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	since := clock().Add(30 * time.Minute).Format("2006-01-02T15:04:05")
	b.token, _ = tokenCall(t, w, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {b.token.Refresh}})
	if got := b.list("page=1", "If-Modified-Since", since); len(got) != 0 {
		t.Errorf("before any change: %+v", got)
	}
	r := w.Remote().Books("")
	list, err := r.Contacts(t.Context(), "", "", 4)
	if err != nil || len(list) != 4 {
		t.Fatal(list, err)
	}
	yes := !list[2].Customer
	for i, e := range []remote.PartyEdit{{Fields: map[string]string{"AccountNumber": "A-1"}}, {Status: world.PartyArchived}, {Customer: &yes}} {
		if _, err := r.Edit(t.Context(), remote.PartyIDs(list[i].ID), e); err != nil {
			t.Fatal(err)
		}
	}
	groups, err := r.Groups(t.Context())
	if err == nil {
		_, err = r.Group(t.Context(), remote.GroupChange{Group: groups[0].ID, Add: []string{list[3].ID}})
	}
	if err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string][]string{"page=1": {list[0].ID}, "page=1&includeArchived=true": {list[0].ID, list[1].ID}} {
		for _, form := range []string{since, since + "Z", since + ".123", clock().Add(30 * time.Minute).Format(http.TimeFormat)} {
			var ids []string
			for _, c := range b.list(query+"&order=Name", "If-Modified-Since", form) {
				ids = append(ids, c.ContactID)
			}
			if !slices.Equal(ids, want) {
				t.Errorf("%s since %s: %v, want %v", query, form, ids, want)
			}
		}
	}
	if e := b.want(http.StatusBadRequest, http.MethodGet, "Contacts", "", "If-Modified-Since", "yesterday"); e.ErrorNumber != 16 {
		t.Errorf("%+v", e)
	}
	do(t, w, "/control/settings", object{"not_modified": true}, nil)
	res, raw := b.ask(http.MethodGet, "Contacts?page=1", "", "If-Modified-Since", "2030-01-01T00:00:00")
	if res.StatusCode != http.StatusNotModified || len(raw) > 0 {
		t.Errorf("nothing changed: %s %s", res.Status, raw)
	}
}

func TestAListingWithoutPagesTellsLess(t *testing.T) {
	w := start(t, sim.Config{Contacts: 50})
	b := open(t, w, accountingScopes, sim.OrganisationName)
	made, err := w.Remote().Books("").Add(t.Context(), remote.NewParty{Customer: true, People: []world.PartyPerson{{FirstName: "Ablo"}},
		Fields: map[string]string{"Name": "Full", "Website": "https://full.example", "DefaultCurrency": "AUD"}})
	if err != nil {
		t.Fatal(err)
	}
	one := "IDs=" + made.ID
	page, plain, summary := b.list("page=1&" + one)[0], b.list(one)[0], b.list("summaryOnly=true&page=1&" + one)[0]
	if len(page.ContactPersons) != 1 || page.Balances == nil || page.Website == "" || page.DefaultCurrency == "" || page.SalesDefaultLineAmountType == "" {
		t.Errorf("a page has %+v", page)
	}
	if len(plain.ContactPersons) != 0 || plain.Balances != nil || plain.Website != "" || plain.IsCustomer == nil || plain.SalesDefaultLineAmountType != "" {
		t.Errorf("without a page: %+v", plain)
	}
	if summary.IsCustomer != nil || summary.Balances != nil || len(summary.ContactPersons) != 1 {
		t.Errorf("the summary has %+v", summary)
	}
	if e := b.want(http.StatusOK, http.MethodGet, "Contacts", ""); e.Pagination != nil || len(e.Contacts) != 51 {
		t.Errorf("without a page: %d contacts, %+v", len(e.Contacts), e.Pagination)
	}
}

func TestTheOrganisationDescribesItself(t *testing.T) {
	b := organisation(t, sim.Config{})
	for _, path := range []string{"Organisation", "Organisations"} {
		e := b.want(http.StatusOK, http.MethodGet, path, "")
		if len(e.Organisations) != 1 || e.Organisations[0].OrganisationID != b.tenant || e.Organisations[0].Name != sim.OrganisationName {
			t.Errorf("%s: %+v", path, e.Organisations)
		}
	}
}

func TestScopesOpenTheAccountingAPI(t *testing.T) {
	w := start(t, sim.Config{})
	reader := open(t, w, "accounting.contacts.read", sim.OrganisationName)
	reader.want(http.StatusOK, http.MethodGet, "Contacts?page=1", "")
	for path, method := range map[string]string{"Contacts": http.MethodPost, "ContactGroups": http.MethodPut, "Organisation": http.MethodGet} {
		res, raw := reader.ask(method, path, "{}")
		if res.StatusCode != http.StatusUnauthorized || !strings.Contains(string(raw), `"Detail":"AuthorizationUnsuccessful"`) {
			t.Errorf("%s %s: %s %s", method, path, res.Status, raw)
		}
	}
	practice := connect(t, w, sim.Owner, sim.PracticeName)
	if res, raw := (books{practice}).ask(http.MethodGet, "Contacts", ""); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("with the scopes of a practice: %s %s", res.Status, raw)
	}
	both := open(t, w, "accounting.contacts practicemanager.client", sim.PracticeName)
	if res, raw := both.ask(http.MethodGet, "Contacts", ""); res.StatusCode != http.StatusForbidden {
		t.Errorf("the books of a practice: %s %s", res.Status, raw)
	}
	reader.tenant = ""
	if res, raw := reader.ask(http.MethodGet, "Contacts", ""); res.StatusCode != http.StatusForbidden || !strings.Contains(string(raw), "AuthenticationUnsuccessful") {
		t.Errorf("without a tenant: %s %s", res.Status, raw)
	}
}
