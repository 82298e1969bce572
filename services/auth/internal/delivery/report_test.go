package delivery

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/services/auth/internal/receipt"
)

var reported = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

// twilioReport is a report as Twilio signs it, to an address.
func twilioReport(address string, form url.Values) Report {
	mac := twilioMAC("12345", address, form)
	return Report{URL: address, Signature: base64.StdEncoding.EncodeToString(mac), Body: []byte(form.Encode()), Now: reported}
}

var twilio = NewTwilio(TwilioOptions{URL: &url.URL{Scheme: "https", Host: "api.example"}, AccountSID: "AC1", Token: "12345"})

// TestTwiliosPublishedExample holds the signature against the example of the provider's documentation.
func TestTwiliosPublishedExample(t *testing.T) {
	form := url.Values{
		"Digits": {"1234"}, "CallSid": {"CA1234567890ABCDE"}, "To": {"+18005551212"}, "Caller": {"+14158675309"}, "From": {"+14158675309"},
	}
	address := "https://mycompany.com/myapp.php?foo=1&bar=2"
	require.Equal(t, "RSOYDt4T1cUTdK1PDd93/VVr8B8=", base64.StdEncoding.EncodeToString(twilioMAC("12345", address, form)))
	_, err := twilio.Read(Report{URL: address, Signature: "RSOYDt4T1cUTdK1PDd93/VVr8B8=", Body: []byte(form.Encode())})
	require.ErrorIs(t, err, ErrReport, "signed, but about no message")
}

func TestTwiliosReports(t *testing.T) {
	const address = "https://app.example.com/webhooks/sms/twilio?message=id-1"
	form := url.Values{"MessageSid": {"SM1"}, "MessageStatus": {"undelivered"}, "ErrorCode": {"30003"}, "To": {"+61491570156"}}
	status, err := twilio.Read(twilioReport(address, form))
	require.NoError(t, err)
	require.Equal(t, Status{ID: "id-1", Message: "SM1", State: receipt.Undelivered, Code: "sms_30003"}, status)
	for word, want := range map[string]receipt.State{
		"queued": receipt.Sent, "sent": receipt.Sent, "delivered": receipt.Delivered, "read": receipt.Delivered, "failed": receipt.Undelivered, "canceled": receipt.Undelivered, "received": receipt.Unknown, "": receipt.Unknown,
	} {
		status, err := twilio.Read(twilioReport(address, url.Values{"MessageSid": {"SM1"}, "MessageStatus": {word}}))
		require.NoError(t, err)
		require.Equal(t, want, status.State, word)
	}
	for _, sent := range []string{
		"https://app.example.com:443/webhooks/sms/twilio?message=id-1", "https://app.example.com/webhooks/sms/twilio?message=id-1",
	} {
		r := twilioReport(sent, form)
		r.URL = address
		_, err := twilio.Read(r)
		require.NoError(t, err, "the sender is not consistent about ports")
	}
	r := twilioReport("https://app.example.com/hook?message=id-1", form)
	r.URL = "https://app.example.com:8443/hook?message=id-1"
	_, err = twilio.Read(r)
	require.NoError(t, err)
}

func TestForgedTwilioReports(t *testing.T) {
	const address = "https://app.example.com/webhooks/sms/twilio?message=id-1"
	form := url.Values{"MessageSid": {"SM1"}, "MessageStatus": {"undelivered"}}
	good := twilioReport(address, form)
	for name, change := range map[string]func(r *Report){
		"another state":   func(r *Report) { r.Body = []byte("MessageSid=SM1&MessageStatus=delivered") },
		"another message": func(r *Report) { r.URL = strings.Replace(address, "id-1", "id-2", 1) },
		"another site":    func(r *Report) { r.URL = strings.Replace(address, "app", "test", 1) },
		"one more value":  func(r *Report) { r.Body = []byte(string(r.Body) + "&MessageStatus=delivered") },
		"no signature":    func(r *Report) { r.Signature = "" },
		"half of it":      func(r *Report) { r.Signature = r.Signature[:8] },
		"not base64":      func(r *Report) { r.Signature = "!" + r.Signature[1:] },
		"another token":   func(r *Report) { r.Signature = base64.StdEncoding.EncodeToString(twilioMAC("54321", address, form)) },
	} {
		t.Run(name, func(t *testing.T) {
			r := good
			change(&r)
			_, err := twilio.Read(r)
			require.ErrorIs(t, err, ErrSignature)
		})
	}
	r := good
	r.Body = []byte("%zz")
	_, err := twilio.Read(r)
	require.ErrorIs(t, err, ErrReport)
}

var webhook = NewWebhook(WebhookOptions{URL: &url.URL{Scheme: "https", Host: "sms.example"}, Secret: "a shared secret", Now: func() time.Time { return reported }})

func webhookReport(at time.Time, body string) Report {
	return Report{URL: "https://app.example.com/webhooks/sms/webhook", Signature: Sign("a shared secret", at, []byte(body)), Body: []byte(body), Now: reported}
}

func TestWebhookReports(t *testing.T) {
	status, err := webhook.Read(webhookReport(reported, `{"id":"id-1","message":"m-7","state":"undelivered","code":"absent","more":1}`))
	require.NoError(t, err)
	require.Equal(t, Status{ID: "id-1", Message: "m-7", State: receipt.Undelivered, Code: "webhook_absent"}, status)
	status, err = webhook.Read(webhookReport(reported.Add(4*time.Minute), `{"id":"id-1","state":"delivered","code":"+61491570156"}`))
	require.NoError(t, err)
	require.Equal(t, Status{ID: "id-1", State: receipt.Delivered}, status)
	r := webhookReport(reported, `{"id":"id-1","state":"sent"}`)
	r.Signature += ",v1=00, v2=x"
	_, err = webhook.Read(r)
	require.NoError(t, err, "other signatures may stand beside the right one")
}

func TestForgedAndStaleWebhookReports(t *testing.T) {
	body := `{"id":"id-1","state":"undelivered"}`
	for name, r := range map[string]Report{
		"stale":          webhookReport(reported.Add(-6*time.Minute), body),
		"from tomorrow":  webhookReport(reported.Add(6*time.Minute), body),
		"another secret": {Signature: Sign("another secret", reported, []byte(body)), Body: []byte(body), Now: reported},
		"another body":   {Signature: Sign("a shared secret", reported, []byte(body)), Body: []byte(body + " "), Now: reported},
		"another time":   {Signature: strings.Replace(Sign("a shared secret", reported, []byte(body)), "t=17", "t=017", 1), Body: []byte(body), Now: reported},
		"nothing":        {Body: []byte(body), Now: reported},
		"no time":        {Signature: "v1=00", Body: []byte(body), Now: reported},
	} {
		_, err := webhook.Read(r)
		require.ErrorIs(t, err, ErrSignature, name)
	}
	for _, body := range []string{"", "{", "[]", "{}", `{"id":7}`} {
		_, err := webhook.Read(webhookReport(reported, body))
		require.ErrorIs(t, err, ErrReport, body)
	}
}

func TestWebhookMessages(t *testing.T) {
	var got []byte
	var head http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, _ = io.ReadAll(r.Body)
		head = r.Header
		_, _ = io.WriteString(w, `{"message":"m-7"}`)
	}))
	t.Cleanup(server.Close)
	address, _ := url.Parse(server.URL + "/texts")
	w := NewWebhook(WebhookOptions{
		URL: address, Secret: "a shared secret", From: "Concord", Timeout: time.Second, Now: func() time.Time { return reported },
		Reports: "https://app.example.com/webhooks/sms/webhook",
	})
	message, err := w.Send(t.Context(), Text{ID: "id-1", To: "+61491570156", Body: "hello", Expires: reported.Add(time.Minute)})
	require.NoError(t, err)
	require.Equal(t, "m-7", message)
	require.JSONEq(t, `{"id":"id-1","to":"+61491570156","from":"Concord","text":"hello","expire_time":"2026-03-01T09:01:00Z",
		"report_url":"https://app.example.com/webhooks/sms/webhook"}`, string(got))
	require.Equal(t, "id-1", head.Get("Idempotency-Key"))
	require.NoError(t, w.verify(Report{Signature: head.Get(SignatureHeader), Body: got, Now: reported}))
}

func FuzzTwilioReport(f *testing.F) {
	const address = "https://app.example.com/webhooks/sms/twilio?message=id-1"
	f.Add(address, "MessageSid=SM1&MessageStatus=delivered", "c2lnbmF0dXJl")
	f.Add("http://[::1]:80/x?%zz", "a=b&a=c;%", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=")
	f.Add("://", "MessageStatus=%FF&ErrorCode=99999999999", "")
	f.Fuzz(func(t *testing.T, address, body, signature string) {
		if _, err := twilio.Read(Report{URL: address, Body: []byte(body), Signature: signature, Now: reported}); err == nil {
			t.Fatal("a report nobody signed is believed")
		}
		form, err := url.ParseQuery(body)
		if err != nil {
			return
		}
		status, err := twilio.Read(twilioReport(address, form))
		if err == nil {
			checkStatus(t, status)
		}
	})
}

func FuzzWebhookReport(f *testing.F) {
	f.Add(`{"id":"id-1","state":"delivered"}`, "t=1772355600,v1=00")
	f.Add(`{"id":"`+strings.Repeat("x", 300)+`","message":null,"code":"a b"}`, "t=,v1=,,=")
	f.Fuzz(func(t *testing.T, body, signature string) {
		if _, err := webhook.Read(Report{Body: []byte(body), Signature: signature, Now: reported}); err == nil {
			t.Fatal("a report nobody signed is believed")
		}
		status, err := webhook.Read(webhookReport(reported, body))
		if err == nil {
			require.True(t, json.Valid([]byte(body)))
			checkStatus(t, status)
		}
	})
}

// checkStatus makes sure that what is written into logs and tables is what it claims to be.
func checkStatus(t *testing.T, s Status) {
	require.NotEqual(t, "", s.ID+s.Message)
	require.True(t, s.State >= receipt.Unknown && s.State <= receipt.Delivered)
	require.Regexp(t, `^$|^(sms_[0-9]{1,10}|webhook_[a-z][a-z0-9_]{0,31})$`, s.Code)
}
