package sim_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/remote"
)

func TestConsentPagesShowWhatAPersonNeedsToDecide(t *testing.T) {
	w := start(t, sim.Config{})
	res, body := send(t, request(t, http.MethodGet, consentURL(w, nil), nil))
	if res.StatusCode != http.StatusOK || !strings.Contains(string(body), "Umbro Fictional") || !strings.Contains(string(body), "Concord") {
		t.Errorf("sign-in page: %s\n%s", res.Status, body)
	}
	for person, want := range map[string]struct {
		scope string
		offer []string
		not   string
	}{
		sim.Owner:      {allScopes, []string{sim.PracticeName}, sim.OrganisationName},
		sim.Junior:     {allScopes, []string{sim.PracticeName, "you lack \"Authorise 3rd Party Full Access\""}, sim.SecondPracticeName},
		sim.Consultant: {allScopes, []string{sim.PracticeName, sim.SecondPracticeName}, sim.OrganisationName},
		sim.Outsider:   {"openid accounting.contacts", []string{sim.OrganisationName}, "Practice"},
	} {
		page := consentPage(t, w, person, want.scope)
		for _, text := range append(want.offer, strings.Fields(want.scope)...) {
			if !strings.Contains(page, text) {
				t.Errorf("%s does not see %q in\n%s", person, text, page)
			}
		}
		if strings.Contains(page, want.not) {
			t.Errorf("%s is offered %q", person, want.not)
		}
	}
}

var sessionCookie = regexp.MustCompile(`sim-identity-session=[^;]+`)

// signIn posts the sign-in form and returns the cookie and where it leads.
func signIn(t *testing.T, w *sim.World, person, authorize string) (cookie, next string) {
	t.Helper()
	_, query, _ := strings.Cut(authorize, "?")
	req := request(t, http.MethodPost, w.URL()+"/identity/login", strings.NewReader(url.Values{"person": {person}, "query": {query}}.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return sessionCookie.FindString(res.Header.Get("Set-Cookie")), res.Header.Get("Location")
}

func consentPage(t *testing.T, w *sim.World, person, scope string) string {
	t.Helper()
	authorize := consentURL(w, func(q url.Values) { q.Set("scope", scope) })
	cookie, next := signIn(t, w, person, authorize)
	req := request(t, http.MethodGet, w.URL()+next, nil)
	req.Header.Set("Cookie", cookie)
	_, body := send(t, req)
	return string(body)
}

func TestAConsentFormOfAnotherSiteIsRefused(t *testing.T) {
	w := start(t, sim.Config{})
	authorize := consentURL(w, nil)
	cookie, _ := signIn(t, w, sim.Owner, authorize)
	_, query, _ := strings.Cut(authorize, "?")
	tenant := connect(t, w, sim.Owner, sim.PracticeName).tenant
	req := request(t, http.MethodPost, w.URL()+"/identity/consent", strings.NewReader(url.Values{"query": {query}, "action": {"allow"}, "tenant": {tenant}, "form": {"guess"}}.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Cookie", cookie)
	if res, body := send(t, req); res.StatusCode != http.StatusBadRequest {
		t.Errorf("%s: %s", res.Status, body)
	}
}

func TestCancellingTellsTheApp(t *testing.T) {
	w := start(t, sim.Config{})
	next, err := remote.Consent(t.Context(), consentURL(w, nil), remote.Choice{Person: sim.Owner, Deny: true})
	if err != nil {
		t.Fatal(err)
	}
	if q := next.Query(); q.Get("error") != "access_denied" || q.Get("state") != "the-state" || q.Get("code") != "" {
		t.Errorf("the app is told %s", next)
	}
}

func TestBadAuthorizationRequestsEndOnTheProvidersPage(t *testing.T) {
	w := start(t, sim.Config{Apps: []sim.App{{ClientID: "EXACT", Secret: "s", Name: "Exact", RedirectURIs: []string{"https://app.example/cb"}}}})
	for name, change := range map[string]func(url.Values){
		"client":          func(q url.Values) { q.Set("client_id", "NOBODY") },
		"redirect":        func(q url.Values) { q.Set("redirect_uri", "https://evil.example/") },
		"redirect https":  func(q url.Values) { q.Set("redirect_uri", "https://localhost/") },
		"redirect prefix": func(q url.Values) { q.Set("redirect_uri", "http://localhost.evil.example/") },
		"redirect user":   func(q url.Values) { q.Set("redirect_uri", "http://localhost@evil.example/") },
		"exact":           func(q url.Values) { q.Set("client_id", "EXACT"); q.Set("redirect_uri", "https://app.example/cb/") },
		"type":            func(q url.Values) { q.Set("response_type", "token") },
		"scope":           func(q url.Values) { q.Set("scope", "openid everything") },
		"no scope":        func(q url.Values) { q.Del("scope") },
		"plain challenge": func(q url.Values) { q.Set("code_challenge_method", "plain") },
		"public app without PKCE": func(q url.Values) {
			q.Set("client_id", sim.PublicClientID)
			q.Del("code_challenge")
			q.Del("code_challenge_method")
		},
	} {
		res, err := http.DefaultTransport.RoundTrip(request(t, http.MethodGet, consentURL(w, change), nil))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusInternalServerError {
			t.Errorf("%s: %s, want the provider's error page", name, res.Status)
		}
	}
	exact := consentURL(w, func(q url.Values) { q.Set("client_id", "EXACT"); q.Set("redirect_uri", "https://app.example/cb") })
	if next, err := remote.Consent(t.Context(), exact, remote.Choice{Person: sim.Owner}); err != nil || next.Host != "app.example" {
		t.Errorf("a registered redirect: %v, %v", next, err)
	}
}

func TestACodeWorksOnceAndForFiveMinutes(t *testing.T) {
	w := start(t, sim.Config{})
	code := consent(t, w, sim.Owner, sim.PracticeName)
	for name, change := range map[string]func(url.Values){
		"another redirect": func(f url.Values) { f.Set("redirect_uri", callback+"/other") },
		"another verifier": func(f url.Values) { f.Set("code_verifier", verifier+"x") },
		"no verifier":      func(f url.Values) { f.Del("code_verifier") },
	} {
		form := redeem(code)
		change(form)
		if got, status := tokenCall(t, w, form); status != http.StatusBadRequest || got.Error != "invalid_grant" {
			t.Errorf("%s: %d %+v", name, status, got)
		}
	}
	if _, status := tokenCall(t, w, redeem(code)); status != http.StatusOK {
		t.Errorf("first use: %d", status)
	}
	if got, status := tokenCall(t, w, redeem(code)); status != http.StatusBadRequest || got.Error != "invalid_grant" {
		t.Errorf("second use: %d %+v", status, got)
	}
	late := consent(t, w, sim.Owner, sim.PracticeName)
	advance(t, w, 5*time.Minute+time.Second)
	if got, _ := tokenCall(t, w, redeem(late)); got.Error != "invalid_grant" {
		t.Errorf("after five minutes: %+v", got)
	}
}

func advance(t *testing.T, w *sim.World, d time.Duration) {
	t.Helper()
	if err := w.Remote().Advance(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

func TestTokenEndpointErrors(t *testing.T) {
	w := start(t, sim.Config{})
	for want, form := range map[string]url.Values{
		"unsupported_grant_type": {"grant_type": {"password"}},
		"invalid_grant":          {"grant_type": {"refresh_token"}, "refresh_token": {"made-up"}},
	} {
		if got, status := tokenCall(t, w, form); status != http.StatusBadRequest || got.Error != want {
			t.Errorf("%d %+v, want %s", status, got, want)
		}
	}
	for name, auth := range map[string]func(*http.Request){
		"wrong secret": func(r *http.Request) { r.SetBasicAuth(sim.ClientID, "wrong") },
		"no app":       func(r *http.Request) { r.SetBasicAuth("NOBODY", "") },
		"nobody":       func(*http.Request) {},
	} {
		req := request(t, http.MethodPost, w.URL()+"/connect/token", strings.NewReader("grant_type=refresh_token"))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		auth(req)
		if res, body := send(t, req); res.StatusCode != http.StatusBadRequest || string(body) != `{"error":"invalid_client"}` {
			t.Errorf("%s: %s %s", name, res.Status, body)
		}
	}
}

func TestAPublicAppProvesItselfWithPKCE(t *testing.T) {
	w := start(t, sim.Config{})
	next, err := remote.Consent(t.Context(), consentURL(w, func(q url.Values) { q.Set("client_id", sim.PublicClientID) }),
		remote.Choice{Person: sim.Owner, Tenant: sim.PracticeName})
	if err != nil {
		t.Fatal(err)
	}
	form := redeem(next.Query().Get("code"))
	form.Set("client_id", sim.PublicClientID)
	req := request(t, http.MethodPost, w.URL()+"/connect/token", strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if res, body := send(t, req); res.StatusCode != http.StatusOK {
		t.Errorf("%s: %s", res.Status, body)
	}
}

func refresh(token string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
}

func TestRefreshTokensRotateWithAGrace(t *testing.T) {
	w := start(t, sim.Config{})
	first, _ := tokenCall(t, w, redeem(consent(t, w, sim.Owner, sim.PracticeName)))
	second, status := tokenCall(t, w, refresh(first.Refresh))
	if status != http.StatusOK || second.Refresh == first.Refresh || second.Refresh == "" || second.Access == first.Access {
		t.Fatalf("refresh: %d %+v", status, second)
	}
	advance(t, w, 29*time.Minute)
	replay, status := tokenCall(t, w, refresh(first.Refresh)) // the answer with second was lost
	if status != http.StatusOK || replay.Refresh == second.Refresh {
		t.Errorf("replay within the grace: %d %+v", status, replay)
	}
	advance(t, w, time.Minute)
	if got, _ := tokenCall(t, w, refresh(first.Refresh)); got.Error != "invalid_grant" {
		t.Errorf("replay after the grace, which the first replay does not prolong: %+v", got)
	}
	for name, token := range map[string]string{"lost": second.Refresh, "replayed": replay.Refresh} {
		if got, status := tokenCall(t, w, refresh(token)); status != http.StatusOK {
			t.Errorf("the %s token: %d %s", name, status, got.Error)
		}
	}
}

func TestAnUnusedRefreshTokenDiesAfterSixtyDays(t *testing.T) {
	w := start(t, sim.Config{})
	token, _ := tokenCall(t, w, redeem(consent(t, w, sim.Owner, sim.PracticeName)))
	advance(t, w, 59*24*time.Hour)
	token, status := tokenCall(t, w, refresh(token.Refresh))
	if status != http.StatusOK {
		t.Fatalf("after 59 days: %s", token.Error)
	}
	advance(t, w, 60*24*time.Hour)
	if got, _ := tokenCall(t, w, refresh(token.Refresh)); got.Error != "invalid_grant" {
		t.Errorf("after 60 more: %+v", got)
	}
}

func TestWithoutOfflineAccessThereIsNoRefreshToken(t *testing.T) {
	w := start(t, sim.Config{})
	if got, _ := tokenCall(t, w, redeem(consentFor(t, w, "practicemanager.client.read"))); got.Refresh != "" || got.ID != "" || got.Access == "" {
		t.Errorf("tokens are %+v", got)
	}
}

// claims checks a token's signature with the published keys and returns what it says.
func claims(t *testing.T, w *sim.World, token string) map[string]any {
	t.Helper()
	_, body := send(t, request(t, http.MethodGet, w.URL()+"/.well-known/openid-configuration/jwks", nil))
	var set struct{ Keys []struct{ Kid, N, E string } }
	if err := json.Unmarshal(body, &set); err != nil || len(set.Keys) != 1 {
		t.Fatalf("%v: %s", err, body)
	}
	n, _ := base64.RawURLEncoding.DecodeString(set.Keys[0].N)
	key := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537}
	parts := strings.Split(token, ".")
	sig, _ := base64.RawURLEncoding.DecodeString(parts[2])
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], sig); err != nil {
		t.Fatal(err)
	}
	raw, _ := base64.RawURLEncoding.DecodeString(parts[1])
	var got map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestTokensCarryTheRecordedClaims(t *testing.T) {
	w := start(t, sim.Config{})
	token, _ := tokenCall(t, w, redeem(consent(t, w, sim.Owner, sim.PracticeName)))
	access := claims(t, w, token.Access)
	for _, name := range []string{"nbf", "exp", "iss", "aud", "client_id", "sub", "auth_time", "xero_userid", "global_session_id",
		"jti", "authentication_event_id", "scope"} {
		if access[name] == nil {
			t.Errorf("the access token has no %s: %v", name, access)
		}
	}
	if access["exp"].(float64)-access["nbf"].(float64) != 1800 || token.Expires != 1800 || access["iss"] != "https://identity.xero.com" {
		t.Errorf("the access token says %v", access)
	}
	id := claims(t, w, token.ID)
	if id["aud"] != sim.ClientID || id["authentication_event_id"] != nil || id["email"] != sim.Owner {
		t.Errorf("the id_token says %v", id)
	}
}
