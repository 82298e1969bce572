package delivery

import (
	"context"
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

func newSMS(t *testing.T, p http.Handler, from string) *SMS {
	t.Helper()
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	address, err := url.Parse(server.URL)
	require.NoError(t, err)
	return NewSMS(SMSOptions{URL: address, AccountSID: "AC1", Token: "secret", From: from, Timeout: 5 * time.Second})
}

func TestSMSIsTwiliosMessageResource(t *testing.T) {
	p := &provider{status: http.StatusCreated, body: `{"sid":"SM1","status":"queued"}`}
	require.NoError(t, newSMS(t, p, "+61480000000").Send(t.Context(), "+61491570156", "hello"))
	require.Equal(t, "/2010-04-01/Accounts/AC1/Messages.json", p.last.URL.Path)
	user, password, _ := p.last.BasicAuth()
	require.Equal(t, "AC1:secret", user+":"+password)
	require.Equal(t, url.Values{"To": {"+61491570156"}, "From": {"+61480000000"}, "Body": {"hello"}}, p.form)
	require.NoError(t, newSMS(t, p, "MG0123").Send(t.Context(), "+61491570156", "hello"))
	require.Equal(t, "MG0123", p.form.Get("MessagingServiceSid"))
	require.False(t, p.form.Has("From"))
}

func TestSMSRefusals(t *testing.T) {
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
		err := newSMS(t, &provider{status: c.status, body: c.body}, "+61480000000").Send(t.Context(), "+61491570156", "hello")
		require.Equal(t, c.code, Code(err))
		require.Equal(t, c.temporary, Temporary(err), c.code)
		require.NotContains(t, err.Error(), "+614", "what the provider says is not passed on")
	}
}

func TestSMSProviderThatSaysNothing(t *testing.T) {
	thaw := make(chan struct{})
	sms := newSMS(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-thaw }), "+61480000000")
	t.Cleanup(func() { close(thaw) })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := sms.Send(ctx, "+61491570156", "hello")
	require.Equal(t, "timeout", Code(err))
	require.True(t, Temporary(err))
	gone := httptest.NewServer(nil)
	address, _ := url.Parse(gone.URL)
	gone.Close()
	sms = NewSMS(SMSOptions{URL: address, AccountSID: "AC1", Timeout: time.Second})
	require.Equal(t, "connect", Code(sms.Send(t.Context(), "+61491570156", "hello")))
}

func TestTexts(t *testing.T) {
	text := PINText("app.example.com", "123456")
	require.True(t, strings.HasSuffix(text, "\n\n@app.example.com #123456"))
	require.LessOrEqual(t, len(text), 160, "one segment")
	subject, body := PINMail("app.example.com", "123456")
	require.NotContains(t, subject, "123456")
	require.Contains(t, body, "123456")
}
