package sim_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/faults"
	"github.com/concord-suite/concord/sim/world"
)

// save posts and expects the contacts back.
func (b books) save(method, path, body string, pairs ...string) []party {
	b.t.Helper()
	return b.want(http.StatusOK, method, path, body, pairs...).Contacts
}

func TestAContactIsMadeChangedAndArchived(t *testing.T) {
	b := organisation(t, sim.Config{Contacts: 20})
	made := b.save(http.MethodPut, "Contacts", `{"Contacts":[{"Name":"Kea Ltd","ContactNumber":"EXT-K","AccountNumber":"K1","EmailAddress":"kea@example.com",
		"ContactPersons":[{"FirstName":"Ablo","LastName":"Kea","EmailAddress":"ablo@example.com","IncludeInEmails":true}],
		"Addresses":[{"AddressType":"STREET","AddressLine1":"1 Sample Street","City":"Sampleton","Country":"Australia"}],
		"Phones":[{"PhoneType":"MOBILE","PhoneNumber":"0491570006"}],"IsCustomer":true,"Unheard":{"of":[1,2]}}]}`)[0]
	if made.Name != "Kea Ltd" || made.ContactStatus != "ACTIVE" || *made.IsCustomer || len(made.ContactPersons) != 1 || len(made.Addresses) != 2 ||
		made.Addresses[0].City != "Sampleton" || len(made.Phones) != 4 || made.Phones[3].PhoneNumber != "0491570006" || made.HasValidationErrors {
		t.Errorf("made %+v", made)
	}
	b.save(http.MethodPost, "Contacts/"+made.ContactID, `{"Contacts":[{"ContactID":"00000000-0000-0000-0000-000000000000","EmailAddress":"","AccountNumber":null,
		"Addresses":[{"AddressType":"street","City":"Mockbury"}]}]}`)
	b.save(http.MethodPost, "Contacts", `{"ContactNumber":"EXT-K","TaxNumber":12345}`)
	for _, id := range []string{made.ContactID, strings.ToUpper(made.ContactID), "EXT-K"} {
		got := b.save(http.MethodGet, "Contacts/"+id, "")[0]
		if got.ContactID != made.ContactID || got.EmailAddress != "" || got.AccountNumber != "K1" || got.TaxNumber != "12345" ||
			got.Addresses[0].City != "Mockbury" || got.Addresses[0].AddressLine1 != "1 Sample Street" || len(got.ContactPersons) != 1 {
			t.Errorf("%s: %+v", id, got)
		}
	}
	if gone := b.save(http.MethodPost, "Contacts/"+made.ContactID, `{"ContactID":"`+made.ContactID+`","ContactStatus":"ARCHIVED"}`); gone[0].ContactStatus != "ARCHIVED" {
		t.Errorf("archived: %+v", gone)
	}
	if len(b.list("IDs="+made.ContactID)) != 0 || len(b.list("includeArchived=true&IDs="+made.ContactID)) != 1 {
		t.Error("an archived contact is listed without being asked for")
	}
	again := b.save(http.MethodPut, "Contacts", `{"Name":"KEA LTD"}`)[0]
	if again.ContactID == made.ContactID {
		t.Error("the name of an archived contact is not free")
	}
}

func TestMistakesAreToldPerContact(t *testing.T) {
	b := organisation(t, sim.Config{Contacts: 20})
	taken := b.list("")[0]
	number := b.save(http.MethodPut, "Contacts", `{"Name":"Numbered","ContactNumber":"N-1"}`)[0]
	gone := b.save(http.MethodPost, "Contacts/"+number.ContactID, `{"ContactStatus":"ARCHIVED"}`)[0].ContactID
	before := len(b.list("includeArchived=true"))
	for want, contact := range map[string]string{
		"The contact name " + taken.Name + " is already assigned to another contact. The contact name must be unique across all active contacts.": fmt.Sprintf(`{"Name":%q}`, taken.Name),
		"The contact Name is required.":                             `{"Name":" ","FirstName":"Ablo"}`,
		"The length of Name must not exceed 255 characters.":        fmt.Sprintf(`{"Name":%q}`, strings.Repeat("ä", 256)),
		"The length of AccountNumber must not exceed 50 characters": fmt.Sprintf(`{"Name":"N","AccountNumber":%q}`, strings.Repeat("a", 51)),
		"EmailAddress: email address must be valid.":                `{"Name":"N","EmailAddress":"jürg@example.com"}`,
		"ContactPersons.EmailAddress":                               `{"Name":"N","ContactPersons":[{"EmailAddress":"nobody"}]}`,
		"5 people at most":                                          `{"Name":"N","ContactPersons":[{},{},{},{},{},{}]}`,
		"The length of City must":                                   fmt.Sprintf(`{"Name":"N","Addresses":[{"AddressType":"STREET","City":%q}]}`, strings.Repeat("c", 256)),
		"Country: only letters":                                     `{"Name":"N","Addresses":[{"AddressType":"STREET","Country":"A1"}]}`,
		"AddressType 'HOME' is not valid":                           `{"Name":"N","Addresses":[{"AddressType":"HOME"}]}`,
		"PhoneType '' is not valid":                                 `{"Name":"N","Phones":[{"PhoneNumber":"1"}]}`,
		"The length of PhoneAreaCode":                               `{"Name":"N","Phones":[{"PhoneType":"FAX","PhoneAreaCode":"12345678901"}]}`,
		"ContactStatus: 'SLEEPING' is not valid":                    `{"Name":"N","ContactStatus":"SLEEPING"}`,
		"cannot be made active":                                     `{"ContactID":"` + gone + `","ContactStatus":"ACTIVE"}`,
		"does not exist":                                            `{"ContactID":"` + world.NewID() + `","Name":"N"}`,
	} {
		e := b.want(http.StatusBadRequest, http.MethodPost, "Contacts", `{"Contacts":[{"Name":"Good One"},`+contact+`]}`)
		if e.ErrorNumber != 10 || e.Type != "ValidationException" || e.Message != "A validation exception occurred" || len(e.Elements) != 1 ||
			!e.Elements[0].HasValidationErrors || !strings.Contains(e.Elements[0].ValidationErrors[0].Message, want) {
			t.Errorf("%.80s: %+v, want %s", contact, e, want)
		}
	}
	if now := len(b.list("includeArchived=true")); now != before {
		t.Errorf("requests with a mistake left %d contacts behind", now-before)
	}
	if e := b.want(http.StatusBadRequest, http.MethodPut, "Contacts", `{"Name":"Other","ContactNumber":"N-1"}`); !strings.Contains(e.Elements[0].ValidationErrors[0].Message, "contact number N-1") {
		t.Errorf("a number twice: %+v", e)
	}
	mixed := b.save(http.MethodPut, "Contacts?summarizeErrors=false", `{"Contacts":[{"Name":"Good One"},{"Name":"good one"},{"Name":"Good Two"}]}`)
	if mixed[0].StatusAttributeString != "OK" || mixed[1].StatusAttributeString != "ERROR" || !mixed[1].HasValidationErrors || mixed[2].StatusAttributeString != "OK" {
		t.Errorf("each for itself: %+v", mixed)
	}
	if now := len(b.list("includeArchived=true")); now != before+2 {
		t.Errorf("two good contacts of three left %d", now-before)
	}
}

func TestARepeatedKeyRepeatsTheAnswer(t *testing.T) {
	dir := t.TempDir()
	w := start(t, sim.Config{Contacts: 20, Dir: dir})
	b := open(t, w, accountingScopes, sim.OrganisationName)
	key := []string{"Idempotency-Key", strings.Repeat("k", 128)}
	first := b.save(http.MethodPut, "Contacts", `{"Name":"Once"}`, key...)[0]
	inject(t, w, world.Fault{Kind: faults.ApplyThenDrop, Path: "*/Contacts", Method: "PUT", Count: 1})
	lost := b.request(http.MethodPut, accountingAPI+"Contacts", `{"Name":"Lost"}`)
	lost.Header.Set("Accept", "application/json")
	lost.Header.Set("Content-Type", "application/json")
	lost.Header.Set("Idempotency-Key", "lost")
	if _, _, err := attempt(lost); !errors.Is(err, io.EOF) {
		t.Errorf("the answer was to be lost: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w = start(t, sim.Config{Dir: dir})
	b.w = w
	if again := b.save(http.MethodPut, "Contacts", `{"Name":"Once"}`, key...)[0]; again.ContactID != first.ContactID {
		t.Errorf("the key was forgotten: %+v", again)
	}
	if got := b.save(http.MethodPut, "Contacts", `{"Name":"Lost"}`, "Idempotency-Key", "lost")[0]; got.Name != "Lost" {
		t.Errorf("%+v", got)
	}
	if e := b.want(http.StatusBadRequest, http.MethodPut, "Contacts", `{"Name":"Different"}`, key...); !strings.Contains(e.Message, "different request") {
		t.Errorf("%+v", e)
	}
	if e := b.want(http.StatusBadRequest, http.MethodPut, "Contacts", `{"Name":"Long"}`, "Idempotency-Key", strings.Repeat("k", 129)); !strings.Contains(e.Message, "128") {
		t.Errorf("%+v", e)
	}
	if err := w.Remote().Advance(t.Context(), 7*time.Minute); err != nil {
		t.Fatal(err)
	}
	b.want(http.StatusBadRequest, http.MethodPut, "Contacts", `{"Name":"Once"}`, key...) // forgotten, and the name is taken
}

func TestGroupsAndTheirMembers(t *testing.T) {
	b := organisation(t, sim.Config{Contacts: 40})
	groups := b.want(http.StatusOK, http.MethodGet, "ContactGroups", "").ContactGroups
	if len(groups) != 4 || len(groups[0].Contacts) != 0 || groups[0].Status != "ACTIVE" {
		t.Fatalf("%+v", groups)
	}
	full := b.want(http.StatusOK, http.MethodGet, "ContactGroups/"+groups[2].ContactGroupID, "").ContactGroups[0]
	named := 0
	for _, c := range b.list("pageSize=1000") {
		if slices.ContainsFunc(c.ContactGroups, func(g struct{ ContactGroupID, Name, Status string }) bool { return g.Name == full.Name }) {
			named++
		}
	}
	if len(full.Contacts) == 0 || len(full.Contacts) != named || full.Contacts[0].Name == "" {
		t.Errorf("%s has %d members, %d contacts name it", full.Name, len(full.Contacts), named)
	}
	made := b.want(http.StatusOK, http.MethodPut, "ContactGroups", `{"ContactGroups":[{"Name":"VIPs"}]}`).ContactGroups[0]
	path := "ContactGroups/" + made.ContactGroupID
	one, two := full.Contacts[0].ContactID, full.Contacts[1].ContactID
	added := b.save(http.MethodPut, path+"/Contacts", `{"Contacts":[{"ContactID":"`+one+`"},{"ContactID":"`+two+`"}]}`)
	if len(added) != 2 || added[0].ContactID != one {
		t.Errorf("added %+v", added)
	}
	e := b.want(http.StatusBadRequest, http.MethodPut, path+"/Contacts", `{"Contacts":[{"ContactID":"`+world.NewID()+`"}]}`)
	if e.Type != "ValidationException" || len(e.Elements) != 1 {
		t.Errorf("a stranger: %+v", e)
	}
	b.want(http.StatusNoContent, http.MethodDelete, path+"/Contacts/"+one, "")
	if res, _ := b.ask(http.MethodDelete, path+"/Contacts/"+one, ""); res.StatusCode != http.StatusNotFound {
		t.Errorf("removed twice: %s", res.Status)
	}
	if left := b.want(http.StatusOK, http.MethodGet, path, "").ContactGroups[0].Contacts; len(left) != 1 || left[0].ContactID != two {
		t.Errorf("left: %+v", left)
	}
	b.want(http.StatusNoContent, http.MethodDelete, path+"/Contacts", "")
	if got := b.want(http.StatusOK, http.MethodPost, path, `{"Name":"Very Important"}`).ContactGroups[0]; got.Name != "Very Important" {
		t.Errorf("renamed %+v", got)
	}
	for body, want := range map[string]string{`{"Name":"newsletter"}`: "already in use", `{"Name":""}`: "required", `{"Status":"ASLEEP"}`: "not valid"} {
		if _, raw := b.ask(http.MethodPost, path, body); !strings.Contains(string(raw), want) {
			t.Errorf("%s: %s", body, raw)
		}
	}
	b.want(http.StatusOK, http.MethodPost, path, `{"ContactGroups":[{"Status":"DELETED"}]}`)
	if res, _ := b.ask(http.MethodGet, path, ""); res.StatusCode != http.StatusNotFound {
		t.Errorf("a deleted group: %s", res.Status)
	}
	for i := range 96 {
		b.want(http.StatusOK, http.MethodPut, "ContactGroups", fmt.Sprintf(`{"Name":"Group %d"}`, i))
		do(t, b.w, "/control/clock", object{"advance": "2s"}, nil)
	}
	if _, raw := b.ask(http.MethodPut, "ContactGroups", `{"Name":"One more"}`); !strings.Contains(string(raw), "limit of 100 contact groups") {
		t.Errorf("a hundred and first group: %s", raw)
	}
}

func TestOtherOrganisationsAreUnknown(t *testing.T) {
	w := start(t, sim.Config{})
	b := open(t, w, accountingScopes, sim.OrganisationName)
	other := open(t, w, accountingScopes, sim.SecondOrganisation)
	theirs := other.list("page=1")[0].ContactID
	group := other.want(http.StatusOK, http.MethodGet, "ContactGroups", "").ContactGroups[0].ContactGroupID
	for path, method := range map[string]string{
		"Contacts/" + theirs: http.MethodGet, "Contacts/Nobody": http.MethodGet, "ContactGroups/" + group: http.MethodGet,
		"ContactGroups/" + group + "/Contacts": http.MethodDelete, "Invoices": http.MethodGet, "Contacts/" + world.NewID(): http.MethodGet,
	} {
		res, raw := b.ask(method, path, "")
		if res.StatusCode != http.StatusNotFound || string(raw) != "The resource you're looking for cannot be found" {
			t.Errorf("%s %s: %s %s", method, path, res.Status, raw)
		}
	}
	if res, _ := b.ask(http.MethodPost, "Contacts/"+theirs, `{"Name":"Taken over"}`); res.StatusCode != http.StatusNotFound {
		t.Errorf("changing a contact of another organisation: %s", res.Status)
	}
}

func TestBadRequestsAreTold(t *testing.T) {
	b := organisation(t, sim.Config{Contacts: 20})
	before := b.want(http.StatusOK, http.MethodGet, "Contacts?pageSize=1000&includeArchived=true", "")
	for body, want := range map[string]string{
		`{"Contacts":[{"Name":`:                      "PostDataInvalidException",
		`[{"Name":"N"}]`:                             "PostDataInvalidException",
		`{"Contacts":[{"Name":{"a":1}}]}`:            "PostDataInvalidException",
		`{"Contacts":"all"}`:                         "PostDataInvalidException",
		`{"Contacts":[{"Name":"N"}]} x`:              "PostDataInvalidException",
		strings.Repeat("[", 1_000_000):               "PostDataInvalidException",
		`{"Name":"N","Addresses":{"City":"C"}}`:      "PostDataInvalidException",
		"\xff\xfe{\"Name\":1}":                       "PostDataInvalidException",
		`<Contacts><Contact/></Contacts>`:            "PostDataInvalidException",
		"":                                           "NoDataProcessedException",
		" ":                                          "NoDataProcessedException",
		`{}`:                                         "NoDataProcessedException",
		`{"Contacts":[]}`:                            "NoDataProcessedException",
		`null`:                                       "NoDataProcessedException",
		`{"FirstName":"Alone"}`:                      "NoDataProcessedException",
		`{"Contacts":[null]}`:                        "ValidationException",
		`{"Contacts":[{"IsCustomer":"x"}]}`:          "ValidationException",
		`{"ContactGroups":[{"Name":"N"}]}`:           "NoDataProcessedException",
		`{"Contacts":[{"ContactPersons":[{}]}]}`:     "ValidationException",
		`{"Contacts":[{"Name":"\u0000"}, {}]}`:       "ValidationException",
		`{"Contacts":[{"Name":"N","Name":"  \t "}]}`: "ValidationException",
	} {
		e := b.want(http.StatusBadRequest, http.MethodPost, "Contacts", body, "Content-Type", "application/json")
		if e.Type != want {
			t.Errorf("%.50q: %s %s, want %s", body, e.Type, e.Message, want)
		}
	}
	for _, try := range []struct {
		status int
		pairs  []string
	}{
		{http.StatusNotAcceptable, []string{"Accept", "*/*"}},
		{http.StatusNotAcceptable, []string{"Accept", "text/xml"}},
		{http.StatusUnsupportedMediaType, []string{"Content-Type", "text/xml"}},
		{http.StatusUnsupportedMediaType, []string{"Content-Type", ""}},
	} {
		if res, raw := b.ask(http.MethodPost, "Contacts", `{"Name":"N"}`, try.pairs...); res.StatusCode != try.status {
			t.Errorf("%v: %s %s", try.pairs, res.Status, raw)
		}
	}
	huge := `{"Name":"Huge","FirstName":"` + strings.Repeat("x", 10<<20) + `"}`
	if res, raw := b.ask(http.MethodPost, "Contacts", huge); res.StatusCode != http.StatusRequestEntityTooLarge || !bytes.Contains(raw, []byte("3.5 MB")) {
		t.Errorf("10 MB: %s %.100s", res.Status, raw)
	}
	after := b.want(http.StatusOK, http.MethodGet, "Contacts?pageSize=1000&includeArchived=true", "")
	if len(after.Contacts) != len(before.Contacts) {
		t.Errorf("bad requests made %d contacts", len(after.Contacts)-len(before.Contacts))
	}
}

// TestDamagedRequestsNeverBreakTheService sends a good request with random damage, and expects an answer
// in the provider's form each time.
func TestDamagedRequestsNeverBreakTheService(t *testing.T) {
	b := organisation(t, sim.Config{Contacts: 20})
	do(t, b.w, "/control/settings", object{"per_minute": 100000, "per_day": 100000}, nil)
	good := []byte(`{"Contacts":[{"ContactID":"00000000-0000-0000-0000-000000000000","Name":"Kea","EmailAddress":"a@example.com","ContactPersons":[{"FirstName":"A"}],` +
		`"Addresses":[{"AddressType":"STREET","City":"C"}],"Phones":[{"PhoneType":"FAX","PhoneNumber":"1"}]},{"Name":"Weka","ContactStatus":"ACTIVE"}]}`)
	r := rand.New(rand.NewPCG(1, 2))
	alphabet := []byte("{}[]\",:0\\\x00\xff nulltrue")
	for range 400 {
		body := slices.Clone(good)
		for range 1 + r.IntN(4) {
			at := r.IntN(len(body))
			switch r.IntN(3) {
			case 0:
				body[at] = alphabet[r.IntN(len(alphabet))]
			case 1:
				body = slices.Delete(body, at, min(at+1+r.IntN(20), len(body)))
			default:
				body = slices.Insert(body, at, alphabet[r.IntN(len(alphabet))])
			}
			if len(body) == 0 {
				break
			}
		}
		res, raw := b.ask([]string{http.MethodPut, http.MethodPost}[r.IntN(2)], "Contacts?summarizeErrors="+[]string{"true", "false"}[r.IntN(2)], string(body), "Content-Type", "application/json")
		var e envelope
		if err := json.Unmarshal(raw, &e); err != nil || res.StatusCode != http.StatusOK && res.StatusCode != http.StatusBadRequest ||
			res.StatusCode == http.StatusBadRequest && e.ErrorNumber == 0 {
			t.Fatalf("%q: %s %v %s", body, res.Status, err, raw)
		}
	}
}

// TestDamagedFiltersAreRefusedOrUnderstood does the same to a filter.
func TestDamagedFiltersAreRefusedOrUnderstood(t *testing.T) {
	b := organisation(t, sim.Config{Contacts: 20})
	do(t, b.w, "/control/settings", object{"per_minute": 100000, "per_day": 100000}, nil)
	good := []byte(`(IsCustomer==true AND Name.ToLower().Contains("a")) || UpdatedDateUTC>=DateTime(2020,1,31) && ContactID!=Guid("x") OR EmailAddress==null`)
	r := rand.New(rand.NewPCG(3, 4))
	for range 400 {
		filter := slices.Clone(good)
		for range 1 + r.IntN(5) {
			at := r.IntN(len(filter) - 20)
			if r.IntN(2) == 0 {
				filter[at] = `()".,=&|\x`[r.IntN(10)]
			} else {
				filter = slices.Delete(filter, at, at+1+r.IntN(4))
			}
		}
		res, raw := b.ask(http.MethodGet, "Contacts?page=1&"+where(string(filter)), "")
		if res.StatusCode != http.StatusOK && (res.StatusCode != http.StatusBadRequest || !bytes.Contains(raw, []byte("QueryParseException"))) {
			t.Fatalf("%s: %s %s", filter, res.Status, raw)
		}
	}
}
