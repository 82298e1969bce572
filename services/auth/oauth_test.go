package auth_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/dial"
	"github.com/concord-suite/concord/platform/rpcerr"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
)

// What the requirements say about the authorization server, by their ids.

func TestN48_RedirectAddressesMatchExactlyButForThePort(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
	_, challenge := pkce()
	ask := func(addIn, uri string) error {
		_, err := s.addIns.AuthorizeAddIn(s.as(admin.token), &authv1.AuthorizeAddInRequest{
			Parent: admin.firm, AddIn: addIn, RedirectUri: uri, CodeChallenge: challenge,
		})
		if err == nil || rpcerr.From(err).Code() == codes.NotFound { // the question before the consent has the same answer
			_, known := s.addIns.GetAddIn(s.nobody("192.0.2.7"), &authv1.GetAddInRequest{Name: "addIns/" + addIn, RedirectUri: uri})
			require.Equal(t, rpcerr.Reason(err), rpcerr.Reason(known), uri)
		}
		return err
	}
	for _, uri := range []string{"http://127.0.0.1:1024/done", "http://127.0.0.1:65535/done", "http://[::1]:50000/done"} {
		require.NoError(t, ask("word", uri), uri)
	}
	for _, uri := range []string{
		"https://evil.example/done", "http://127.0.0.1.evil.example:80/done", "http://localhost:5000/done", "http://127.0.0.1:5000/done#x",
		"http://127.0.0.1/done", "http://user@127.0.0.1:5000/done", "http://127.0.0.1:5000/done?x=y", "word:/done",
	} {
		require.Equal(t, codes.InvalidArgument, rpcerr.From(ask("word", uri)).Code(), uri)
	}
	for _, uri := range []string{"http://127.0.0.1:5000/", "http://127.0.0.1:5000/done/", "http://127.0.0.1:5000/Done", "http://127.0.0.1:99999/done"} {
		is(t, ask("word", uri), codes.NotFound, authv1.ErrorReason_ERROR_REASON_CLIENT_UNKNOWN)
	}
	is(t, ask("powerpoint", redirect), codes.NotFound, authv1.ErrorReason_ERROR_REASON_CLIENT_UNKNOWN)
	named, err := s.addIns.GetAddIn(s.nobody("192.0.2.7"), &authv1.GetAddInRequest{Name: "addIns/word"})
	require.NoError(t, err)
	require.Equal(t, "Concord for Word", named.GetDisplayName())

	// And at the token endpoint the address is the one of the consent, port and all.
	verifier, challenge := pkce()
	_, err = s.exchange(s.consent(admin, challenge), verifier, "http://127.0.0.1:51235/done")
	grantRefused(t, err)
}

func TestN49_ACodeIsRedeemedOnceAndWithinAMinute(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
		verifier, challenge := pkce()
		code := s.consent(admin, challenge)
		s.clock.forward(time.Minute)
		_, err := s.exchange(code, verifier, redirect)
		grantRefused(t, err)

		code = s.consent(admin, challenge)
		s.clock.forward(59 * time.Second)
		first, err := s.exchange(code, verifier, redirect)
		require.NoError(t, err)
		second, err := s.refresh(first.GetRefreshToken())
		require.NoError(t, err)
		_, err = s.exchange(code, verifier, redirect)
		grantRefused(t, err)
		for _, token := range []string{first.GetAccessToken(), second.GetAccessToken()} {
			_, err = s.resolve(token, "documents")
			is(t, err, codes.Unauthenticated, ended) // all that came of the code is gone
		}
		_, err = s.refresh(second.GetRefreshToken())
		grantRefused(t, err)

		// A code is its client's.
		code = s.consent(admin, challenge)
		req := &authv1.IssueAddInTokenRequest{
			GrantType: "authorization_code", ClientId: "excel", Code: code, CodeVerifier: verifier, RedirectUri: redirect,
		}
		_, err = s.issue(req)
		grantRefused(t, err)
		_, err = s.exchange(code, verifier, redirect)
		grantRefused(t, err)
	})
}

func TestN50_PKCEIsS256AndThereAreNoOtherGrants(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
	verifier, challenge := pkce()
	for _, bad := range []string{"", verifier[:42], challenge + "=", strings.Repeat("a", 44)} { // none, plain of another length
		_, err := s.addIns.AuthorizeAddIn(s.as(admin.token), &authv1.AuthorizeAddInRequest{
			Parent: admin.firm, AddIn: "word", RedirectUri: redirect, CodeChallenge: bad,
		})
		require.Equal(t, codes.InvalidArgument, rpcerr.From(err).Code(), bad)
	}
	_, err := s.exchange(s.consent(admin, verifier), verifier, redirect) // as "plain" would have it
	grantRefused(t, err)
	_, err = s.exchange(s.consent(admin, challenge), "", redirect)
	grantRefused(t, err)
	for _, grant := range []string{"password", "implicit", "client_credentials", "urn:ietf:params:oauth:grant-type:device_code"} {
		_, err := s.issue(&authv1.IssueAddInTokenRequest{GrantType: grant, Code: s.consent(admin, challenge), CodeVerifier: verifier, RedirectUri: redirect})
		require.Equal(t, codes.InvalidArgument, rpcerr.From(err).Code(), grant)
	}
}

func TestN53_AnAddInIsHandedNoMoreThanItAsksFor(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
	for scope, want := range map[string][3]string{ // granted, refresh token, ID token
		"": {"offline_access", "car_", ""}, "openid": {"openid", "", "ey"}, "offline_access": {"offline_access", "car_", ""},
		"openid offline_access": {"offline_access openid", "car_", "ey"},
	} {
		got := s.addInTokens(admin, scope)
		require.Equal(t, want[0], got.GetScope())
		require.True(t, strings.HasPrefix(got.GetAccessToken(), "cai_"))
		require.Equal(t, want[1] != "", got.GetRefreshToken() != "")
		require.Equal(t, want[2] != "", got.GetIdToken() != "")
		require.True(t, strings.HasPrefix(got.GetRefreshToken(), want[1]))
	}
	_, challenge := pkce()
	_, err := s.addIns.AuthorizeAddIn(s.as(admin.token), &authv1.AuthorizeAddInRequest{
		Parent: admin.firm, AddIn: "word", RedirectUri: redirect, CodeChallenge: challenge, Scope: "openid profile",
	})
	require.Equal(t, "scope", rpcerr.From(err).Violations()[0].Field)

	tokens := s.addInTokens(admin, "offline_access")
	_, err = s.issue(&authv1.IssueAddInTokenRequest{GrantType: "refresh_token", RefreshToken: tokens.GetRefreshToken(), Scope: "openid"})
	require.Equal(t, "scope", rpcerr.From(err).Violations()[0].Field, "never more than was consented to")
	both := s.addInTokens(admin, "openid offline_access")
	less, err := s.issue(&authv1.IssueAddInTokenRequest{GrantType: "refresh_token", RefreshToken: both.GetRefreshToken(), Scope: "offline_access"})
	require.NoError(t, err)
	require.Empty(t, less.GetIdToken())
	again, err := s.refresh(less.GetRefreshToken())
	require.NoError(t, err)
	require.NotEmpty(t, again.GetIdToken(), "the refresh token keeps what was consented to (RFC 6749 §6)")
}

// claimsOf reads an ID token with the published keys alone, as a client does.
func (s *suite) claimsOf(token string) map[string]any {
	s.t.Helper()
	keys, err := s.addIns.GetAddInKeys(dial.AsSelf(s.t.Context(), "gateway"), &authv1.GetAddInKeysRequest{})
	require.NoError(s.t, err)
	var set jose.JSONWebKeySet
	require.NoError(s.t, json.Unmarshal(keys.GetJwks(), &set))
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
	require.NoError(s.t, err)
	found := set.Key(signed.Signatures[0].Header.KeyID)
	require.Len(s.t, found, 1)
	require.True(s.t, found[0].IsPublic())
	require.Equal(s.t, "JWT", signed.Signatures[0].Header.ExtraHeaders[jose.HeaderType])
	body, err := signed.Verify(found[0])
	require.NoError(s.t, err)
	claims := map[string]any{}
	require.NoError(s.t, json.Unmarshal(body, &claims))
	return claims
}

func TestN47_NeitherKindOfTokenIsTakenForTheOther(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
		signedIn := s.clock.Now()
		s.clock.forward(5 * time.Minute)
		verifier, challenge := pkce()
		tokens, err := s.exchange(s.consentTo(admin, challenge, "openid", "n-0S6"), verifier, redirect)
		require.NoError(t, err)
		c := s.claimsOf(tokens.GetIdToken())
		require.Equal(t, "https://app.example.com", c["iss"])
		require.Equal(t, "word", c["aud"])
		require.Equal(t, admin.account, admin.firm+"/staff/"+c["sub"].(string))
		require.Equal(t, "n-0S6", c["nonce"])
		require.EqualValues(t, s.clock.Now().Unix(), c["iat"])
		require.EqualValues(t, s.clock.Now().Add(5*time.Minute).Unix(), c["exp"])
		require.EqualValues(t, signedIn.Unix(), c["auth_time"])
		require.Equal(t, []any{"pwd"}, c["amr"])
		for _, secret := range []string{admin.email, admin.mobile, admin.name} {
			body, _ := json.Marshal(c)
			require.NotContains(t, string(body), secret, "it is nobody's address book")
		}

		sources := access.Sources{s.mint.Trust, s.service.Keys()}
		for _, audience := range []string{"auth", "sync", "word"} {
			_, err = access.NewVerifier(audience, sources, s.clock.Now).Verify(t.Context(), tokens.GetIdToken())
			require.Error(t, err, "an ID token is no identity inside the suite")
		}
		_, err = s.ledger.ListAuditEntries(dial.WithToken(t.Context(), tokens.GetIdToken()), &authv1.ListAuditEntriesRequest{Parent: admin.firm})
		require.Equal(t, codes.Unauthenticated, rpcerr.From(err).Code())
		for _, token := range []string{tokens.GetIdToken(), tokens.GetRefreshToken()} {
			if token != "" {
				_, err = s.resolve(token, "sync")
				is(t, err, codes.Unauthenticated, ended)
			}
		}

		resolved, err := s.resolve(admin.token, "sync")
		require.NoError(t, err)
		header, err := base64.RawURLEncoding.DecodeString(strings.Split(resolved.GetInternalToken(), ".")[0])
		require.NoError(t, err)
		var internal struct{ Kid, Typ, Alg string }
		require.NoError(t, json.Unmarshal(header, &internal))
		keys, err := s.addIns.GetAddInKeys(dial.AsSelf(t.Context(), "gateway"), &authv1.GetAddInKeysRequest{})
		require.NoError(t, err)
		require.NotContains(t, string(keys.GetJwks()), internal.Kid)
		require.NotEqual(t, "JWT", internal.Typ)
		require.NotContains(t, string(keys.GetJwks()), `"d"`, "no private half")
	})
}

func TestT13_WhoeverMayNotSignInRedeemsNothing(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		for name, end := range map[string]func(p *person){
			"disabled": func(p *person) {
				_, err := s.accounts.DisableStaff(s.as(admin.token), &authv1.DisableStaffRequest{Name: p.account})
				require.NoError(t, err)
			},
			"signed out": func(p *person) {
				_, err := s.sessions.SignOut(s.as(p.token), &authv1.SignOutRequest{})
				require.NoError(t, err)
			},
			"two factors are needed now": func(*person) { s.enforce(admin) },
		} {
			p := s.hire(admin, strings.ReplaceAll(name, " ", "")+"@harbour.example", "", authv1.Role_ROLE_STAFF)
			s.signInAs(p)
			tokens := s.addInTokens(p, "")
			verifier, challenge := pkce()
			code := s.consent(p, challenge)
			end(p)
			_, err := s.exchange(code, verifier, redirect)
			grantRefused(t, err)
			_, err = s.refresh(tokens.GetRefreshToken())
			grantRefused(t, err)
			_, err = s.resolve(tokens.GetAccessToken(), "documents")
			is(t, err, codes.Unauthenticated, ended)
		}
	})
}

func TestRevocation(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
		ctx := dial.AsSelf(t.Context(), "gateway")
		revoke := func(ctx context.Context, token, client string) error {
			_, err := s.addIns.RevokeAddInToken(ctx, &authv1.RevokeAddInTokenRequest{Token: token, ClientId: client, Address: "192.0.2.7"})
			return err
		}
		for _, which := range []string{"access", "refresh", "refresh that was redeemed"} {
			first := s.addInTokens(admin, "")
			tokens, err := s.refresh(first.GetRefreshToken())
			require.NoError(t, err)
			token := map[string]string{
				"access": tokens.GetAccessToken(), "refresh": tokens.GetRefreshToken(), "refresh that was redeemed": first.GetRefreshToken(),
			}[which]
			grantRefused(t, revoke(ctx, token, "excel"))
			_, err = s.resolve(tokens.GetAccessToken(), "documents")
			require.NoError(t, err)
			for range 2 {
				require.NoError(t, revoke(ctx, token, "word"))
			}
			_, err = s.resolve(tokens.GetAccessToken(), "documents")
			is(t, err, codes.Unauthenticated, ended)
			_, err = s.refresh(tokens.GetRefreshToken())
			grantRefused(t, err)
		}
		for _, nothing := range []string{"x", "car_nothing", "cai_nothing", admin.token} {
			require.NoError(t, revoke(ctx, nothing, "word"))
		}
		_, err := s.resolve(admin.token, "auth")
		require.NoError(t, err, "a person's session is not an Add-In's to end")
		is(t, revoke(ctx, "car_nothing", "powerpoint"), codes.NotFound, authv1.ErrorReason_ERROR_REASON_CLIENT_UNKNOWN)
		require.Equal(t, codes.PermissionDenied, rpcerr.From(revoke(s.as(admin.token), "car_nothing", "word")).Code())
	})
}

func TestAddInsStandInTheListOfSessionsAndEndFromThere(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
		tokens := s.addInTokens(admin, "")
		list, err := s.sessions.ListSessions(s.as(admin.token), &authv1.ListSessionsRequest{})
		require.NoError(t, err)
		var found *authv1.Session
		for _, one := range list.GetSessions() {
			if one.GetAddIn() == "word" {
				found = one
			}
		}
		require.NotNil(t, found)
		require.Equal(t, tokens.GetSessionExpireTime().AsTime(), found.GetExpireTime().AsTime())
		_, err = s.sessions.RevokeSession(s.as(admin.token), &authv1.RevokeSessionRequest{Name: found.GetName(), Password: passphrase})
		require.NoError(t, err)
		_, err = s.resolve(tokens.GetAccessToken(), "documents")
		is(t, err, codes.Unauthenticated, ended)
		_, err = s.refresh(tokens.GetRefreshToken())
		grantRefused(t, err)
	})
}

// The database wrote the rotation down and the answer was lost on the way to the service: the client asks again and goes on.
// Of a code that was redeemed like this nobody has the tokens, so asking again ends what nobody can use.
