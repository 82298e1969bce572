//go:build interop

package accounting

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/idem"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	"github.com/concord-suite/concord/sim/nodetest"

	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/provider/budget"
	"github.com/concord-suite/concord/services/connector/internal/provider/transport"
	"github.com/concord-suite/concord/services/connector/internal/provider/upstream"
	"github.com/concord-suite/concord/services/connector/internal/record"
	"github.com/concord-suite/concord/services/connector/internal/store"
)

func data(t *testing.T, path ...string) string {
	t.Helper()
	root := os.Getenv("CONCORD_PROVIDER_DATA")
	if root == "" {
		t.Fatal("CONCORD_PROVIDER_DATA names the folder of provider data")
	}
	return filepath.Join(append([]string{root}, path...)...)
}

// plain is what the standard library makes of a document, to compare with.
type plain struct {
	Contacts []struct {
		ContactID, Name, AccountNumber, EmailAddress, ContactStatus string
		ContactPersons                                              []struct{ EmailAddress string }
	}
	ContactGroups []struct {
		ContactGroupID, Name string
		Contacts             []json.RawMessage
	}
	Organisations []struct{ Name string }
}

// TestInteropPublishedDocuments reads every example of the published description that an adapter may meet.
func TestInteropPublishedDocuments(t *testing.T) {
	files, err := filepath.Glob(data(t, "fixtures", "xero-accounting", "*.json"))
	require.NoError(t, err)
	contacts, groups, refusals, others := 0, 0, 0, 0
	for _, file := range files {
		body, err := os.ReadFile(file)
		require.NoError(t, err)
		t.Run(filepath.Base(file), func(t *testing.T) {
			var want plain
			require.NoError(t, json.Unmarshal(body, &want))
			switch name := filepath.Base(file); {
			case strings.Contains(name, ".400."):
				refusals++
				e := Adapter{}.Refusal(http.StatusBadRequest, body)
				require.NotNil(t, e)
				require.Equal(t, provider.ErrValues, e.Kind)
				require.NotEmpty(t, e.Values[0].Text)
				if strings.Contains(e.Text, "contact name") {
					require.Equal(t, "name", e.Values[0].Path)
				}
			case strings.Contains(name, ".request.") || strings.Contains(name, "ContactGroupContacts"): // ours to write, or of no call made
				others++
				require.NoError(t, readsAs(body, "Contacts", (*reader).skip, func() error { return readsAs(body, "ContactGroups", (*reader).skip, nil) }))
			case len(want.Contacts) > 0:
				contacts++
				all, e, err := read(provider.Answer{Body: bytes.NewReader(body)}, pageLimit)
				require.NoError(t, err)
				require.False(t, e.at.IsZero())
				require.Len(t, all, len(want.Contacts))
				for i, c := range all {
					r := c.record()
					require.Equal(t, strings.ToLower(want.Contacts[i].ContactID), r.ID)
					require.Equal(t, want.Contacts[i].Name, r.Client.Name)
					require.Equal(t, want.Contacts[i].AccountNumber, r.Client.Code)
					require.Equal(t, want.Contacts[i].EmailAddress, r.Client.Email)
					require.Equal(t, want.Contacts[i].ContactStatus == "ACTIVE", r.State == record.Active)
					require.LessOrEqual(t, len(c.contacts()), len(want.Contacts[i].ContactPersons))
				}
			case len(want.ContactGroups) > 0:
				groups++
				var names []string
				require.NoError(t, readsAs(body, "ContactGroups", func(r *reader) error {
					g, err := r.group()
					names = append(names, g.name)
					return err
				}, nil))
				require.Equal(t, want.ContactGroups[0].Name, names[0])
			default:
				others++
				require.NotEmpty(t, want.Organisations, "an example of another kind needs a test")
			}
		})
	}
	require.Equal(t, 21, contacts+groups+refusals+others)
	require.GreaterOrEqual(t, contacts, 6)
	require.Equal(t, 3, refusals)
}

// readsAs reads a document whose list has a name; or says what else it may be when it has no such list.
func readsAs(body []byte, list string, item func(*reader) error, or func() error) error {
	_, err := decode(provider.Answer{Body: bytes.NewReader(body)}, pageLimit, list, item)
	if err != nil && or != nil && strings.Contains(err.Error(), "holds no") {
		return or()
	}
	return err
}

// TestInteropRecordedRefusals reads the recorded answers of the provider's gateway, which stands before all of its APIs.
func TestInteropRecordedRefusals(t *testing.T) {
	for name, want := range map[string]struct {
		status int
		kind   error
	}{
		"connection__get__bad_tenant":       {403, provider.ErrForbidden},
		"connection__get__bad_token":        {401, provider.ErrToken},
		"staff__list__access_token_expired": {401, provider.ErrToken},
	} {
		body, err := os.ReadFile(data(t, "fixtures", "xpm-v3.0-recorded", name+".response.json"))
		require.NoError(t, err)
		for _, spelt := range [][]byte{body, bytes.ReplaceAll(bytes.ReplaceAll(body, []byte("Title"), []byte("title")), []byte("Detail"), []byte("detail"))} {
			resp := &http.Response{StatusCode: want.status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(spelt))}
			require.ErrorIs(t, transport.Problem(resp, time.Time{}, Adapter{}.Refusal), want.kind, name)
		}
	}
}

// exchanges remembers what was asked and how it was answered.
type exchanges struct {
	seen []string
	bad  []string
}

func (e *exchanges) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	line := r.Method + " " + r.URL.RequestURI()
	if e.seen = append(e.seen, line); resp.StatusCode/100 != 2 {
		body, _ := io.ReadAll(resp.Body)
		e.bad = append(e.bad, line+": "+resp.Status+" "+string(body))
		resp.Body = io.NopCloser(bytes.NewReader(body))
	}
	return resp, nil
}

// TestInteropDescribedAPI calls a server that knows the published description and nothing else: it answers with the
// examples and refuses requests that the description does not allow.
func TestInteropDescribedAPI(t *testing.T) {
	at, err := url.Parse(nodetest.Serve(t, nil, "prism.mjs", data(t, "openapi", "xero", "xero_accounting.yaml")) + "/")
	require.NoError(t, err)
	db := sqldbtest.Open(t, sqldbtest.URL(t, sqldb.SQLite), sqldb.Join(events.Schema, idem.Schema, store.Migrations))
	wire := &exchanges{}
	account := budget.New(db, budget.Config{Minute: time.Minute, Day: 24 * time.Hour, MaxWait: time.Minute}, time.Now)
	calls := upstream.New(db, &http.Client{Transport: wire}, account, nil, upstream.Config{Call: time.Minute, Heavy: time.Minute, Again: time.Millisecond},
		time.Now, slog.New(slog.DiscardHandler))
	adapter := Adapter{}
	caller := calls.With(provider.Definition{App: "app", BaseURL: at, Adapter: adapter, Limits: provider.Limits{Concurrent: 5, PerMinute: 60,
		PerDay: 5000, AppPerMinute: 10000}}, "c2cc9b6e-9458-4c7d-93cc-f02b81b0594f", "a-token")

	careless, err := http.Get(at.JoinPath("Contacts").String() + "?page=first")
	require.NoError(t, err)
	require.NoError(t, careless.Body.Close())
	require.GreaterOrEqual(t, careless.StatusCode, 400, "it does refuse what the description does not allow")

	require.NoError(t, adapter.Probe(t.Context(), caller))
	types, err := adapter.ContactTypes(t.Context(), caller)
	require.NoError(t, err)
	require.Contains(t, types, provider.ContactType{ID: "GROUP:d7a86b80-8dac-4d89-a334-9dcf5753676c", Name: "Suppliers"})
	for _, q := range []provider.Query{{Listing: provider.Clients}, {Listing: provider.Contacts},
		{Listing: provider.ChangedClients, Since: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)}} {
		page, err := adapter.List(caller, q).Next(t.Context())
		require.NoError(t, err)
		require.Empty(t, page.Next)
		if q.Listing != provider.Contacts {
			require.Len(t, page.Records, 2)
			require.Equal(t, "Katherine Warren", page.Records[0].Client.Name)
		}
	}
	const id = "8138a266-fb42-49b2-a104-014b7045753d" // that of the example
	one, _, err := adapter.Record(t.Context(), caller, id)
	require.NoError(t, err)
	require.Equal(t, "Acme Parts Co.", one.Client.Name)
	require.Equal(t, "1234567", one.Client.Code)

	// The example of an update's answer is another contact, which is noticed: what counts here is that the request was taken.
	doc, err := adapter.Open(t.Context(), caller, id)
	require.NoError(t, err)
	set := &record.Client{Name: "New", Code: "C1", Email: "a@example.com", Phone: "+61 2 5550 1234", Mobile: "0400 1", OtherPhone: "1", FirstName: "A",
		LastName: "B", TaxNumber: "1", CompanyNumber: "2", Postal: record.Address{Street: "a\nb", City: "c", Region: "d", PostalCode: "e", Country: "f"}}
	var paths []string
	for _, path := range []string{"name", "code", "email", "phone", "mobile", "other_phone", "first_name", "last_name", "tax_number", "company_number",
		"postal_address.street", "postal_address.city", "postal_address.region", "postal_address.postal_code", "postal_address.country", "physical_address.street"} {
		_, ok := adapter.Writable(path)
		require.True(t, ok, path)
		paths = append(paths, path)
	}
	_, _, err = doc.Update(t.Context(), caller, "key", set, paths)
	require.ErrorContains(t, err, "another contact")
	_, _, err = doc.Archive(t.Context(), caller, "key")
	require.ErrorContains(t, err, "another contact")

	require.Empty(t, wire.bad, "requests that the description does not allow")
	require.True(t, slices.ContainsFunc(wire.seen, func(line string) bool { return strings.HasPrefix(line, "POST /Contacts/") }))
	t.Logf("%d requests, none refused:\n%s", len(wire.seen), strings.Join(wire.seen, "\n"))
}
