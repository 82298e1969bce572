package story

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/test/rest"
)

// Portal gives a contact a portal login, and answers the contact's person, signed in.
func (p *Person) Portal(t testing.TB, s *Stage, contact *syncv1.Contact, email string) *Person {
	t.Helper()
	require.NoError(t, p.Call(t.Context(), "POST", "/v1/"+p.Firm+"/contactLogins:invite", &authv1.InviteContactRequest{
		Contact: contact.GetName(), Email: email, DisplayName: contact.GetDisplayName(),
	}, nil))
	c := s.NewPerson(email, "")
	c.Firm = p.Firm
	c.Accept(t)
	c.SignIn(t)
	Eventually(t, "the client list was heard", func() bool { // before that nobody is vouched for as a contact
		_, err := c.Send(t.Context(), "GET", "/v1/session", nil, "")
		return err == nil
	})
	return c
}

// AddIn signs a desktop Add-In in that acts for the person, as the Add-In does: a code by loopback, proven by PKCE.
func (p *Person) AddIn(t testing.TB) *rest.Client {
	t.Helper()
	const verifier, redirect = "a-verifier-that-is-long-enough-for-the-contract-0001", "http://127.0.0.1:49152/done"
	sum := sha256.Sum256([]byte(verifier))
	code := new(authv1.AuthorizeAddInResponse)
	require.NoError(t, p.Call(t.Context(), "POST", "/v1/"+p.Firm+"/addIns:authorize", &authv1.AuthorizeAddInRequest{
		AddIn: "word", RedirectUri: redirect, CodeChallenge: base64.RawURLEncoding.EncodeToString(sum[:]),
	}, code))
	c := rest.New(p.Base)
	answer, err := c.Send(t.Context(), "POST", "/oauth2/token", []byte(url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"word"}, "code": {code.GetCode()}, "code_verifier": {verifier},
		"redirect_uri": {redirect},
	}.Encode()), "application/x-www-form-urlencoded")
	require.NoError(t, err)
	var token struct {
		AccessToken string `json:"access_token"`
	}
	require.NoError(t, json.Unmarshal(answer, &token))
	c.Token = token.AccessToken
	return c
}

// Agent makes an on-premise agent and answers it as it calls.
func (p *Person) Agent(t testing.TB) *rest.Client {
	t.Helper()
	made := new(authv1.CreateAgentResponse)
	require.NoError(t, p.Call(t.Context(), "POST", "/v1/"+p.Firm+"/agents", &authv1.CreateAgentRequest{DisplayName: "Office server"}, made))
	c := rest.New(p.Base)
	c.Token = made.GetCredential()
	return c
}

// Again is the same person in another browser, signed in there too.
func (p *Person) Again(t testing.TB) *Person {
	t.Helper()
	other := *p
	other.Client = rest.New(p.Base)
	other.SignIn(t)
	return &other
}
