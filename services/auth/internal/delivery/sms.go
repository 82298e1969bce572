package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// SMS sends text messages by Twilio's API (version 2010-04-01, Messages resource).
type SMS struct {
	endpoint string
	sid      string
	token    string
	from     string
	timeout  time.Duration
	client   *http.Client
}

// SMSOptions says which account sends.
type SMSOptions struct {
	// URL is the API's address without a path: https://api.twilio.com.
	URL *url.URL
	// AccountSID and Token are the account's.
	AccountSID, Token string
	// From is a number in E.164 form, a registered sender name, or the SID of a messaging service ("MG...").
	From string
	// Timeout bounds one message.
	Timeout time.Duration
}

// NewSMS makes a sender.
func NewSMS(o SMSOptions) *SMS {
	endpoint := o.URL.JoinPath("2010-04-01", "Accounts", o.AccountSID, "Messages.json")
	return &SMS{
		endpoint: endpoint.String(), sid: o.AccountSID, token: o.Token, from: o.From, timeout: o.Timeout,
		client: &http.Client{
			// A redirect would carry number and text to somebody else.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{
				Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 4,
				IdleConnTimeout: time.Minute, TLSHandshakeTimeout: o.Timeout, ResponseHeaderTimeout: o.Timeout,
			},
		},
	}
}

// maxAnswer bounds what is read of an answer: a message resource has about a kilobyte.
const maxAnswer = 64 << 10

// Send hands a text to the provider for one number in E.164 form. A nil error means that the provider took it, not that
// it arrived.
func (s *SMS) Send(ctx context.Context, to, text string) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	form := url.Values{"To": {to}, "From": {s.from}, "Body": {text}}
	if strings.HasPrefix(s.from, "MG") {
		form.Del("From")
		form.Set("MessagingServiceSid", s.from)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return &Error{Code: "request"}
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.SetBasicAuth(s.sid, s.token)
	resp, err := s.client.Do(req)
	if err != nil {
		return unreached(ctx, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode == http.StatusCreated || resp.StatusCode == http.StatusOK {
		return nil // the message is taken once the status says so, whatever becomes of the rest of the answer
	}
	if err != nil {
		return unreached(ctx, err)
	}
	return refusal(resp.StatusCode, body)
}

// refusal reads the code of an error answer. 429 and 5xx pass; other answers to the same message stay the same.
func refusal(status int, body []byte) *Error {
	e := &Error{Code: "http_" + strconv.Itoa(status), Temporary: status == http.StatusTooManyRequests || status >= 500}
	var said struct {
		Code int `json:"code"`
	}
	if json.Unmarshal(body, &said) == nil && said.Code != 0 {
		e.Code = "sms_" + strconv.Itoa(said.Code)
	}
	return e
}

// unreached tells a provider that says nothing from one that is not there.
func unreached(ctx context.Context, err error) *Error {
	network, ok := errors.AsType[net.Error](err)
	if ctx.Err() != nil || (ok && network.Timeout()) {
		return &Error{Code: "timeout", Temporary: true}
	}
	return &Error{Code: "connect", Temporary: true}
}
