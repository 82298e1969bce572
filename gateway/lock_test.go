package gateway_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/concord-suite/concord/gateway"
	"github.com/concord-suite/concord/gateway/internal/session"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
)

// lockedToken is of a session that was not used for long.
const lockedToken = "opaque-session-token-of-a-locked-session"

func errLocked() error {
	st, err := status.New(codes.Unauthenticated, "unlock it").WithDetails(&errdetails.ErrorInfo{Reason: "SESSION_LOCKED", Domain: "concord"})
	if err != nil {
		return err
	}
	return st.Err()
}

func (p *peer) UnlockSession(ctx context.Context, r *authv1.UnlockSessionRequest) (*authv1.UnlockSessionResponse, error) {
	p.note(ctx, "UnlockSession")
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unlock = r
	return &authv1.UnlockSessionResponse{SessionToken: token, Session: &authv1.Session{
		Name: "sessions/" + other, ExpireTime: timestamppb.New(time.Now().Add(time.Hour)),
	}}, nil
}

// A locked session is not an ended one: the browser keeps its cookie and is told what to ask the person for.
func TestALockedSessionKeepsItsCookie(t *testing.T) {
	s := start(t, nil)
	for range 2 {
		resp, body := s.do(t, "GET", "/v1/"+firm+"/clients", "", "Cookie", "concord_session="+lockedToken)
		require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
		require.Equal(t, "SESSION_LOCKED", problemOf(t, resp, body)["reason"])
		require.Empty(t, resp.Cookies())
	}
}

// The page that asks for the password can't read the session's token; the gateway puts it in, for a page that proves to be
// its own.
func TestABrowserUnlocksByItsCookie(t *testing.T) {
	s := start(t, nil)
	const path, body = "/v1/session:unlock", `{"password":"open sesame to me"}`
	jar := "concord_session=" + lockedToken
	resp, _ := s.do(t, "POST", path, body, "Cookie", jar)
	require.Equal(t, http.StatusForbidden, resp.StatusCode, "without the page's proof")
	require.Nil(t, s.unlock)

	resp, answer := s.do(t, "POST", path, body, "Cookie", jar, session.CSRFHeader, session.CSRF(lockedToken))
	require.Equal(t, http.StatusOK, resp.StatusCode, answer)
	require.Equal(t, lockedToken, s.unlock.GetSessionToken())
	require.Equal(t, "open sesame to me", s.unlock.GetPassword())
	require.NotContains(t, s.authorization("UnlockSession"), lockedToken, "nobody is signed in at the lock")
	require.NotContains(t, answer, token, "the new one is in the cookie alone")
	var got []string
	for _, c := range resp.Cookies() {
		got = append(got, c.Value)
	}
	require.Equal(t, []string{token, session.CSRF(token)}, got)

	resp, answer = s.do(t, "POST", path, `{"password":"x","session_token":"`+lockedToken+`-of-a-program"}`)
	require.Equal(t, http.StatusOK, resp.StatusCode, answer)
	require.Equal(t, lockedToken+"-of-a-program", s.unlock.GetSessionToken())
	require.Contains(t, answer, token)
	require.Empty(t, resp.Cookies())
}

// It is a place to try passwords at, and bounded like the others.
func TestTryingPasswordsAtTheLockIsBounded(t *testing.T) {
	s := start(t, func(c *gateway.Config) { c.SignInsPerMinute = 3 })
	var last int
	for range 5 {
		resp, _ := s.do(t, "POST", "/v1/session:unlock", `{"password":"x","session_token":"y"}`)
		last = resp.StatusCode
	}
	require.Equal(t, http.StatusTooManyRequests, last)
}

// A page that was left open reads on no longer than the session could be used without anybody there.
func TestProgressIsNotToldBeyondTheLock(t *testing.T) {
	s := start(t, nil)
	s.locks = time.Now().Add(700 * time.Millisecond)
	resp, body := s.do(t, "GET", "/v1/"+firm+"/runs/"+other+":watch", "", "Authorization", "Bearer "+token)
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	require.Contains(t, body, "event: run\n")
	require.Contains(t, body, "event: error\ndata: {\"reason\":\"DEADLINE_EXCEEDED\"", "whoever is there asks again")
	require.WithinDuration(t, s.locks, time.Now(), 5*time.Second)
}

// What everybody may ask is answered to whoever's session is locked or over as well: the consent page asks it first, and then
// says which of the two it is.
func TestWhatEverybodyMayAskNeedsNoSession(t *testing.T) {
	s := start(t, nil)
	for _, cookie := range []string{lockedToken, "of-a-session-that-ended"} {
		resp, body := s.do(t, "GET", "/v1/addIns/word?redirect_uri="+url.QueryEscape(loopback), "", "Cookie", "concord_session="+cookie)
		require.Equal(t, http.StatusOK, resp.StatusCode, body)
		require.Contains(t, body, "Concord for Word")
		require.Empty(t, resp.Cookies())
	}
}

// Whoever signs in anew in a browser leaves no session behind there that nobody holds any more. A program that sends its
// tokens itself keeps what it has.
func TestSigningInAnewEndsTheSessionOfTheBrowser(t *testing.T) {
	s := start(t, nil)
	const path, body = "/v1/sign-in/challenges/{challenge}:verify", `{"challenge":"c","pin":"123456"}`
	resp, answer := s.do(t, "POST", path, body, "Authorization", "Bearer "+token)
	require.Equal(t, http.StatusOK, resp.StatusCode, answer)
	resp, answer = s.do(t, "POST", path, body, session.ModeHeader, "cookie")
	require.Equal(t, http.StatusOK, resp.StatusCode, answer)
	require.Empty(t, s.discarded, "there was none")

	for _, jar := range []string{token, lockedToken} {
		resp, answer = s.do(t, "POST", path, body, "Cookie", "concord_session="+jar, session.CSRFHeader, session.CSRF(jar))
		require.Equal(t, http.StatusOK, resp.StatusCode, answer)
		require.NotEmpty(t, resp.Cookies())
	}
	require.Equal(t, []string{token, lockedToken}, s.discarded)
}

// Whoever does not want to unlock a session signs out of it: the browser forgets it, and so does auth.
func TestALockedSessionIsDiscarded(t *testing.T) {
	s := start(t, nil)
	resp, _ := s.do(t, "POST", "/v1/session:discard", `{}`, "Cookie", "concord_session="+lockedToken)
	require.Equal(t, http.StatusForbidden, resp.StatusCode, "without the page's proof")
	resp, answer := s.do(t, "POST", "/v1/session:discard", `{}`, "Cookie", "concord_session="+lockedToken,
		session.CSRFHeader, session.CSRF(lockedToken))
	require.Equal(t, http.StatusOK, resp.StatusCode, answer)
	require.Equal(t, []string{lockedToken}, s.discarded)
	require.Len(t, resp.Cookies(), 2)
	for _, c := range resp.Cookies() {
		require.Negative(t, c.MaxAge, c.Name)
	}
}
