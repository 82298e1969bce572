package sim_test

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/remote"
	"github.com/concord-suite/concord/sim/world"
)

// do calls the control API and fails the test on an error.
func do(t *testing.T, w *sim.World, path string, in, out any) {
	t.Helper()
	if err := w.Remote().Do(t.Context(), http.MethodPost, path, in, out); err != nil {
		t.Fatal(err)
	}
}

type object = map[string]any

func TestArchivingAndBringingBack(t *testing.T) {
	s := practice(t, sim.Config{Clients: 200})
	r := s.w.Remote()
	shared := true
	sel := remote.Selector{N: 10, Seed: 4, Where: remote.Filter{Shared: &shared}}
	gone, err := r.Archive(t.Context(), sel)
	if err != nil || len(gone) != 10 {
		t.Fatal(gone, err)
	}
	for _, c := range gone {
		contact, err := r.Contact(t.Context(), c.Contacts[0])
		if err != nil || !c.Archived {
			t.Errorf("%+v %v", c, err)
		}
		if len(contact.Clients) < 2 && len(c.Contacts) == 1 {
			t.Errorf("%s shares no contact", c.Name)
		}
	}
	if left := s.pages("client.api/paged-list?pageSize=500")[0].Clients; len(left) != 190 {
		t.Errorf("%d clients are left", len(left))
	}
	back, err := r.Unarchive(t.Context(), remote.UUIDs(gone[0].UUID))
	if err != nil || len(back) != 1 || back[0].Archived {
		t.Errorf("%+v %v", back, err)
	}
	if got := s.ask(http.MethodGet, "client.api/get/"+gone[0].UUID, "").Client; got.Archived != "No" || got.Name != gone[0].Name {
		t.Errorf("it came back as %+v", got)
	}
}

func TestSelectorsDrawTheSameEachTime(t *testing.T) {
	uuids := func(seed uint64, exclude ...string) []string {
		w := start(t, sim.Config{Clients: 100})
		list, err := w.Remote().Archive(t.Context(), remote.Selector{N: 5, Seed: seed, Exclude: exclude})
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, c := range list {
			ids = append(ids, c.UUID)
		}
		return ids
	}
	one := uuids(1)
	if !slices.Equal(one, uuids(1)) || slices.Equal(one, uuids(2)) || slices.Contains(uuids(1, one[0]), one[0]) {
		t.Error("the draw does not follow seed and exclusions")
	}
}

func TestSelectorMistakesAreToldInWords(t *testing.T) {
	w := start(t, sim.Config{})
	for want, sel := range map[string]remote.Selector{
		"either uuids or n":   {},
		"only 60 clients fit": {N: 61},
		"no client":           {UUIDs: []string{world.NewID()}},
		"no tenant":           {N: 1, Tenant: world.NewID()},
	} {
		if _, err := w.Remote().Archive(t.Context(), sel); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", sel, err, want)
		}
	}
	for want, in := range map[string]any{
		`unknown field \"uuid\"`: object{"uuid": "x"},
		"cannot be read":         []string{"x"},
	} {
		if err := w.Remote().Do(t.Context(), http.MethodPost, "/control/clients/archive", in, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v", in, err)
		}
	}
	res, _ := send(t, request(t, http.MethodPost, w.URL()+"/control/clients/archive", strings.NewReader(`{"n":1}`)))
	if res.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("without a content type: %s", res.Status)
	}
}

func TestRenamingUpdatingDeletingAdding(t *testing.T) {
	s := practice(t, sim.Config{})
	r := s.w.Remote()
	list, err := r.Clients(t.Context(), "", "", 5)
	if err != nil || len(list) != 5 {
		t.Fatal(list, err)
	}
	do(t, s.w, "/control/clients/rename", object{"uuid": list[0].UUID, "name": "Renamed"}, nil)
	if _, err := r.Update(t.Context(), list[0].UUID, map[string]string{"ExportCode": "", "BusinessNumber": "00000000001", "DateOfBirth": "1970-01-31"}); err != nil {
		t.Fatal(err)
	}
	if got := s.ask(http.MethodGet, "client.api/get/"+list[0].UUID, "").Client; got.Name != "Renamed" || got.Code != "" || got.Born != "1970-01-31" {
		t.Errorf("changed to %+v", got)
	}
	do(t, s.w, "/control/clients/delete", object{"uuids": []string{list[1].UUID}}, nil)
	do(t, s.w, "/control/clients/delete", object{"uuids": []string{list[2].UUID}, "purge": true}, nil)
	if got := s.ask(http.MethodGet, "client.api/get/"+list[1].UUID, "").Client; got.Deleted != "Yes" {
		t.Errorf("deleted: %+v", got)
	}
	if text := s.refused(http.MethodGet, "client.api/get/"+list[2].UUID, ""); text != "Invalid client identifier" {
		t.Errorf("purged: %s", text)
	}
	if all := s.ask(http.MethodGet, "client.api/list", "").Clients; len(all) != 63 {
		t.Errorf("%d clients are listed, want 64 less the purged one", len(all))
	}
	var made struct{ Clients []remote.Record }
	do(t, s.w, "/control/clients/add", object{"fields": object{"Name": "Made Here"}}, &made)
	var contact remote.Contact
	do(t, s.w, "/control/contacts/add", object{"fields": object{"Name": "Pat"}, "client": made.Clients[0].UUID}, &contact)
	do(t, s.w, "/control/contacts/update", object{"uuid": contact.UUID, "fields": object{"Email": "pat@example.com"}}, nil)
	do(t, s.w, "/control/contacts/link", object{"contact": contact.UUID, "client": list[0].UUID, "position": "Director", "primary": true}, &contact)
	if len(contact.Clients) != 2 || contact.Email != "pat@example.com" {
		t.Errorf("linked: %+v", contact)
	}
	do(t, s.w, "/control/contacts/unlink", object{"contact": contact.UUID, "client": made.Clients[0].UUID}, &contact)
	if !slices.Equal(contact.Clients, []string{list[0].UUID}) {
		t.Errorf("unlinked: %+v", contact)
	}
}

func TestControlMistakesAreToldInWords(t *testing.T) {
	w := start(t, sim.Config{})
	list, err := w.Remote().Clients(t.Context(), "", "", 1)
	if err != nil {
		t.Fatal(err)
	}
	one := []string{list[0].UUID}
	for _, try := range []struct {
		path string
		in   any
		want string
	}{
		{"clients/update", object{"uuids": one}, "fields is empty"},
		{"clients/update", object{"uuids": one, "fields": object{"Shoes": "7"}}, `no text field \"Shoes\"`},
		{"clients/update", object{"uuids": one, "fields": object{"Name": ""}}, "needs a name"},
		{"clients/update", object{"uuids": one, "fields": object{"DateOfBirth": "31.1.1970"}}, "yyyy-MM-dd"},
		{"clients/add", object{"fields": object{"Email": "x"}}, "needs a name"},
		{"clients/merge", object{"from": one[0], "into": one[0]}, "the same client"},
		{"contacts/add", object{"fields": object{"Email": "x"}}, "needs a name"},
		{"contacts/add", object{"fields": object{"Shoes": "x"}}, `no text field \"Shoes\"`},
		{"contacts/update", object{"uuid": "x", "fields": object{}}, "no contact x"},
		{"contacts/unlink", object{"contact": "x", "client": one[0]}, "no contact x"},
		{"people", object{"name": "N"}, "a name and an email"},
		{"people", object{"name": "N", "email": "n@example.com", "members": []object{{"tenant": "x"}}}, "no tenant x"},
		{"apps", object{"name": "N"}, "a client_id and a name"},
		{"practices", object{}, "give a name"},
		{"practices", object{"path": "/nowhere.csv"}, "no such file"},
		{"settings", object{"per_minute": 0}, "at least 1"},
		{"settings", object{"access_ttl": "-1s"}, "must not be negative"},
		{"settings", object{"access_ttl": "soon"}, "cannot be read"},
		{"clock", object{"advance": "-1s"}, "cannot go back"},
		{"deliveries", object{"channel": "pigeon"}, "sms or mail"},
		{"deliveries", object{"channel": "mail", "to": "*", "result": "undelivered"}, "one of reject"},
		{"deliveries", object{"channel": "sms", "result": "failed"}, "to is missing"},
		{"deliveries", object{"channel": "mail", "to": "*", "result": "reject", "code": 30003}, "400 to 599"},
	} {
		if err := w.Remote().Do(t.Context(), http.MethodPost, "/control/"+try.path, try.in, nil); err == nil || !strings.Contains(err.Error(), try.want) {
			t.Errorf("%s %v: %v, want %s", try.path, try.in, err, try.want)
		}
	}
	for path, want := range map[string]int{"/control/clients/x": 404, "/control/contacts/x": 404, "/control/clients?state=odd": 400,
		"/control/clients?limit=x": 400, "/inbox/messages/x": 404, "/": 200, "/healthz": 204, "/control/clients?state=archived": 200} {
		if res, body := send(t, request(t, http.MethodGet, w.URL()+path, nil)); res.StatusCode != want {
			t.Errorf("%s: %s %s", path, res.Status, body)
		}
	}
	for _, path := range []string{"/control/faults/x", "/control/deliveries/x"} {
		if err := w.Remote().Do(t.Context(), http.MethodDelete, path, nil, nil); err == nil || !strings.Contains(err.Error(), "no such id") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestMergingMovesWhatHangsOnAClient(t *testing.T) {
	s := practice(t, sim.Config{})
	add := func(name string) string {
		return s.ask(http.MethodPost, "client.api/add", "<Client><Name>"+name+"</Name><Contacts><Contact><Name>of "+name+"</Name><IsPrimary>Yes</IsPrimary></Contact></Contacts></Client>").Client.UUID
	}
	from, into, third := add("From"), add("Into"), add("Third")
	relate := func(a, b string) {
		s.ask(http.MethodPost, "client.api/addrelationship", "<Relationship><ClientUUID>"+a+"</ClientUUID><RelatedClientUUID>"+b+"</RelatedClientUUID><Type>Associate</Type></Relationship>")
	}
	relate(third, from)
	relate(from, into)
	s.ask(http.MethodPost, "clientgroup.api/add", "<Group><Name>G</Name><ClientUUID>"+from+"</ClientUUID></Group>")
	do(t, s.w, "/control/clients/merge", object{"from": from, "into": into}, nil)
	kept := s.ask(http.MethodGet, "client.api/get/"+into, "").Client
	if len(kept.Contacts) != 2 || len(kept.Groups) != 1 || len(kept.Relationships) != 0 || kept.Contacts[0].Primary != "No" {
		t.Errorf("what stays is %+v", kept)
	}
	if gone := s.ask(http.MethodGet, "client.api/get/"+from, "").Client; gone.Deleted != "Yes" || len(gone.Contacts) != 0 {
		t.Errorf("what goes is %+v", gone)
	}
	if other := s.ask(http.MethodGet, "client.api/get/"+third, "").Client; len(other.Relationships) != 1 || other.Relationships[0].Related.UUID != into {
		t.Errorf("who pointed at it now has %+v", other.Relationships)
	}
}

func TestPeopleAppsAndPracticesCanBeAdded(t *testing.T) {
	w := start(t, sim.Config{})
	var tenant world.Tenant
	do(t, w, "/control/practices", object{"name": "Third Practice", "clients": 7, "seed": 3}, &tenant)
	csv := filepath.Join(t.TempDir(), "village.csv")
	if err := os.WriteFile(csv, []byte("name\nOnly One\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	do(t, w, "/control/practices", object{"path": csv}, nil)
	if err := w.Remote().Do(t.Context(), http.MethodPost, "/control/practices", object{"path": csv}, nil); err == nil || !strings.Contains(err.Error(), "409") {
		t.Errorf("the same practice twice: %v", err)
	}
	do(t, w, "/control/people", object{"name": "New Fictional", "email": "new@example.com", "members": []object{{"tenant": tenant.ID, "full_access": true}}}, nil)
	do(t, w, "/control/apps", object{"client_id": sim.ClientID, "secret": sim.ClientSecret, "name": "Other Name", "redirect_uris": []string{callback}}, nil)
	s := connect(t, w, "new@example.com", "Third Practice")
	if got := s.ask(http.MethodGet, "client.api/paged-list", "").Clients; len(got) != 7 {
		t.Errorf("%d clients", len(got))
	}
	var person world.Person
	state, err := w.Remote().State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range state.People {
		if p.Email == "new@example.com" {
			person = *p
		}
	}
	person.Members[0].FullAccess = false
	do(t, w, "/control/people", person, nil)
	if _, body := s.call(http.MethodGet, "staff.api/list", ""); !strings.Contains(string(body), "AuthorizationUnsuccessful") {
		t.Errorf("without the privilege: %s", body)
	}
	person.Members = nil
	do(t, w, "/control/people", person, nil)
	if _, body := s.call(http.MethodGet, "staff.api/list", ""); !strings.Contains(string(body), "AuthenticationUnsuccessful") {
		t.Errorf("without the role: %s", body)
	}
}

func TestDisconnectingFromTheOtherSide(t *testing.T) {
	w := start(t, sim.Config{})
	one := connect(t, w, sim.Consultant, sim.PracticeName)
	two := connect(t, w, sim.Consultant, sim.SecondPracticeName)
	do(t, w, "/control/disconnect", object{"tenant": one.tenant}, nil)
	if res, _ := one.call(http.MethodGet, "staff.api/list", ""); res.StatusCode != http.StatusForbidden {
		t.Errorf("the first practice: %s", res.Status)
	}
	two.ask(http.MethodGet, "staff.api/list", "")
	if got, status := tokenCall(t, w, refresh(two.token.Refresh)); status != http.StatusOK {
		t.Errorf("one connection less ended the grant: %+v", got)
	}
	do(t, w, "/control/disconnect", object{"app": sim.ClientID}, nil)
	if got, _ := tokenCall(t, w, refresh(two.token.Refresh)); got.Error != "invalid_grant" {
		t.Errorf("the grant lived on: %+v", got)
	}
}

func TestTheStateShowsNoKey(t *testing.T) {
	w := start(t, sim.Config{})
	_, body := send(t, request(t, http.MethodGet, w.URL()+"/control/state", nil))
	if strings.Contains(string(body), "signing_key") || !strings.Contains(string(body), sim.SecondPracticeName) {
		t.Errorf("the state is %s", body)
	}
	before := w.Remote()
	advance(t, w, time.Hour)
	var now struct {
		Now time.Time `json:"now"`
	}
	if err := before.Do(t.Context(), http.MethodGet, "/control/state", nil, &now); err != nil || !now.Now.Equal(clock().Add(time.Hour)) {
		t.Errorf("the world's time is %s (%v)", now.Now, err)
	}
}
