package transport

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/services/connector/internal/provider"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func answered(status int, body string, header ...string) *provider.Error {
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	err := Problem(&http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}, noon,
		func(_ int, body []byte) *provider.Error {
			text, marked := strings.CutPrefix(string(body), "<e>")
			if !marked {
				return nil
			}
			return provider.Errorf(provider.ErrRefused, "%s", strings.TrimSuffix(text, "</e>"))
		})
	found, _ := errors.AsType[*provider.Error](err)
	return found
}

func TestProblem(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		kind   error
	}{
		"expired":              {401, `{"Title":"Unauthorized","Status":401,"Detail":"TokenExpired: token expired at 04/29/2020 09:22:02"}`, provider.ErrToken},
		"bad token":            {401, `{"Detail":"AuthenticationUnsuccessful"}`, provider.ErrToken},
		"without a body":       {401, ``, provider.ErrToken},
		"scope":                {401, `{"detail":"AuthorizationUnsuccessful"}`, provider.ErrScope},
		"lower-case keys":      {403, `{"title":"Forbidden","detail":"AuthenticationUnsuccessful"}`, provider.ErrForbidden},
		"limit":                {429, ``, provider.ErrLimit},
		"unavailable":          {503, `{"Title":"x"}`, provider.ErrUnavailable},
		"its own exception":    {500, `<e>Object reference</e>`, provider.ErrUnavailable},
		"gateway page":         {502, `<html>Bad Gateway</html>`, provider.ErrUnavailable},
		"timeout":              {408, ``, provider.ErrUnavailable},
		"refused in own words": {400, `<e>Invalid page token</e>`, provider.ErrRefused},
		"not found":            {404, `{"Title":"Not Found"}`, provider.ErrRefused},
		"redirect":             {302, ``, provider.ErrInvalid},
	} {
		require.ErrorIs(t, answered(c.status, c.body), c.kind, name)
	}
	require.Equal(t, "Invalid page token", answered(400, `<e>Invalid page token</e>`).Text)
	require.NotContains(t, answered(403, strings.Repeat("x", 1<<20)).Error(), strings.Repeat("x", 300), "bounded")
}

func TestLimits(t *testing.T) {
	for said, want := range map[string]string{"minute": "minute", "day": "day", "Daily": "day", "concurrent": "concurrent",
		"appminute": "appminute", "app-minute": "appminute", "": "minute", "other": "minute"} {
		require.Equal(t, want, answered(429, "", "X-Rate-Limit-Problem", said).Limit, said)
	}
	for said, want := range map[string]time.Duration{"22": 22 * time.Second, "66975": 66975 * time.Second, "": 0, "-5": 0, "soon": 0,
		"9223372036": longestWait, "9223372036854775807": longestWait, noon.AddDate(70, 0, 0).Format(http.TimeFormat): longestWait,
		noon.Add(time.Minute).Format(http.TimeFormat): time.Minute, noon.Add(-time.Minute).Format(http.TimeFormat): 0} {
		require.Equal(t, want, answered(429, "", "Retry-After", said).RetryAfter, said)
	}
}

func TestHeaders(t *testing.T) {
	h := http.Header{"X-Daylimit-Remaining": {"4997"}, "X-Other": {"many"}, "Date": {noon.Format(http.TimeFormat)}}
	require.Equal(t, 4997, Left(h, "X-DayLimit-Remaining"))
	require.Equal(t, -1, Left(h, "X-Other"))
	require.Equal(t, -1, Left(h, "X-None"))
	require.Equal(t, noon, ServerTime(h, time.Time{}))
	require.Equal(t, noon, ServerTime(http.Header{}, noon))
}

// TestNoRedirectIsFollowed: a bearer token belongs to the address it was meant for.
func TestNoRedirectIsFollowed(t *testing.T) {
	reached := false
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer elsewhere.Close()
	server := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusFound))
	defer server.Close()
	resp, err := NewClient().Get(server.URL)
	if err == nil {
		resp.Body.Close()
	}
	require.Error(t, err)
	require.False(t, reached)
}
