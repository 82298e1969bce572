package sim_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/remote"
)

func practice(t *testing.T, cfg sim.Config) session {
	t.Helper()
	return connect(t, start(t, cfg), sim.Owner, sim.PracticeName)
}

// refused is ask for an answer that must be a business error.
func (s session) refused(method, path, body string) string {
	s.t.Helper()
	a := s.ask(method, path, body)
	if a.Status != "ERROR" {
		s.t.Errorf("%s %s %s: %s", method, path, body, a.Status)
	}
	return a.Error
}

func TestAClientIsAddedReadChangedArchivedAndDeleted(t *testing.T) {
	s := practice(t, sim.Config{})
	added := s.ask(http.MethodPost, "client.api/add", `<Client><Name>Kea &amp; Sons</Name><Email>kea@example.com</Email><DateOfBirth>19701126</DateOfBirth>
		<FirstName>Kea</FirstName><ExportCode>KEA1</ExportCode><TaxNumber>123456789</TaxNumber><GSTRegistered>Yes</GSTRegistered>
		<WebSite>https://kea.example</WebSite><Contacts><Contact><Name>First</Name><IsPrimary>Yes</IsPrimary></Contact>
		<Contact><Name>Last</Name><IsPrimary>Yes</IsPrimary><Position>Owner</Position></Contact></Contacts></Client>`)
	c := added.Client
	if added.Method != "Add" || c.Name != "Kea & Sons" || *c.Email != "kea@example.com" || c.Born != "1970-11-26" || c.Code != "KEA1" || *c.TaxNumber != "******789" {
		t.Errorf("added %+v", c)
	}
	if len(c.Contacts) != 2 || c.Contacts[0].Primary != "No" || c.Contacts[1].Primary != "Yes" || c.Contacts[1].Position != "Owner" {
		t.Errorf("the last primary contact wins: %+v", c.Contacts)
	}
	id := "<Client><UUID>" + strings.ToUpper(c.UUID) + "</UUID>"
	s.ask(http.MethodPut, "client.api/update", id+"<Phone>(02) 5550 0001</Phone><Email></Email></Client>")
	got := s.ask(http.MethodGet, "client.api/get/"+c.UUID, "")
	if got.Client.Phone != "(02) 5550 0001" || got.Client.Email != nil || got.Client.Code != "KEA1" || got.WebURL == "" {
		t.Errorf("after an update of phone and e-mail: %+v", got.Client)
	}
	if a := s.ask(http.MethodPut, "client.api/archive", id+"</Client>"); a.Client.Archived != "Yes" {
		t.Errorf("archived: %+v", a.Client)
	}
	if a := s.ask(http.MethodPost, "client.api/delete", id+"</Client>"); a.Status != "OK" || a.Client.UUID != "" {
		t.Errorf("deleted: %+v", a)
	}
	if got := s.ask(http.MethodGet, "client.api/get/"+c.UUID, ""); got.Client.Deleted != "Yes" {
		t.Errorf("a deleted client reads %+v", got.Client)
	}
	if text := s.refused(http.MethodPut, "client.api/update", id+"<Name>N</Name></Client>"); text != "Invalid client identifier" {
		t.Errorf("updating a deleted client: %s", text)
	}
}

func TestBusinessErrorsComeWithStatus200(t *testing.T) {
	s := practice(t, sim.Config{})
	uuid := s.ask(http.MethodGet, "client.api/list", "").Clients[0].UUID
	id := "<UUID>" + uuid + "</UUID>"
	for _, try := range []struct{ method, path, body, want string }{
		{"POST", "client.api/add", "<Client><Email>a@example.com</Email></Client>", "The client name is required"},
		{"POST", "client.api/add", "<Client><Name>" + strings.Repeat("n", 256) + "</Name></Client>", "The client name is too long"},
		{"PUT", "client.api/update", "<Client>" + id + "<Name></Name></Client>", "The client name is required"},
		{"PUT", "client.api/update", "<Client>" + id + "<DateOfBirth>tomorrow</DateOfBirth></Client>", "Invalid date of birth"},
		{"PUT", "client.api/update", "<Client>" + id + "<PrepareGST>maybe</PrepareGST></Client>", "Invalid value for PrepareGST, expected Yes or No"},
		{"PUT", "client.api/update", "<Client>" + id + "<JobManagerUUID>" + uuid + "</JobManagerUUID></Client>", "Invalid staff identifier"},
		{"PUT", "client.api/archive", "<Client><UUID>nobody</UUID></Client>", "Invalid client identifier"},
		{"PUT", "client.api/archive", "<Client><ID>23000001</ID></Client>", "Invalid client identifier"}, // integers are for 3.0
		{"GET", "client.api/get/" + strings.Repeat("0", 8), "", "Invalid client identifier"},
		{"GET", "client.api/list?modifiedsince=yesterday", "", "Invalid modifiedsince, expected yyyy-MM-ddTHH:mm:ss"},
		{"POST", "client.api/contact", "<Contact><Name>N</Name></Contact>", "Invalid client identifier"},
		{"POST", "client.api/contact", "<Contact><Client>" + id + "</Client></Contact>", "The contact name is required"},
		{"GET", "clientgroup.api/get/" + uuid, "", "Invalid client group identifier"},
		{"GET", "staff.api/get/" + uuid, "", "Invalid staff identifier"},
		{"GET", "customfield.api/get/" + uuid, "", "Invalid custom field identifier"},
		{"POST", "client.api/addrelationship", "<Relationship><ClientUUID>" + uuid + "</ClientUUID><RelatedClientUUID>x</RelatedClientUUID><Type>Director</Type></Relationship>", "Invalid related client identifier"},
		{"PUT", "client.api/updaterelationship", "<Relationship>" + id + "</Relationship>", "Invalid relationship identifier"},
	} {
		if got := s.refused(try.method, try.path, try.body); got != try.want {
			t.Errorf("%s %s %s: %q, want %q", try.method, try.path, try.body, got, try.want)
		}
	}
}

func TestRecordsOfAnotherPracticeAreUnknown(t *testing.T) {
	s := practice(t, sim.Config{})
	other := connect(t, s.w, sim.Consultant, sim.SecondPracticeName)
	list := other.ask(http.MethodGet, "client.api/list?detailed=true", "").Clients
	theirs := list[slices.IndexFunc(list, func(c client) bool { return len(c.Contacts) > 0 && len(c.Groups) > 0 })]
	for path, want := range map[string]string{
		"client.api/get/" + theirs.UUID:                  "Invalid client identifier",
		"client.api/contact/" + theirs.Contacts[0].UUID:  "Invalid contact identifier",
		"clientgroup.api/get/" + theirs.Groups[0].UUID:   "Invalid client group identifier",
		"client.api/get/" + theirs.UUID + "/customfield": "Invalid client identifier",
		"client.api/get/" + strings.ToUpper(theirs.UUID): "Invalid client identifier",
	} {
		if got := s.refused(http.MethodGet, path, ""); got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
	s.refused(http.MethodPut, "client.api/archive", "<Client><UUID>"+theirs.UUID+"</UUID></Client>")
}

func TestOtherErrorsHaveTheirOwnStatus(t *testing.T) {
	s := practice(t, sim.Config{})
	for path, want := range map[string]int{
		"client.api/paged-list?pageSize=0":   http.StatusBadRequest,
		"client.api/paged-list?pageSize=501": http.StatusBadRequest,
		"client.api/contacts?pageToken=@":    http.StatusBadRequest,
		"client.api/everything":              http.StatusNotFound,
	} {
		if res, body := s.call(http.MethodGet, path, ""); res.StatusCode != want {
			t.Errorf("%s: %s %s", path, res.Status, body)
		}
	}
	if res, body := s.call(http.MethodPost, "client.api/add", "<Client><Name>"); res.StatusCode != http.StatusInternalServerError || !strings.Contains(string(body), "not well-formed") {
		t.Errorf("broken XML: %s %s", res.Status, body)
	}
	if res, _ := s.call(http.MethodPost, "client.api/add", "<Client><Name>"+strings.Repeat("n", 3_600_000)); res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("3.6 MB: %s", res.Status)
	}
	if res, _ := send(t, s.request(http.MethodGet, "/practicemanager/2.0/client.api/list", "")); res.StatusCode != http.StatusNotFound {
		t.Errorf("version 2.0: %s", res.Status)
	}
}

func TestListsShowWhatTheyShould(t *testing.T) {
	s := practice(t, sim.Config{Clients: 300})
	plain, detailed := s.ask(http.MethodGet, "client.api/list", ""), s.ask(http.MethodGet, "client.api/list?detailed=true", "")
	if len(plain.Clients) != 324 || len(detailed.Clients) != 324 {
		t.Fatalf("%d and %d clients", len(plain.Clients), len(detailed.Clients))
	}
	counts := map[string]int{}
	for i, c := range plain.Clients {
		d := detailed.Clients[i]
		if c.UUID != d.UUID || len(c.Contacts) != len(d.Contacts) || len(c.Groups)+len(c.Relationships) > 0 {
			t.Errorf("client %s differs between the lists", c.Name)
		}
		counts["archived "+c.Archived]++
		counts["deleted "+c.Deleted]++
		counts["groups"] += len(d.Groups)
		counts["relationships"] += len(d.Relationships)
		if c.Email == nil {
			counts["without e-mail"]++
		}
		if c.Born != "" && !strings.HasSuffix(c.Born, "T00:00:00") {
			t.Errorf("%s was born %s", c.Name, c.Born)
		}
	}
	if counts["archived Yes"] != 18 || counts["deleted Yes"] != 6 || counts["groups"] == 0 || counts["relationships"] == 0 || counts["without e-mail"] == 0 {
		t.Errorf("counts are %v", counts)
	}
	if !slices.IsSortedFunc(plain.Clients, func(a, b client) int { return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) }) {
		t.Error("the list is not in the order of names")
	}
}

func TestModifiedSinceSeesSavesAndNothingElse(t *testing.T) {
	s := practice(t, sim.Config{})
	all := s.ask(http.MethodGet, "client.api/list", "").Clients
	advance(t, s.w, 10*time.Minute)
	since := "client.api/list?modifiedSince=" + url.QueryEscape(clock().Add(10*time.Minute).Format("2006-01-02T15:04:05"))
	r := s.w.Remote()
	if _, err := r.Archive(t.Context(), remote.Selector{N: 1}); err != nil {
		t.Fatal(err)
	}
	active := slices.DeleteFunc(all, func(c client) bool { return c.Archived == "Yes" || c.Deleted == "Yes" })
	s.ask(http.MethodPut, "client.api/archive", "<Client><UUID>"+active[0].UUID+"</UUID></Client>")
	s.ask(http.MethodPost, "client.api/delete", "<Client><UUID>"+active[0].UUID+"</UUID></Client>")
	active = active[1:]
	with := active[slices.IndexFunc(active, func(c client) bool { return len(c.Contacts) > 0 })]
	s.ask(http.MethodPut, "client.api/contact/"+with.Contacts[0].UUID, "<Contact><Name>Renamed</Name></Contact>")
	if got := s.ask(http.MethodGet, since, "").Clients; len(got) != 0 {
		t.Errorf("an archive and a contact edit show %d clients", len(got))
	}
	s.ask(http.MethodPut, "client.api/update", "<Client><UUID>"+with.UUID+"</UUID><Phone>1</Phone></Client>")
	if got := s.ask(http.MethodGet, since, "").Clients; len(got) != 1 || got[0].UUID != with.UUID {
		t.Errorf("a save shows %d clients", len(got))
	}
	if got := s.ask(http.MethodGet, "client.api/list?modified_since", "").Clients; len(got) != 64 {
		t.Errorf("a parameter without a value shows %d clients", len(got))
	}
}

func TestSearchFindsPartsWithoutCase(t *testing.T) {
	s := practice(t, sim.Config{})
	s.ask(http.MethodPost, "client.api/add", "<Client><Name>Würzel Nominees</Name></Client>")
	for query, want := range map[string]int{"würzel nom": 1, "zzzz": 0} {
		if got := s.ask(http.MethodGet, "client.api/search?query="+url.QueryEscape(query), ""); len(got.Clients) != want || got.Method != "Search" {
			t.Errorf("%s finds %d", query, len(got.Clients))
		}
	}
	if got := s.ask(http.MethodGet, "client.api/search?query=", "").Clients; len(got) != 64 {
		t.Errorf("nothing finds %d, want everything but the deleted one", len(got))
	}
}

func TestPageLinks(t *testing.T) {
	s := practice(t, sim.Config{})
	first := s.ask(http.MethodGet, "client.api/paged-list", "")
	base := s.w.URL() + practiceAPI + "client.api/paged-list?"
	if len(first.Clients) != 50 || first.First != base+"pageSize=50" || !strings.HasPrefix(first.Next, base+"pageToken=") || !strings.HasSuffix(first.Next, "&pageSize=50") {
		t.Errorf("%d clients, first %s, next %s", len(first.Clients), first.First, first.Next)
	}
	if exact := s.ask(http.MethodGet, "client.api/paged-list?pageSize=60", ""); len(exact.Clients) != 60 || exact.Next != "" {
		t.Errorf("a page of everything: %d, next %q", len(exact.Clients), exact.Next)
	}
}

func TestPagesStayWholeWhileOthersAreArchived(t *testing.T) {
	s := practice(t, sim.Config{})
	first := s.ask(http.MethodGet, "client.api/paged-list?pageSize=20", "")
	if _, err := s.w.Remote().Archive(t.Context(), remote.UUIDs(first.Clients[3].UUID)); err != nil {
		t.Fatal(err)
	}
	seen := len(first.Clients)
	for _, page := range s.pages(strings.TrimPrefix(first.Next, s.w.URL()+practiceAPI)) {
		seen += len(page.Clients)
	}
	if seen != 60 {
		t.Errorf("%d clients were seen, want 60", seen)
	}
}

func TestContactsArePagedWithoutTheirClients(t *testing.T) {
	s := practice(t, sim.Config{})
	linked := map[string]bool{}
	for _, c := range s.ask(http.MethodGet, "client.api/list", "").Clients {
		for _, p := range c.Contacts {
			linked[p.UUID] = true
		}
	}
	seen := map[string]bool{}
	for _, page := range s.pages("client.api/contacts?pageSize=7") {
		for _, p := range page.People {
			if seen[p.UUID] || p.Primary != "" || p.Deleted != "No" {
				t.Errorf("contact %+v", p)
			}
			seen[p.UUID] = true
		}
	}
	if len(seen) == 0 || len(seen) != len(linked) {
		t.Errorf("%d contacts are listed, %d are linked", len(seen), len(linked))
	}
}

func TestAContactOfSeveralClients(t *testing.T) {
	s := practice(t, sim.Config{})
	one := s.ask(http.MethodPost, "client.api/add", "<Client><Name>One</Name></Client>").Client.UUID
	two := s.ask(http.MethodPost, "client.api/add", "<Client><Name>Two</Name></Client>").Client.UUID
	made := s.ask(http.MethodPost, "client.api/contact", "<Contact><Client><UUID>"+one+"</UUID></Client><Name>Pat</Name><Position>Director</Position><IsPrimary>Yes</IsPrimary></Contact>").Contact
	contactPath := "client.api/contact/" + made.UUID
	if only := s.ask(http.MethodGet, contactPath, "").Contact; only.Position != "Director" || only.Primary != "Yes" {
		t.Errorf("a contact of one client: %+v", only)
	}
	link := s.ask(http.MethodPost, "client.api/client/"+two+"/contacts", "<Client><Contacts><Contact><UUID>"+made.UUID+"</UUID><Position>Trustee</Position></Contact></Contacts></Client>")
	if link.Client.UUID != two || len(link.Client.Contacts) != 1 || link.Client.Contacts[0].Position != "Trustee" {
		t.Errorf("linking answers %+v", link.Client)
	}
	if both := s.ask(http.MethodGet, contactPath, "").Contact; both.Position != "" || both.Primary != "" || both.Name != "Pat" {
		t.Errorf("without clientUuid: %+v", both)
	}
	if of := s.ask(http.MethodGet, contactPath+"?clientUuid="+two, "").Contact; of.Position != "Trustee" || of.Primary != "No" {
		t.Errorf("for the second client: %+v", of)
	}
	s.ask(http.MethodPut, contactPath, "<Contact><Client><UUID>"+two+"</UUID></Client><Name>Patricia</Name><IsPrimary>Yes</IsPrimary></Contact>")
	if of := s.ask(http.MethodGet, contactPath+"?clientUuid="+one, "").Contact; of.Name != "Patricia" || of.Position != "Director" {
		t.Errorf("after an update for the second client the first has %+v", of)
	}
	if text := s.refused(http.MethodDelete, contactPath, ""); !strings.Contains(text, "more than one client") {
		t.Errorf("deleting without clientUuid: %s", text)
	}
	if gone := s.ask(http.MethodDelete, contactPath+"?clientUuid="+one, "").Contact; gone.Deleted != "No" {
		t.Errorf("taken from one client: %+v", gone)
	}
	if gone := s.ask(http.MethodDelete, contactPath, "").Contact; gone.Deleted != "Yes" {
		t.Errorf("taken from the last client: %+v", gone)
	}
	if text := s.refused(http.MethodGet, contactPath, ""); text != "Invalid contact identifier" {
		t.Errorf("reading it then: %s", text)
	}
	many := strings.Repeat("<Contact><UUID>"+made.UUID+"</UUID></Contact>", 11)
	s.refused(http.MethodPost, "client.api/client/"+two+"/contacts", "<Client><Contacts>"+many+"</Contacts></Client>")
}

func TestRelationships(t *testing.T) {
	s := practice(t, sim.Config{})
	one := s.ask(http.MethodPost, "client.api/add", "<Client><Name>One</Name></Client>").Client.UUID
	two := s.ask(http.MethodPost, "client.api/add", "<Client><Name>Two</Name></Client>").Client.UUID
	add := "<Relationship><ClientUUID>" + one + "</ClientUUID><RelatedClientUUID>" + two + "</RelatedClientUUID><Type>%s</Type><NumberOfShares>10</NumberOfShares></Relationship>"
	if text := s.refused(http.MethodPost, "client.api/addrelationship", fmt.Sprintf(add, "Rival")); text != "Invalid relationship type" {
		t.Errorf("an unknown type: %s", text)
	}
	s.ask(http.MethodPost, "client.api/addrelationship", fmt.Sprintf(add, "Shareholder"))
	has := s.ask(http.MethodGet, "client.api/get/"+one, "").Client.Relationships
	if len(has) != 1 || has[0].Type != "Shareholder" || has[0].Related.Name != "Two" {
		t.Fatalf("relationships are %+v", has)
	}
	id := "<Relationship><UUID>" + has[0].UUID + "</UUID>"
	_, body := s.call(http.MethodPut, "client.api/updaterelationship", id+"<NumberOfShares>20</NumberOfShares><StartDate>20110101</StartDate></Relationship>")
	if !strings.Contains(string(body), "<NumberOfShares>20</NumberOfShares><StartDate>2011-01-01</StartDate>") {
		t.Errorf("updated: %s", body)
	}
	s.ask(http.MethodPost, "client.api/deleterelationship", id+"</Relationship>")
	if has := s.ask(http.MethodGet, "client.api/get/"+one, "").Client.Relationships; len(has) != 0 {
		t.Errorf("after deletion there is %+v", has)
	}
}

func TestGroups(t *testing.T) {
	s := practice(t, sim.Config{})
	all := s.ask(http.MethodGet, "client.api/list", "").Clients
	active := slices.DeleteFunc(all, func(c client) bool { return c.Deleted == "Yes" })
	one, two := active[0].UUID, active[1].UUID
	made := s.ask(http.MethodPost, "clientgroup.api/add", "<Group><Name>Test Group</Name><Taxable>Yes</Taxable><ClientUUID>"+one+"</ClientUUID></Group>").Group
	if made.Name != "Test Group" || made.Taxable != "Yes" || len(made.Clients) != 1 {
		t.Errorf("made %+v", made)
	}
	changed := s.ask(http.MethodPut, "clientgroup.api/members", `<Group><UUID>`+made.UUID+`</UUID><add uuid="`+two+`"/><remove uuid="`+one+`"/></Group>`).Group
	if len(changed.Clients) != 1 || changed.Clients[0].UUID != two {
		t.Errorf("members are %+v", changed.Clients)
	}
	listed := func(g group) bool { return g.UUID == made.UUID }
	if !slices.ContainsFunc(s.ask(http.MethodGet, "clientgroup.api/list", "").Groups, listed) {
		t.Error("the group is not listed")
	}
	s.ask(http.MethodPost, "clientgroup.api/delete", "<Group><UUID>"+made.UUID+"</UUID></Group>")
	if slices.ContainsFunc(s.ask(http.MethodGet, "client.api/get/"+two, "").Client.Groups, listed) ||
		slices.ContainsFunc(s.ask(http.MethodGet, "clientgroup.api/list", "").Groups, listed) {
		t.Error("the deleted group is still there")
	}
}

func TestCustomFields(t *testing.T) {
	s := practice(t, sim.Config{})
	_, definitions := s.call(http.MethodGet, "customfield.api/definition", "")
	field := func(name string) string {
		found := regexp.MustCompile(`<UUID>([^<]*)</UUID><Name>` + name + `<`).FindSubmatch(definitions)
		if found == nil {
			t.Fatalf("no field %s in %s", name, definitions)
		}
		return string(found[1])
	}
	portal, reviewed := field("Portal"), field("Reviewed on")
	c := s.ask(http.MethodPost, "client.api/add", "<Client><Name>One</Name><Contacts><Contact><Name>Pat</Name></Contact></Contacts></Client>").Client
	set := "<CustomFields><CustomField><UUID>%s</UUID><%s>%s</%[2]s></CustomField></CustomFields>"
	s.ask(http.MethodPut, "client.api/update/"+c.UUID+"/customfield", fmt.Sprintf(set, portal, "Boolean", "true"))
	s.ask(http.MethodPut, "client.api/contact/"+c.Contacts[0].UUID+"/customfield", fmt.Sprintf(set, reviewed, "Date", "20260301"))
	_, body := s.call(http.MethodGet, "client.api/get/"+c.UUID+"/customfield", "")
	if !strings.Contains(string(body), "<Name>Portal</Name><Boolean>true</Boolean></CustomField></CustomFields>") {
		t.Errorf("values are %s", body)
	}
	if _, body := s.call(http.MethodGet, "client.api/contact/"+c.Contacts[0].UUID+"/customfield", ""); !strings.Contains(string(body), "<Date>20260301</Date>") {
		t.Errorf("values of the contact are %s", body)
	}
	s.refused(http.MethodPut, "client.api/update/"+c.UUID+"/customfield", fmt.Sprintf(set, portal, "Text", "true"))
	s.refused(http.MethodPut, "client.api/contact/"+c.Contacts[0].UUID+"/customfield", fmt.Sprintf(set, portal, "Boolean", "true"))
	s.ask(http.MethodPut, "client.api/update/"+c.UUID+"/customfield", fmt.Sprintf(set, portal, "Boolean", ""))
	if _, body := s.call(http.MethodGet, "client.api/get/"+c.UUID+"/customfield", ""); !strings.Contains(string(body), "<CustomFields />") {
		t.Errorf("after clearing: %s", body)
	}
}

func TestVersion30CarriesBothIdentifiers(t *testing.T) {
	s := practice(t, sim.Config{})
	res, body := send(t, s.request(http.MethodGet, "/practicemanager/3.0/client.api/list?detailed=true", ""))
	if res.StatusCode != http.StatusOK || !regexp.MustCompile(`<Client><ID>\d{8}</ID><Name>`).Match(body) || !regexp.MustCompile(`<UUID>[-0-9a-f]{36}</UUID></Client>`).Match(body) {
		t.Fatalf("%s: %.600s", res.Status, body)
	}
	found := regexp.MustCompile(`<Client><ID>(\d+)</ID>`).FindSubmatch(body)
	_, one := send(t, s.request(http.MethodGet, "/practicemanager/3.0/client.api/get/"+string(found[1]), ""))
	if !strings.Contains(string(one), "<ID>"+string(found[1])+"</ID>") {
		t.Errorf("by integer id: %s", one)
	}
}

func TestTextTravelsAsItIs(t *testing.T) {
	s := practice(t, sim.Config{Clients: 400})
	_, body := s.call(http.MethodGet, "client.api/list", "")
	for _, want := range []string{"\n         Level", "&amp; \"Co\" &lt;Simulated&gt;", "e\u0308", "<Contacts />", "<ExportCode></ExportCode>", "<ReferralSource></ReferralSource>"} {
		if want == "e\u0308" && !strings.ContainsAny(string(body), "\u0308\u0303\u0302\u030a\u0304") || want != "e\u0308" && !strings.Contains(string(body), want) {
			t.Errorf("nothing like %q in the list", want)
		}
	}
	made := s.ask(http.MethodPost, "client.api/add", "<Client><Name>a &lt;b&gt; &amp;amp; c</Name></Client>").Client
	if made.Name != "a <b> &amp; c" {
		t.Errorf("the name became %q", made.Name)
	}
	if _, err := s.w.Remote().Update(t.Context(), made.UUID, map[string]string{"Phone": "1\x012"}); err != nil {
		t.Fatal(err)
	}
	if got := s.ask(http.MethodGet, "client.api/get/"+made.UUID, "").Client; got.Phone != "12" {
		t.Errorf("a character XML has no form for: %q", got.Phone)
	}
}
