package accounting

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/provider/transport"
	"github.com/concord-suite/concord/services/connector/internal/record"
)

const (
	anID      = "bd2270c3-8706-4c11-9cfb-000b551c3f51"
	anotherID = "00000000-0000-4000-8000-000000000001"
	aGroup    = "b05466c8-dc54-4ff8-8f17-9d7008a2e44b"
)

// full is a contact with everything that is read of one, and some that is not.
const full = `{"ContactID":"BD2270C3-8706-4C11-9CFB-000B551C3F51","ContactNumber":"N1","AccountNumber":"ACME","ContactStatus":"ACTIVE",
 "Name":" Acme\tLtd ","FirstName":"Ann","LastName":"Ng","EmailAddress":"Ann@Example.com","CompanyNumber":"123","TaxNumber":"53004085616",
 "Website":"https://acme.example","IsCustomer":true,"IsSupplier":false,"BankAccountDetails":null,
 "Balances":{"AccountsReceivable":{"Outstanding":760.00,"Overdue":9.2e2}},
 "ContactGroups":[{"ContactGroupID":"B05466C8-DC54-4FF8-8F17-9D7008A2E44B","Name":"VIP","Status":"ACTIVE","Contacts":[],"HasValidationErrors":false}],
 "ContactPersons":[{"FirstName":"Bo","LastName":"Li","EmailAddress":"bo@example.com","IncludeInEmails":true},
  {"FirstName":"Bo","LastName":"Li","EmailAddress":"BO@example.com"},{"FirstName":"Cy","LastName":"","EmailAddress":null},{"FirstName":""}],
 "Addresses":[{"AddressType":"STREET","AddressLine1":"1 High St","AddressLine3":"Floor 2","City":"Perth","Region":"WA","PostalCode":"6000","Country":"Australia"},
  {"AddressType":"POBOX","City":"","Region":""},{"AddressType":"STREET","City":"Nowhere"}],
 "Phones":[{"PhoneType":"DEFAULT","PhoneNumber":"408-0914","PhoneAreaCode":"604","PhoneCountryCode":"1"},
  {"PhoneType":"DDI","PhoneNumber":"","PhoneAreaCode":"3","PhoneCountryCode":"61"},{"PhoneType":"MOBILE","PhoneNumber":"0400 111 222"},
  {"PhoneType":"FAX","PhoneNumber":"99"}],
 "UpdatedDateUTC":"/Date(1503348544227+0000)/","HasAttachments":false}`

func doc(contacts ...string) string {
	return `{"Id":"04e93d48-e72f-4775-b7dd-15a041fab972","Status":"OK","DateTimeUTC":"/Date(1551399323399)/","Contacts":[` +
		strings.Join(contacts, ",") + `]}`
}

func answer(body string) provider.Answer {
	return provider.Answer{Body: strings.NewReader(body), ContentType: "application/json; charset=utf-8"}
}

func read(a provider.Answer, limit int64) (all []contact, e envelope, err error) {
	e, err = decode(a, limit, "Contacts", func(r *reader) error {
		one, err := r.contact()
		all = append(all, one)
		return err
	})
	return all, e, err
}

func TestAContactIsAClient(t *testing.T) {
	all, e, err := read(answer("\ufeff"+doc(full)), pageLimit)
	require.NoError(t, err)
	require.Equal(t, time.Date(2019, 3, 1, 0, 15, 23, 399e6, time.UTC), e.at)
	require.Len(t, all, 1)
	require.Equal(t, record.Record{ID: anID, State: record.Active, Types: []string{"CUSTOMERS", "GROUP:" + aGroup}, Client: &record.Client{
		Name: "Acme Ltd", Code: "ACME", FirstName: "Ann", LastName: "Ng", Email: "Ann@Example.com", Phone: "+1 604 408-0914",
		Mobile: "0400 111 222", Website: "https://acme.example", TaxNumber: "53004085616", CompanyNumber: "123",
		Physical: record.Address{Street: "1 High St\nFloor 2", City: "Perth", Region: "WA", PostalCode: "6000", Country: "Australia"},
		Groups:   []string{"VIP"}, GroupsRead: true, CustomFieldsRead: true, RelationshipsRead: true,
	}}, all[0].record())
}

func TestThePeopleOfAContactAreContacts(t *testing.T) {
	all, _, err := read(answer(doc(full)), pageLimit)
	require.NoError(t, err)
	people := all[0].contacts()
	require.Len(t, people, 2, "who stands there twice is one, and nobody is none")
	require.Equal(t, &record.Contact{Name: "Bo Li", Email: "bo@example.com", Links: []record.Link{{Client: anID}}}, people[0].Contact)
	require.Equal(t, "Cy", people[1].Contact.Name)
	require.Equal(t, all[0].types(), people[0].Types, "of the types of its client")
	for _, p := range people {
		require.Regexp(t, "^"+anID+"/[0-9a-f]{32}$", p.ID)
	}
	renamed := contact{id: anID, people: []person{{"Bob", "Li", "bo@example.com"}, {"Bo", "Li", ""}}}.contacts()
	require.Equal(t, people[0].ID, renamed[0].ID, "the e-mail address tells people apart")
	require.NotEqual(t, people[0].ID, renamed[1].ID)
	elsewhere := contact{id: anotherID, people: []person{{"Bo", "Li", "bo@example.com"}}}.contacts()
	require.NotEqual(t, people[0].ID, elsewhere[0].ID)
}

func TestStates(t *testing.T) {
	for _, c := range []struct {
		status, merged string
		want           record.State
	}{
		{"ACTIVE", "", record.Active}, {"ARCHIVED", "", record.Archived}, {"GDPRREQUEST", "", record.Archived},
		{"ARCHIVED", anotherID, record.Archived}, {"ACTIVE", anotherID, record.Archived},
	} {
		merged := ""
		if c.merged != "" {
			merged = `,"MergedToContactID":"` + c.merged + `"`
		}
		all, _, err := read(answer(doc(`{"ContactID":"`+anID+`","ContactStatus":"`+c.status+`"`+merged+`}`)), pageLimit)
		require.NoError(t, err)
		require.Equal(t, c.want, all[0].record().State, c)
		require.Equal(t, c.merged, all[0].record().MergedInto)
		require.False(t, all[0].record().Client.GroupsRead, "this answer carries none")
	}
}

func TestTimes(t *testing.T) {
	want := time.Date(2017, 8, 21, 20, 49, 4, 227e6, time.UTC)
	for _, text := range []string{"/Date(1503348544227)/", "/Date(1503348544227+0000)/", "/Date(1503348544227+1300)/", "/Date(1503348544227-0500)/"} {
		got, err := date(text)
		require.NoError(t, err)
		require.Equal(t, want, got, text)
	}
	got, err := date("/Date(-1000+0000)/")
	require.NoError(t, err)
	require.Equal(t, time.Date(1969, 12, 31, 23, 59, 59, 0, time.UTC), got)
	for _, text := range []string{"2017-08-21T20:49:04", "/Date()/", "/Date(1e9)/", "/Date(15033485442270000)/", "Date(1)", "/Date(1)/x"} {
		_, err := date(text)
		require.ErrorIs(t, err, provider.ErrInvalid, text)
	}
	early := time.Date(2019, 3, 1, 0, 15, 23, 0, time.UTC)
	_, e, err := read(provider.Answer{Body: strings.NewReader(doc()), ServerTime: early}, pageLimit)
	require.NoError(t, err)
	require.Equal(t, early, e.at, "the earlier of the two clocks: nothing is missed")
}

func TestNothingIsTakenFromADocumentThatIsNotWhole(t *testing.T) {
	whole := doc(full)
	for n := range len(whole) {
		_, _, err := read(answer(whole[:n]), pageLimit)
		require.ErrorIs(t, err, provider.ErrInvalid, "after %d bytes", n)
	}
	broken := io.MultiReader(strings.NewReader(whole[:700]), iotest.ErrReader(errors.New("reset")))
	_, _, err := read(provider.Answer{Body: broken}, pageLimit)
	require.ErrorIs(t, err, provider.ErrUnavailable, "what broke off is asked for again")
}

func TestBadDocuments(t *testing.T) {
	deep := strings.Repeat("[", 40) + strings.Repeat("]", 40)
	nested := strings.Repeat(`{"a":`, 100_000)
	keys := &strings.Builder{}
	for i := range maxKeys + 1 {
		fmt.Fprintf(keys, `"k%d":0,`, i)
	}
	for name, c := range map[string]struct{ body, cause string }{
		"a key twice":           {doc(strings.Replace(full, `"Name":`, `"Name":"A","Name":`, 1)), "twice"},
		"the list twice":        {`{"Contacts":[],"Contacts":[]}`, "twice"},
		"an unknown key twice":  {`{"Contacts":[],"x":1,"x":2}`, "twice"},
		"too deep":              {`{"x":` + deep + `,"Contacts":[]}`, "deep"},
		"deep without an end":   {nested, "deep"},
		"too many keys":         {`{` + keys.String() + `"Contacts":[]}`, "keys"},
		"a value too long":      {doc(strings.Replace(full, "Ann@", strings.Repeat("x", maxValue), 1)), "longer"},
		"a tail":                {doc(full) + `{}`, "follows"},
		"no list":               {`{"Status":"OK"}`, "no Contacts"},
		"another list":          {`{"Status":"OK","ContactGroups":[]}`, "no Contacts"},
		"an error":              {`{"Status":"ERROR","Contacts":[]}`, "succeeded"},
		"a list":                {`[]`, "another kind"},
		"a name that is none":   {doc(`{"ContactID":"` + anID + `","ContactStatus":"ACTIVE","Name":{"x":1}}`), "another kind"},
		"a flag that is none":   {doc(`{"ContactID":"` + anID + `","ContactStatus":"ACTIVE","IsCustomer":"yes"}`), "another kind"},
		"no id":                 {doc(`{"ContactStatus":"ACTIVE"}`), "identifier"},
		"an id that is none":    {doc(`{"ContactID":"{` + anID + `}","ContactStatus":"ACTIVE"}`), "identifier"},
		"no state":              {doc(`{"ContactID":"` + anID + `"}`), "state"},
		"a state of the future": {doc(`{"ContactID":"` + anID + `","ContactStatus":"FROZEN"}`), "state"},
		"a time that is none":   {`{"DateTimeUTC":"yesterday","Contacts":[]}`, "time"},
		"negative paging":       {`{"pagination":{"page":-1},"Contacts":[]}`, "another kind"},
		"not UTF-8":             {doc(strings.Replace(full, "Ann\"", "Ann\xe9\"", 1)), "not in UTF-8"},
		"UTF-16":                {"\xff\xfe{\x00}\x00", "not in UTF-8"},
		"XML":                   {`<Response><Status>OK</Status></Response>`, "JSON"},
		"a page for people":     {`<!doctype html><html></html>`, "JSON"},
		"a trailing comma":      {`{"Contacts":[` + full + `,]}`, "JSON"},
		"nothing":               {``, "ends in the middle"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := read(answer(c.body), pageLimit)
			require.ErrorIs(t, err, provider.ErrInvalid)
			require.ErrorContains(t, err, c.cause)
			require.NotContains(t, provider.Text(err), "Ann", "nothing of the document is repeated")
		})
	}
	_, _, err := read(provider.Answer{Body: strings.NewReader(doc(full)), ContentType: "application/json; charset=utf-16"}, pageLimit)
	require.ErrorContains(t, err, "utf-16")
}

// endless is a document that goes on, and counts what is read of it.
type endless struct {
	head, body string
	read, at   int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.head)
	e.head = e.head[n:]
	for n < len(p) {
		step := copy(p[n:], e.body[e.at:])
		n, e.at = n+step, (e.at+step)%len(e.body)
	}
	e.read += n
	return n, nil
}

func TestEndlessDocuments(t *testing.T) {
	for name, e := range map[string]*endless{
		"items": {head: `{"Contacts":[`, body: full + ","},
		"text":  {head: `{"Contacts":[{"Name":"`, body: "x"},
		"space": {head: `{"Contacts":[`, body: " "},
		"digit": {head: `{"Contacts":[`, body: "1"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := read(provider.Answer{Body: e}, 4<<20)
			require.ErrorIs(t, err, provider.ErrInvalid)
			require.ErrorContains(t, err, "larger")
			require.LessOrEqual(t, e.read, 4<<20+transport.Slack)
			if name != "items" {
				require.LessOrEqual(t, e.read, maxToken+2*transport.Slack, "one token is not waited for that long")
			}
		})
	}
}

func TestFiftyMegabytesAreNoPage(t *testing.T) {
	body := io.MultiReader(strings.NewReader(`{"Contacts":[`), io.LimitReader(&endless{body: full + ","}, 50<<20/int64(len(full)+1)*int64(len(full)+1)), strings.NewReader(full+"]}"))
	_, _, err := read(provider.Answer{Body: body}, pageLimit)
	require.ErrorIs(t, err, provider.ErrInvalid)
	require.ErrorContains(t, err, "larger")
}

// desk answers calls with what a test says.
type desk struct {
	calls   []provider.Request
	answers func(r provider.Request) (string, error)
}

func (d *desk) Call(_ context.Context, r provider.Request, read func(provider.Answer) error) error {
	d.calls = append(d.calls, r)
	body, err := d.answers(r)
	if err != nil {
		return err
	}
	if body == "304" {
		return read(provider.Answer{Body: bytes.NewReader(nil), NotModified: true, ServerTime: time.Unix(9, 0)})
	}
	return read(answer(body))
}
