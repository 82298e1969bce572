package sim_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/remote"
)

// clock is a time that stands still unless moved: what depends on time is then told apart from what
// depends on the machine's speed.
func clock() time.Time { return time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC) }

func start(t *testing.T, cfg sim.Config) *sim.World {
	t.Helper()
	if cfg.Now == nil {
		cfg.Now = clock
	}
	if cfg.Clients == 0 {
		cfg.Clients = 60
	}
	w, err := sim.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

const (
	callback    = "http://127.0.0.1:7777/callback"
	allScopes   = "openid profile email offline_access practicemanager.client practicemanager.staff.read"
	verifier    = "a-verifier-that-is-long-enough-for-the-rfc-0123456789"
	practiceAPI = "/practicemanager/3.1/"
)

// consentURL is an authorization request of the confidential app with PKCE.
func consentURL(w *sim.World, change func(url.Values)) string {
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{"response_type": {"code"}, "client_id": {sim.ClientID}, "redirect_uri": {callback}, "scope": {allScopes},
		"state": {"the-state"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}}
	if change != nil {
		change(q)
	}
	return w.URL() + "/identity/connect/authorize?" + q.Encode()
}

type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	ID      string `json:"id_token"`
	Expires int    `json:"expires_in"`
	Type    string `json:"token_type"`
	Scope   string `json:"scope"`
	Error   string `json:"error"`
}

// tokenCall posts to the token endpoint as the confidential app.
func tokenCall(t *testing.T, w *sim.World, form url.Values) (tokens, int) {
	t.Helper()
	req := request(t, http.MethodPost, w.URL()+"/connect/token", strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(sim.ClientID, sim.ClientSecret)
	res, body := send(t, req)
	var answer tokens
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatalf("token endpoint: %v: %s", err, body)
	}
	return answer, res.StatusCode
}

func consent(t *testing.T, w *sim.World, person, tenant string) string {
	t.Helper()
	next, err := remote.Consent(t.Context(), consentURL(w, nil), remote.Choice{Person: person, Tenant: tenant})
	if err != nil {
		t.Fatal(err)
	}
	if next.Query().Get("state") != "the-state" {
		t.Fatalf("state is lost in %s", next)
	}
	return next.Query().Get("code")
}

// consentFor is consent of the owner, for a person with one practice on offer, to other scopes.
func consentFor(t *testing.T, w *sim.World, scope string) string {
	t.Helper()
	next, err := remote.Consent(t.Context(), consentURL(w, func(q url.Values) { q.Set("scope", scope) }), remote.Choice{Person: sim.Owner})
	if err != nil {
		t.Fatal(err)
	}
	return next.Query().Get("code")
}

func redeem(code string) url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}
}

// session is a connected practice.
type session struct {
	t      *testing.T
	w      *sim.World
	token  tokens
	tenant string
}

func connect(t *testing.T, w *sim.World, person, tenantName string) session {
	t.Helper()
	return connectFor(t, w, person, tenantName, allScopes)
}

func connectFor(t *testing.T, w *sim.World, person, tenantName, scope string) session {
	t.Helper()
	next, err := remote.Consent(t.Context(), consentURL(w, func(q url.Values) { q.Set("scope", scope) }), remote.Choice{Person: person, Tenant: tenantName})
	if err != nil {
		t.Fatal(err)
	}
	token, status := tokenCall(t, w, redeem(next.Query().Get("code")))
	if status != http.StatusOK {
		t.Fatalf("token: %d %s", status, token.Error)
	}
	s := session{t: t, w: w, token: token}
	state, err := w.Remote().State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, tenant := range state.Tenants {
		if tenant.Name == tenantName {
			s.tenant = tenant.ID
		}
	}
	return s
}

// call asks the practice API; path begins after the version.
func (s session) call(method, path, body string) (*http.Response, []byte) {
	s.t.Helper()
	return send(s.t, s.request(method, practiceAPI+path, body))
}

func (s session) request(method, path, body string) *http.Request {
	req := request(s.t, method, s.w.URL()+path, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+s.token.Access)
	req.Header.Set("xero-tenant-id", s.tenant)
	return req
}

// ask is call for an answer that must be OK; it decodes it.
func (s session) ask(method, path, body string) answer {
	s.t.Helper()
	res, text := s.call(method, path, body)
	var a answer
	if err := xml.Unmarshal(text, &a); err != nil || res.StatusCode != http.StatusOK {
		s.t.Fatalf("%s %s: %s, %v: %s", method, path, res.Status, err, text)
	}
	return a
}

type answer struct {
	Method  string    `xml:"api-method,attr"`
	Status  string    `xml:"Status"`
	Error   string    `xml:"ErrorDescription"`
	WebURL  string    `xml:"WebUrl"`
	Clients []client  `xml:"Clients>Client"`
	Client  client    `xml:"Client"`
	People  []contact `xml:"Contacts>Contact"`
	Contact contact   `xml:"Contact"`
	Groups  []group   `xml:"Groups>Group"`
	Group   group     `xml:"Group"`
	Staff   []client  `xml:"StaffList>Staff"`
	First   string    `xml:"Pagination>Links>First"`
	Next    string    `xml:"Pagination>Links>Next"`
}

type client struct {
	ID            string         `xml:"ID"`
	UUID          string         `xml:"UUID"`
	Name          string         `xml:"Name"`
	Email         *string        `xml:"Email"`
	Phone         string         `xml:"Phone"`
	Born          string         `xml:"DateOfBirth"`
	Postal        string         `xml:"PostalAddress"`
	Code          string         `xml:"ExportCode"`
	Archived      string         `xml:"IsArchived"`
	Deleted       string         `xml:"IsDeleted"`
	TaxNumber     *string        `xml:"TaxNumber"`
	Contacts      []contact      `xml:"Contacts>Contact"`
	Groups        []group        `xml:"Groups>Group"`
	Relationships []relationship `xml:"Relationships>Relationship"`
}

type contact struct {
	ID       string `xml:"ID"`
	UUID     string `xml:"UUID"`
	Name     string `xml:"Name"`
	Email    string `xml:"Email"`
	Deleted  string `xml:"IsDeleted"`
	Primary  string `xml:"IsPrimary"`
	Position string `xml:"Position"`
}

type group struct {
	UUID    string   `xml:"UUID"`
	Name    string   `xml:"Name"`
	Taxable string   `xml:"Taxable"`
	Clients []client `xml:"Clients>Client"`
}

type relationship struct {
	UUID    string `xml:"UUID"`
	Type    string `xml:"Type"`
	Related client `xml:"RelatedClient"`
}

// receive waits for what something in progress sends.
func receive[T any](t *testing.T, from <-chan T) (v T) {
	t.Helper()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	select {
	case v = <-from:
	case <-limit.C:
		t.Fatal("waited a minute in vain")
	}
	return v
}

// pages follows a paged listing to its end.
func (s session) pages(path string) []answer {
	s.t.Helper()
	var all []answer
	for path != "" {
		a := s.ask(http.MethodGet, path, "")
		all = append(all, a)
		path = strings.TrimPrefix(a.Next, s.w.URL()+practiceAPI)
	}
	return all
}

func request(t *testing.T, method, address string, body io.Reader) *http.Request {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func send(t *testing.T, req *http.Request) (*http.Response, []byte) {
	t.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, body
}

func TestConnectAndListAPractice(t *testing.T) {
	w := start(t, sim.Config{})
	s := connect(t, w, sim.Owner, sim.PracticeName)

	seen := map[string]bool{}
	all := s.pages("client.api/paged-list?pageSize=25")
	for i, page := range all {
		if want := 25; i < len(all)-1 && len(page.Clients) != want {
			t.Errorf("page %d has %d clients, want %d", i, len(page.Clients), want)
		}
		for _, c := range page.Clients {
			if seen[c.UUID] || c.Archived != "No" || c.Deleted != "No" || len(c.Contacts) > 0 {
				t.Errorf("client %+v does not belong in the paged list", c)
			}
			seen[c.UUID] = true
		}
	}
	if len(all) != 3 || len(seen) != 60 {
		t.Errorf("%d pages with %d clients, want 3 with 60", len(all), len(seen))
	}
	if list := s.ask(http.MethodGet, "client.api/list", ""); len(list.Clients) != 64 || list.Method != "List" {
		t.Errorf("list has %d clients, want 60 and 3 archived and 1 deleted", len(list.Clients))
	}
}
