package transport

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/concord-suite/concord/services/connector/internal/provider"
)

// problem is what a provider's gateway answers in JSON before an API is asked. Its keys come in two spellings, Title and
// title; encoding/json reads both.
type problem struct {
	Title   string
	Status  json.RawMessage
	Detail  string
	Message string
}

// maxProblem bounds what is read of an answer that says no.
const maxProblem = 64 << 10

// Problem turns an answer that is not a success into a *provider.Error. refusal reads an API's own error document and may
// be nil. It reads the body and does not close it.
func Problem(resp *http.Response, now time.Time, refusal func(status int, body []byte) *provider.Error) error {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxProblem)) // what is missing of an explanation changes no verdict
	var p problem
	_ = json.Unmarshal(body, &p) // an answer without JSON, or without a body, is explained by its status
	e := &provider.Error{RetryAfter: RetryAfter(resp.Header, now), Cause: fmt.Errorf("HTTP %d %s", resp.StatusCode, p.detail())}
	var own *provider.Error
	if refusal != nil {
		own = refusal(resp.StatusCode, body)
	}
	switch code := resp.StatusCode; {
	case code == http.StatusUnauthorized && strings.EqualFold(p.Detail, "AuthorizationUnsuccessful"):
		e.Kind, e.Text = provider.ErrScope, "the consent, or the app's tier at the provider, does not cover this"
	case code == http.StatusUnauthorized:
		e.Kind, e.Text = provider.ErrToken, "the provider does not accept the access token"
	case code == http.StatusForbidden:
		e.Kind, e.Text = provider.ErrForbidden, "the provider does not let the person who consented do this"
		if strings.EqualFold(p.Detail, "AuthenticationUnsuccessful") {
			e.Cause = fmt.Errorf("%w: %w", provider.ErrNoAccess, e.Cause)
		}
	case code == http.StatusTooManyRequests:
		e.Kind, e.Text, e.Limit = provider.ErrLimit, "the provider's call limit is used up", limit(resp.Header)
	case code >= 500, code == http.StatusRequestTimeout:
		e.Kind, e.Text = provider.ErrUnavailable, "the provider has an error of its own"
	case own != nil:
		e.Kind, e.Text, e.Values = own.Kind, own.Text, own.Values
	case code >= 400:
		e.Kind, e.Text = provider.ErrRefused, fmt.Sprintf("status %d %s", code, p.detail())
	default:
		e.Kind, e.Text = provider.ErrInvalid, fmt.Sprintf("the provider answered with status %d", code)
	}
	return e
}

// detail returns the problem in a few words of the provider's.
func (p problem) detail() string {
	for _, text := range []string{p.Detail, p.Message, p.Title} {
		if text = Line(text); text != "" {
			return text
		}
	}
	return ""
}

// limit returns which limit refused a call. The header's spelling differs between reports.
func limit(h http.Header) string {
	switch name := strings.ToLower(strings.ReplaceAll(h.Get("X-Rate-Limit-Problem"), "-", "")); name {
	case "day", "daily":
		return "day"
	case "concurrent", "appminute":
		return name
	default:
		return "minute"
	}
}

// longestWait bounds how long a provider can ask to wait: its longest window is a day, and clocks may differ by an hour.
// More than that is a mistake, and would keep a firm waiting that nothing stands against.
const longestWait = 25 * time.Hour

// RetryAfter reads how long a provider asks to wait: seconds, or an HTTP date. 0 when it does not say.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil {
		return time.Duration(min(max(seconds, 0), int(longestWait/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(at.Sub(now), 0), longestWait)
	}
	return 0
}

// Left reads a header that counts what is left of a limit, -1 when it is not there.
func Left(h http.Header, name string) int {
	if n, err := strconv.Atoi(h.Get(name)); err == nil && n >= 0 {
		return n
	}
	return -1
}

// ServerTime reads the provider's clock from an answer; now stands in for one that does not say.
func ServerTime(h http.Header, now time.Time) time.Time {
	if at, err := http.ParseTime(h.Get("Date")); err == nil {
		return at.UTC()
	}
	return now.UTC()
}

// maxWords bounds what is repeated of a provider's sentence, in letters: enough to be understood.
const maxWords = 200

// Line makes a provider's sentence fit for people, logs and the database: one line, no control characters, cut between
// letters.
func Line(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	letters := []rune(strings.Join(strings.Fields(text), " "))
	return string(letters[:min(len(letters), maxWords)])
}
