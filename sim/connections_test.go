package sim_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/world"
)

// connections lists what a token's person connected.
func connections(t *testing.T, w *sim.World, token, query string) []map[string]string {
	t.Helper()
	req := request(t, http.MethodGet, w.URL()+"/connections"+query, nil)
	req.Header.Set("Authorization", "Bearer "+token)
	res, body := send(t, req)
	var list []map[string]string
	if err := json.Unmarshal(body, &list); err != nil {
		t.Fatalf("%s: %s", res.Status, body)
	}
	return list
}

func TestConnectionsBelongToThePersonAndTellTheEvent(t *testing.T) {
	w := start(t, sim.Config{})
	one := connect(t, w, sim.Consultant, sim.PracticeName)
	firstEvent := claims(t, w, one.token.Access)["authentication_event_id"].(string)
	before := connections(t, w, one.token.Access, "")
	advance(t, w, time.Minute)
	two := connect(t, w, sim.Consultant, sim.SecondPracticeName)
	secondEvent := claims(t, w, two.token.Access)["authentication_event_id"].(string)

	all := connections(t, w, one.token.Access, "")
	if len(all) != 2 || all[0]["tenantName"] != sim.PracticeName || all[0]["tenantType"] != world.TypePractice {
		t.Fatalf("connections are %v", all)
	}
	only := connections(t, w, one.token.Access, "?authEventId="+strings.ToUpper(secondEvent))
	if len(only) != 1 || only[0]["tenantName"] != sim.SecondPracticeName || only[0]["authEventId"] != secondEvent {
		t.Errorf("of the second event: %v", only)
	}
	if got := before[0]["createdDateUtc"]; got != "2026-03-02T09:30:00.0000000" {
		t.Errorf("createdDateUtc is %s", got)
	}
	connect(t, w, sim.Consultant, sim.PracticeName) // once more
	again := connections(t, w, one.token.Access, "")
	if len(again) != 2 || again[0]["id"] != before[0]["id"] || again[0]["authEventId"] == firstEvent ||
		again[0]["createdDateUtc"] != before[0]["createdDateUtc"] || again[0]["updatedDateUtc"] == before[0]["updatedDateUtc"] {
		t.Errorf("connecting again made %v of %v", again, before)
	}
	if others := connections(t, w, connect(t, w, sim.Owner, sim.PracticeName).token.Access, ""); len(others) != 1 {
		t.Errorf("another person sees %v", others)
	}
}

func TestDisconnectingTakesOneTenantAway(t *testing.T) {
	w := start(t, sim.Config{})
	one := connect(t, w, sim.Consultant, sim.PracticeName)
	advance(t, w, time.Second) // the list is in the order of creation
	two := connect(t, w, sim.Consultant, sim.SecondPracticeName)
	remove := func(id string) int {
		req := request(t, http.MethodDelete, w.URL()+"/connections/"+id, nil)
		req.Header.Set("Authorization", "Bearer "+one.token.Access)
		res, _ := send(t, req)
		return res.StatusCode
	}
	id := connections(t, w, one.token.Access, "")[0]["id"]
	if remove(one.tenant) != http.StatusNotFound || remove(id) != http.StatusNoContent || remove(id) != http.StatusNotFound {
		t.Error("only the connection's id removes it, and once")
	}
	if res, body := one.call(http.MethodGet, "staff.api/list", ""); res.StatusCode != http.StatusForbidden ||
		!strings.Contains(string(body), `"Title":"Forbidden","Status":403,"Detail":"AuthenticationUnsuccessful"`) {
		t.Errorf("the removed tenant: %s %s", res.Status, body)
	}
	two.ask(http.MethodGet, "staff.api/list", "")
}

func TestRevocationEndsEverythingOfThatPersonWithTheApp(t *testing.T) {
	w := start(t, sim.Config{})
	one := connect(t, w, sim.Consultant, sim.PracticeName)
	two := connect(t, w, sim.Consultant, sim.SecondPracticeName)
	other := connect(t, w, sim.Owner, sim.PracticeName)
	req := request(t, http.MethodPost, w.URL()+"/connect/revocation", strings.NewReader("token="+one.token.Refresh))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(sim.ClientID, sim.ClientSecret)
	if res, body := send(t, req); res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", res.Status, body)
	}
	for _, s := range []session{one, two} {
		if got, _ := tokenCall(t, w, refresh(s.token.Refresh)); got.Error != "invalid_grant" {
			t.Errorf("a refresh token lived on: %+v", got)
		}
		if res, _ := s.call(http.MethodGet, "staff.api/list", ""); res.StatusCode != http.StatusForbidden {
			t.Errorf("a connection lived on: %s", res.Status)
		}
	}
	other.ask(http.MethodGet, "staff.api/list", "")
}

func TestDiscoveryAndUserinfo(t *testing.T) {
	w := start(t, sim.Config{})
	_, body := send(t, request(t, http.MethodGet, w.URL()+"/.well-known/openid-configuration", nil))
	var found map[string]any
	if err := json.Unmarshal(body, &found); err != nil || found["token_endpoint"] != w.URL()+"/connect/token" {
		t.Errorf("discovery: %v %s", err, body)
	}
	req := request(t, http.MethodGet, w.URL()+"/connect/userinfo", nil)
	req.Header.Set("Authorization", "Bearer "+connect(t, w, sim.Owner, sim.PracticeName).token.Access)
	if _, body := send(t, req); !strings.Contains(string(body), sim.Owner) {
		t.Errorf("userinfo: %s", body)
	}
}

func TestSigningOut(t *testing.T) {
	w := start(t, sim.Config{})
	authorize := consentURL(w, nil)
	cookie, _ := signIn(t, w, sim.Owner, authorize)
	_, query, _ := strings.Cut(authorize, "?")
	req := request(t, http.MethodPost, w.URL()+"/identity/logout", strings.NewReader(url.Values{"query": {query}}.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Cookie", cookie)
	send(t, req)
	req = request(t, http.MethodGet, authorize, nil)
	req.Header.Set("Cookie", cookie)
	if _, body := send(t, req); !strings.Contains(string(body), "Sign in") {
		t.Errorf("still signed in: %s", body)
	}
}
