//go:build interop

package sim_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/nodetest"
	"github.com/concord-suite/concord/sim/remote"
	"github.com/concord-suite/concord/sim/world"
)

// decoded runs a script and reads the JSON it prints.
func decoded[T any](t *testing.T, env map[string]string, script string) (v T) {
	t.Helper()
	out := nodetest.Run(t, env, script)
	if err := json.Unmarshal(out, &v); err != nil {
		t.Fatalf("%s: %v: %s", script, err, out)
	}
	return v
}

// TestInteropSDK lets the provider's own library list, make, change and archive contacts.
func TestInteropSDK(t *testing.T) {
	w := start(t, sim.Config{Contacts: 120, Now: time.Now})
	b := open(t, w, "accounting.contacts accounting.settings.read", sim.OrganisationName)
	done := decoded[struct {
		Listed            int
		Pagination        struct{ Page, PageSize, PageCount, ItemCount int }
		Date              bool
		Created, Repeated string
		Refused           string
		Mixed             []bool
		Read              struct {
			Email, Account, Status string
			People                 int
		}
		Members, Groups, Since []string
		ListedAfter            bool
		ArchivedListed         bool
		Organisation           string
	}](t, map[string]string{"API": w.URL(), "TOKEN": b.token.Access, "TENANT": b.tenant}, "sdk.mjs")
	if done.Listed != 120 || done.Pagination.ItemCount != 120 || done.Pagination.PageSize != 1000 || !done.Date {
		t.Errorf("listed %+v", done)
	}
	if done.Created == "" || done.Created != done.Repeated || !strings.HasPrefix(done.Refused, "The contact name KEA BY SDK is already assigned") ||
		!slices.Equal(done.Mixed, []bool{true, false}) {
		t.Errorf("created %+v", done)
	}
	if done.Read.Email != "new@example.com" || done.Read.Account != "SDK-1" || done.Read.People != 1 || done.Read.Status != world.PartyActive {
		t.Errorf("read %+v", done.Read)
	}
	if !slices.Equal(done.Members, []string{"Kea by SDK"}) || slices.Contains(done.Groups, "By SDK") || len(done.Groups) != 4 {
		t.Errorf("members %v of groups %v", done.Members, done.Groups)
	}
	if done.ListedAfter || !done.ArchivedListed || !slices.Equal(done.Since, []string{"Kea by SDK", "Weka by SDK"}) || done.Organisation != sim.OrganisationName {
		t.Errorf("archived: %+v", done)
	}
	got, err := w.Remote().Books("").Contact(t.Context(), done.Created)
	if err != nil || got.Status != world.PartyArchived || got.Email != "new@example.com" || got.Phones[0].Number != "0491570006" || got.Addresses[0].City != "Sampleton" {
		t.Errorf("%+v %v", got, err)
	}
}

// TestInteropOpenID lets a certified client do the token part, as a confidential and as a public app.
func TestInteropOpenID(t *testing.T) {
	w := start(t, sim.Config{Now: time.Now})
	const scope = "openid profile email offline_access accounting.contacts"
	for client, secret := range map[string]string{sim.ClientID: sim.ClientSecret, sim.PublicClientID: ""} {
		done := decoded[struct {
			Scope, Email, Subject, CodeTwice, Revoked string
			Life, Rotated                             int
			Connections                               []string
		}](t, map[string]string{"BASE": w.URL(), "CLIENT_ID": client, "CLIENT_SECRET": secret, "PERSON": sim.Owner, "TENANT": sim.OrganisationName, "SCOPE": scope}, "openid.mjs")
		if done.Scope != scope || done.Email != sim.Owner || len(done.Subject) != 32 || done.Life < 1700 || done.Life > 1800 || done.Rotated != 4 ||
			!slices.Equal(done.Connections, []string{sim.OrganisationName}) || done.CodeTwice != "invalid_grant" || done.Revoked != "invalid_grant" {
			t.Errorf("%s: %+v", client, done)
		}
	}
}

// TestInteropPrismServes makes sure that the mock server the other modules test against starts here.
func TestInteropPrismServes(t *testing.T) {
	address := nodetest.Serve(t, nil, "prism.mjs", provider(t, "openapi", "xero", "xero_accounting.contacts-subset.json"))
	if u, err := url.Parse(address); err != nil || u.Hostname() != "127.0.0.1" || u.Port() == "" {
		t.Errorf("it serves at %q (%v)", address, err)
	}
}

// TestInteropWebhooksHaveThePublishedMembers compares a message with the provider's example of one.
func TestInteropWebhooksHaveThePublishedMembers(t *testing.T) {
	var published, told map[string]any
	if err := json.Unmarshal(load(t, "fixtures", "xero-webhooks", "contact-update.json"), &published); err != nil {
		t.Fatal(err)
	}
	bodies := make(chan []byte, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies <- body
	}))
	defer server.Close()
	w := start(t, sim.Config{})
	if _, err := w.Remote().Hook(t.Context(), remote.NewHook{App: sim.ClientID, URL: server.URL, Unchecked: true}); err != nil {
		t.Fatal(err)
	}
	open(t, w, accountingScopes, sim.OrganisationName).save(http.MethodPut, "Contacts", `{"Name":"Told"}`)
	if err := json.Unmarshal(receive(t, bodies), &told); err != nil {
		t.Fatal(err)
	}
	if got, want := shape(told), shape(published); got != want {
		t.Errorf("a message has %s, the published one %s", got, want)
	}
}

// shape names the members of a value and of the first entry of each list in it.
func shape(v any) string {
	switch v := v.(type) {
	case map[string]any:
		var parts []string
		for _, name := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, name+shape(v[name]))
		}
		return "{" + strings.Join(parts, " ") + "}"
	case []any:
		if len(v) > 0 {
			return "[" + shape(v[0]) + "]"
		}
	}
	return ""
}
