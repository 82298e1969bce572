package gateway_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/gateway"
)

// An address whose bytes are no text is the caller's mistake, wherever in it they stand.
func TestAddressesThatAreNoTextAreRefused(t *testing.T) {
	s := start(t, nil)
	for _, path := range []string{
		"/v1/firms/%ff/clients", "/v1/" + firm + "/clients?query=%ff", "/v1/" + firm + "/clients?page_token=%c3",
		"/v1/firms/%ff/documents/d/content", "/v1/firms/%ff/runs/r:watch",
	} {
		resp, body := s.do(t, "GET", path, "", "Authorization", "Bearer "+token)
		require.Equal(t, 400, resp.StatusCode, path)
		require.Equal(t, "INVALID_REQUEST", problemOf(t, resp, body)["reason"], path)
	}
	require.Empty(t, s.authorization("ListClients"))
	resp, body := s.do(t, "GET", "/v1/"+firm+"/clients?query=%C3%A9", "", "Authorization", "Bearer "+token)
	require.Equal(t, 200, resp.StatusCode, body)
}

// How long services may work on a call is not for strangers to say.
func TestForeignDeadlinesStayOutside(t *testing.T) {
	s := start(t, nil)
	resp, body := s.do(t, "GET", "/v1/"+firm+"/clients", "", "Grpc-Timeout", "1n", "Authorization", "Bearer "+token)
	require.Equal(t, 200, resp.StatusCode, body)
}

// A provider's answer reaches connector whatever is in it: it ends the attempt, and the person learns why.
func TestCallbackPassesOnWhatIsNoText(t *testing.T) {
	s := start(t, nil)
	resp, _ := s.do(t, "GET", "/oauth/callback?state=s&error=server_error&error_description=x"+strings.Repeat("%e2%82%ac", 700), "")
	require.Equal(t, 302, resp.StatusCode)
	require.Equal(t, "server_error", s.complete.GetError())
	require.True(t, utf8.ValidString(s.complete.GetErrorDescription()))

	s.do(t, "GET", "/oauth/callback?state=s&error=%ffdenied&iss=%ff", "")
	require.Equal(t, "\uFFFDdenied", s.complete.GetError())
}

// Whoever has one IPv6 address has 2^64 of them.
func TestOneIPv6NetworkIsOneAddress(t *testing.T) {
	s := start(t, func(c *gateway.Config) { c.SignInsPerMinute, c.TrustedProxies = 2, 1 })
	from := func(address string) int {
		resp, _ := s.do(t, "POST", "/v1/sign-in/challenges/c:verify", `{"pin":"123456"}`, "X-Forwarded-For", address)
		return resp.StatusCode
	}
	require.Equal(t, 200, from("2001:db8:1:2::1"))
	require.Equal(t, 200, from("2001:db8:1:2:ffff::2"))
	require.Equal(t, 429, from("2001:db8:1:2:3:4:5:6"))
	require.Equal(t, 200, from("2001:db8:1:3::1"), "another network")
	require.Equal(t, 200, from("192.0.2.1"))
	require.Equal(t, 200, from("192.0.2.2"))
	require.Equal(t, 200, from("::ffff:192.0.2.2"), "the same address in the other notation")
	require.Equal(t, 429, from("192.0.2.2"))
}
