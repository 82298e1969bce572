package delivery

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// provider answers every request with a status and a body, and remembers the last one.
type provider struct {
	status int
	body   string
	last   *http.Request
	form   url.Values
}

// ServeHTTP implements http.Handler.
func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.last = r
	_ = r.ParseForm()
	p.form = r.PostForm
	if p.status == http.StatusFound {
		w.Header().Set("Location", "/elsewhere")
	}
	w.WriteHeader(p.status)
	_, _ = io.WriteString(w, p.body)
}

func newTwilio(t *testing.T, p http.Handler, from string) *Twilio {
	t.Helper()
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	address, err := url.Parse(server.URL)
	require.NoError(t, err)
	return NewTwilio(TwilioOptions{
		URL: address, AccountSID: "AC1", Token: "secret", From: from, Timeout: 5 * time.Second, Reports: "https://app.example.com/webhooks/sms/twilio",
	})
}

var hello = Text{ID: "id-1", To: "+61491570156", Body: "hello"}

func TestTwiliosMessageResource(t *testing.T) {
	p := &provider{status: http.StatusCreated, body: `{"sid":"SM1","status":"queued"}`}
	message, err := newTwilio(t, p, "+61480000000").Send(t.Context(), hello)
	require.NoError(t, err)
	require.Equal(t, "SM1", message)
	require.Equal(t, "/2010-04-01/Accounts/AC1/Messages.json", p.last.URL.Path)
	user, password, _ := p.last.BasicAuth()
	require.Equal(t, "AC1:secret", user+":"+password)
	require.Equal(t, url.Values{
		"To": {"+61491570156"}, "From": {"+61480000000"}, "Body": {"hello"},
		"StatusCallback": {"https://app.example.com/webhooks/sms/twilio?message=id-1"},
	}, p.form)
	service := newTwilio(t, p, "MG0123")
	_, err = service.Send(t.Context(), hello)
	require.NoError(t, err)
	require.Equal(t, "MG0123", p.form.Get("MessagingServiceSid"))
	require.False(t, p.form.Has("From"))
	firms := hello
	firms.From = "MGTax"
	_, err = service.Send(t.Context(), firms)
	require.NoError(t, err)
	require.Equal(t, "MGTax", p.form.Get("From"), "a firm's sender name is no messaging service")
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		status    int
		body      string
		code      string
		temporary bool
	}{
		{400, `{"code":21211,"message":"Invalid 'To' Phone Number: +61491570156"}`, "sms_21211", false},
		{401, `{"code":20003}`, "sms_20003", false},
		{429, `{"code":20429}`, "sms_20429", true},
		{503, `<html>`, "http_503", true},
		{302, ``, "http_302", false},
		{404, strings.Repeat("x", 1<<20), "http_404", false},
	} {
		_, err := newTwilio(t, &provider{status: c.status, body: c.body}, "+61480000000").Send(t.Context(), hello)
		require.Equal(t, c.code, Code(err))
		require.Equal(t, c.temporary, Temporary(err), c.code)
		require.NotContains(t, err.Error(), "+614", "what the provider says is not passed on")
	}
}

// frozen takes requests and says nothing for as long as the caller waits.
var frozen = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // only then is the caller's leaving noticed
	<-r.Context().Done()
})

func TestAProviderThatSaysNothing(t *testing.T) {
	server := httptest.NewServer(frozen)
	t.Cleanup(server.Close)
	address, _ := url.Parse(server.URL)
	sms := NewTwilio(TwilioOptions{URL: address, AccountSID: "AC1", Timeout: 50 * time.Millisecond})
	_, err := sms.Send(t.Context(), hello)
	require.Equal(t, "timeout", Code(err))
	require.True(t, Temporary(err))
	gone := httptest.NewServer(nil)
	address, _ = url.Parse(gone.URL)
	gone.Close()
	_, err = NewTwilio(TwilioOptions{URL: address, AccountSID: "AC1", Timeout: time.Second}).Send(t.Context(), hello)
	require.Equal(t, "connect", Code(err))
}

// pair is an SMS with Twilio first and a webhook second, and what was tried.
func pair(t *testing.T, first, second http.Handler, timeout time.Duration, now func() time.Time) (*SMS, *[]Attempt) {
	t.Helper()
	one, two := httptest.NewUnstartedServer(first), httptest.NewUnstartedServer(second)
	for _, s := range []*httptest.Server{one, two} {
		s.Start()
		t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	}
	a, _ := url.Parse(one.URL)
	b, _ := url.Parse(two.URL)
	return NewSMS(timeout, now,
		NewTwilio(TwilioOptions{URL: a, AccountSID: "AC1", Token: "t", From: "+61480000000", Timeout: timeout}),
		NewWebhook(WebhookOptions{URL: b, Secret: "s", Timeout: timeout, Now: now})), &[]Attempt{}
}

func TestTheSecondProviderTakesOver(t *testing.T) {
	for name, first := range map[string]http.Handler{
		"refuses": &provider{status: 400, body: `{"code":21610}`}, "wrong token": &provider{status: 401, body: `{"code":20003}`},
		"fails": &provider{status: 503}, "too many": &provider{status: 429}, "frozen": frozen,
	} {
		t.Run(name, func(t *testing.T) {
			second := &provider{status: http.StatusAccepted, body: `{"message":"m-7"}`}
			sms, tried := pair(t, first, second, 2*time.Second, time.Now)
			by, message, err := sms.Send(t.Context(), hello, func(a Attempt) { *tried = append(*tried, a) })
			require.NoError(t, err)
			require.Equal(t, []string{"webhook", "m-7"}, []string{by, message})
			require.Len(t, *tried, 2)
			require.NotEmpty(t, (*tried)[0].Code)
			require.Equal(t, "webhook", (*tried)[0].Next)
			require.Equal(t, Attempt{Provider: "webhook"}, (*tried)[1])
		})
	}
}

func TestAProviderThatFailedIsTriedLastForAWhile(t *testing.T) {
	now := time.Now()
	first, second := &provider{status: 503}, &provider{status: 200}
	sms, tried := pair(t, first, second, time.Second, func() time.Time { return now })
	send := func() {
		_, _, err := sms.Send(t.Context(), hello, func(a Attempt) { *tried = append(*tried, a) })
		require.NoError(t, err)
	}
	send()
	send()
	require.Len(t, *tried, 3, "the second message does not wait for the first provider")
	now, first.status, first.body = now.Add(restFor), 201, `{"sid":"SM1"}`
	send()
	require.Equal(t, "twilio", (*tried)[3].Provider)
}

func TestNobodyTakesIt(t *testing.T) {
	sms, tried := pair(t, &provider{status: 503}, &provider{status: 410, body: `{"code":"call +61491570156"}`}, time.Second, time.Now)
	_, _, err := sms.Send(t.Context(), hello, func(a Attempt) { *tried = append(*tried, a) })
	require.Equal(t, "http_410", Code(err), "what is no code is not passed on")
	require.Len(t, *tried, 2)
	_, _, err = NewSMS(time.Second, time.Now).Send(t.Context(), hello, func(Attempt) {})
	require.Equal(t, "unset", Code(err))
}
