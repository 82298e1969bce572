package delivery

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" // what the provider signs with; HMAC does not need it free of collisions
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/concord-suite/concord/services/auth/internal/receipt"
)

// TwilioName is the name of the provider that speaks Twilio's API.
const TwilioName = "twilio"

// Twilio sends text messages by Twilio's API (version 2010-04-01, Messages resource).
type Twilio struct {
	endpoint string
	options  TwilioOptions
	client   *http.Client
}

// TwilioOptions says which account sends.
type TwilioOptions struct {
	// URL is the API's address without a path: https://api.twilio.com.
	URL *url.URL
	// AccountSID and Token are the account's.
	AccountSID, Token string
	// From is a number in E.164 form, a registered sender name, or the SID of a messaging service ("MG...").
	From string
	// Reports is where states are reported to; empty for nowhere.
	Reports string
	// Timeout bounds one message.
	Timeout time.Duration
}

// NewTwilio makes the provider.
func NewTwilio(o TwilioOptions) *Twilio {
	endpoint := o.URL.JoinPath("2010-04-01", "Accounts", o.AccountSID, "Messages.json")
	return &Twilio{endpoint: endpoint.String(), options: o, client: newClient(o.Timeout)}
}

// Name implements Provider.
func (t *Twilio) Name() string { return TwilioName }

// messageParam is the parameter that carries our id in the address of reports: so a report is understood that comes before
// the answer to the call, or in place of it.
const messageParam = "message"

// Send implements Provider.
func (t *Twilio) Send(ctx context.Context, text Text) (message string, err error) {
	ctx, cancel := context.WithTimeout(ctx, t.options.Timeout)
	defer cancel()
	from := t.options.From
	if text.From != "" {
		from = text.From
	}
	form := url.Values{"To": {text.To}, "Body": {text.Body}}
	if strings.HasPrefix(from, "MG") && text.From == "" {
		form.Set("MessagingServiceSid", from)
	} else {
		form.Set("From", from)
	}
	if t.options.Reports != "" {
		form.Set("StatusCallback", t.options.Reports+"?"+url.Values{messageParam: {text.ID}}.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return "", &Error{Code: "request"}
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.SetBasicAuth(t.options.AccountSID, t.options.Token)
	resp, err := t.client.Do(req)
	if err != nil {
		return "", unreached(ctx, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	var said struct {
		SID  string `json:"sid"`
		Code int    `json:"code"`
	}
	readable := err == nil && json.Unmarshal(body, &said) == nil
	switch {
	case resp.StatusCode == http.StatusCreated || resp.StatusCode == http.StatusOK:
		return said.SID, nil // the message is taken once the status says so, whatever becomes of the rest of the answer
	case err != nil:
		return "", unreached(ctx, err)
	case readable && said.Code != 0:
		return "", refusal(resp.StatusCode, "sms_"+strconv.Itoa(said.Code))
	}
	return "", refusal(resp.StatusCode, "")
}

// refusal is the error of an answer. 429 and 5xx pass; other answers to the same message stay the same.
func refusal(status int, code string) *Error {
	if code == "" {
		code = "http_" + strconv.Itoa(status)
	}
	return &Error{Code: code, Temporary: status == http.StatusTooManyRequests || status >= 500}
}

// unreached tells a provider that says nothing from one that is not there.
func unreached(ctx context.Context, err error) *Error {
	network, ok := errors.AsType[net.Error](err)
	if ctx.Err() != nil || (ok && network.Timeout()) {
		return &Error{Code: "timeout", Temporary: true}
	}
	return &Error{Code: "connect", Temporary: true}
}

// twilioStates are the words of a message's state that say something. The others are steps in between.
var twilioStates = map[string]receipt.State{
	"accepted": receipt.Sent, "queued": receipt.Sent, "sending": receipt.Sent, "sent": receipt.Sent,
	"delivered": receipt.Delivered, "partially_delivered": receipt.Delivered, "read": receipt.Delivered,
	"undelivered": receipt.Undelivered, "failed": receipt.Undelivered, "canceled": receipt.Undelivered,
}

// Read implements Provider. What is signed is the address and, behind it, name and value of each parameter in the order of
// the names, by HMAC-SHA1 with the account's token. Whether a port stands in the address varies at the sender, so both
// forms count.
func (t *Twilio) Read(r Report) (Status, error) {
	form, err := url.ParseQuery(string(r.Body))
	if err != nil {
		return Status{}, ErrReport
	}
	signature, err := base64.StdEncoding.DecodeString(r.Signature)
	if err != nil || len(signature) != sha1.Size {
		return Status{}, ErrSignature
	}
	at, err := url.Parse(r.URL)
	if err != nil {
		return Status{}, ErrReport
	}
	signed := false
	for _, address := range portForms(r.URL, at) {
		signed = signed || hmac.Equal(signature, twilioMAC(t.options.Token, address, form))
	}
	if !signed {
		return Status{}, ErrSignature
	}
	s := Status{ID: at.Query().Get(messageParam), Message: form.Get("MessageSid"), State: twilioStates[form.Get("MessageStatus")]}
	if code, err := strconv.ParseUint(form.Get("ErrorCode"), 10, 32); err == nil && code > 0 {
		s.Code = "sms_" + strconv.FormatUint(code, 10)
	}
	if s.ID == "" && s.Message == "" {
		return Status{}, ErrReport
	}
	return s, nil
}

// portForms are the address as it came, with the port of its scheme, and without a port.
func portForms(raw string, at *url.URL) []string {
	forms := []string{raw}
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok || at.Host == "" || !strings.HasPrefix(rest, at.Host) {
		return forms
	}
	behind := rest[len(at.Host):]
	if at.Port() != "" {
		return append(forms, scheme+"://"+strings.TrimSuffix(at.Host, ":"+at.Port())+behind)
	}
	port := "443"
	if scheme == "http" {
		port = "80"
	}
	return append(forms, scheme+"://"+at.Host+":"+port+behind)
}

// twilioMAC computes the signature. A parameter that comes several times counts each different value once, in order.
func twilioMAC(token, address string, form url.Values) []byte {
	mac := hmac.New(sha1.New, []byte(token))
	mac.Write([]byte(address))
	for _, name := range slices.Sorted(maps.Keys(form)) {
		values := slices.Compact(slices.Sorted(slices.Values(form[name])))
		for _, value := range values {
			mac.Write([]byte(name + value))
		}
	}
	return mac.Sum(nil)
}
