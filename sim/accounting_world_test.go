package sim_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/faults"
	"github.com/concord-suite/concord/sim/remote"
	"github.com/concord-suite/concord/sim/world"
)

func TestFaultsStrikeTheAccountingAPI(t *testing.T) {
	w := start(t, sim.Config{Contacts: 250})
	b := open(t, w, accountingScopes, sim.OrganisationName)
	inject(t, w, world.Fault{Kind: faults.Status, Path: "/api.xro/2.0/Contacts", Status: 429, Retry: 64000, Limit: "day", Count: 1})
	if res, raw := b.ask(http.MethodGet, "Contacts?page=1", ""); res.StatusCode != 429 || res.Header.Get("Retry-After") != "64000" || len(raw) > 0 {
		t.Errorf("%s %s", res.Status, raw)
	}
	whole := b.list("page=2")
	for order, want := range map[string]string{"": whole[5].ContactID, "repeat": b.list("page=1")[95].ContactID, "reverse": b.list("pageSize=1000")[149].ContactID} {
		id := inject(t, w, world.Fault{Kind: faults.Drift, Path: "*/Contacts", Query: "page=2", Order: order})
		if got := b.list("page=2")[0].ContactID; got != want {
			t.Errorf("drift %q begins with %s, want %s", order, got, want)
		}
		if err := w.Remote().RemoveFault(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	id := inject(t, w, world.Fault{Kind: faults.Drift, Path: "*/Contacts", Order: "insert", Shift: 3, Count: 1})
	if got := b.want(http.StatusOK, http.MethodGet, "Contacts?page=2&order=ContactID", "").Pagination.ItemCount; got != 250 {
		t.Errorf("before the insertion: %d", got)
	}
	if err := w.Remote().RemoveFault(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if got := b.want(http.StatusOK, http.MethodGet, "Contacts?page=2", "").Pagination.ItemCount; got != 253 {
		t.Errorf("after the insertion: %d", got)
	}
	inject(t, w, world.Fault{Kind: faults.Empty, Path: "*/ContactGroups*", Count: 1})
	if got := b.want(http.StatusOK, http.MethodGet, "ContactGroups", "").ContactGroups; len(got) != 0 {
		t.Errorf("an emptied listing: %+v", got)
	}
	inject(t, w, world.Fault{Kind: faults.WrongTenant, Path: "*/Organisation", Count: 1})
	if got := b.want(http.StatusOK, http.MethodGet, "Organisation", "").Organisations[0].Name; got != sim.SecondOrganisation {
		t.Errorf("the wrong tenant is %s", got)
	}
	inject(t, w, world.Fault{Kind: faults.HalfXML, Path: "*/Contacts", Count: 1})
	if _, raw := b.ask(http.MethodGet, "Contacts?page=1", ""); json.Valid(raw) {
		t.Errorf("half of a document is valid: %.60s", raw)
	}
}

func TestAccountingLimitsAreTheTenants(t *testing.T) {
	b := organisation(t, sim.Config{Contacts: 20})
	for range 60 {
		b.want(http.StatusOK, http.MethodGet, "Contacts?page=1&pageSize=1", "")
	}
	res, raw := b.ask(http.MethodGet, "Contacts?page=1", "")
	expectLimit(t, res, raw, "minute", "60")
	calls, err := b.w.Remote().Calls(t.Context())
	if err != nil || calls[b.tenant].Endpoints["GET Contacts"].Calls != 61 {
		t.Errorf("%v %+v", err, calls[b.tenant])
	}
}

func TestStaffChangeTheBooks(t *testing.T) {
	dir := t.TempDir()
	w := start(t, sim.Config{Contacts: 60, Dir: dir})
	b := open(t, w, accountingScopes, sim.OrganisationName)
	r := w.Remote().Books("")
	yes := true
	gone, err := r.Archive(t.Context(), remote.PartySelector{N: 5, Seed: 3, Where: remote.PartyFilter{Customer: &yes}})
	if err != nil || len(gone) != 5 || gone[0].Status != world.PartyArchived {
		t.Fatal(gone, err)
	}
	if _, err := r.Add(t.Context(), remote.NewParty{Fields: map[string]string{"Name": gone[0].Name}}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Unarchive(t.Context(), remote.PartyIDs(gone[0].ID)); err == nil || !strings.Contains(err.Error(), "another active contact") {
		t.Errorf("two active contacts of one name: %v", err)
	}
	back, err := r.Unarchive(t.Context(), remote.PartyIDs(gone[1].ID))
	if err != nil || back[0].Status != world.PartyActive {
		t.Errorf("%+v %v", back, err)
	}
	for want, in := range map[string]object{"no text field": {"n": 1, "fields": object{"Nonsense": "x"}}, "nothing to change": {"n": 1}, "either ids or n": {"status": "ARCHIVED"},
		"contacts fit": {"n": 1000, "status": "ARCHIVED"}, "no organisation": {"tenant": b.w.URL(), "n": 1}, "status is": {"n": 1, "status": "GONE"}} {
		if err := w.Remote().Do(t.Context(), http.MethodPost, "/control/accounting/contacts/edit", in, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v", in, err)
		}
	}
	var tenant remote.Tenant
	do(t, w, "/control/organisations", object{"name": "Third", "contacts": 5, "seed": 9}, &tenant)
	if list, err := w.Remote().Books(tenant.ID).Contacts(t.Context(), "all", "", 100); err != nil || len(list) != 5 {
		t.Errorf("%d contacts of a new organisation: %v", len(list), err)
	}
	before := b.list("pageSize=1000&includeArchived=true&order=Name")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b.w = start(t, sim.Config{Dir: dir})
	if after := b.list("pageSize=1000&includeArchived=true&order=Name"); fmt.Sprint(after[0].ContactID, len(after)) != fmt.Sprint(before[0].ContactID, len(before)) {
		t.Error("a restart changed the books")
	}
}
