package sinks

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/concord-suite/concord/sim/world"
)

// deliver moves a message through its states in the background and tells the callback each time.
func (g *Gateway) deliver(m *world.Message) {
	g.work.Go(func() {
		for _, status := range []string{sent, m.Fate} {
			if status == m.Fate && !g.wait(m.FateDelay.Duration()) {
				return // a later start finds the message under way and goes on
			}
			next := *m
			next.Status = status
			if status == m.Fate {
				next.Error = m.FateCode
			}
			err := g.inbox.store.Update(func(tx *world.Tx) error {
				tx.Messages.Put(tx, next.ID, &next)
				return nil
			})
			if err != nil {
				return
			}
			if !m.FateSilent {
				// Like the real service it does not insist when nobody takes it.
				_, _ = g.Tell(g.ctx, &next, m.FateForged)
			}
		}
	})
}

// wait waits for a time and answers false when the service is closed before.
func (g *Gateway) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return g.ctx.Err() == nil
	case <-g.ctx.Done():
		return false
	}
}

// Why a status is not told.
var (
	errNoCallback = errors.New("the message names no address for its states")
	errFar        = errors.New("the address for its states is not on this machine, and the simulated world calls nobody else")
)

// Tell posts the status of a message to its callback, signed as the real service signs, or with another key when it is to
// be forged. It returns the status of the answer.
func (g *Gateway) Tell(ctx context.Context, m *world.Message, forged bool) (int, error) {
	if m.Callback == "" {
		return 0, errNoCallback
	}
	if u, err := url.Parse(m.Callback); err != nil || !near(u.Hostname()) {
		return 0, errFar
	}
	body, signature, header, kind := []byte(nil), "", "X-Twilio-Signature", "application/x-www-form-urlencoded"
	if m.Via == webhook {
		header, kind = hookHeader, "application/json"
		body, signature = hookReport(m, g.inbox.store.Now())
	} else {
		body, signature = Callback(m, m.Status, m.Error)
	}
	if forged {
		signature = flip(signature)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.Callback, strings.NewReader(string(body)))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", kind)
	req.Header.Set(header, signature)
	answer, err := g.http.Do(req)
	if err != nil {
		return 0, err
	}
	answer.Body.Close()
	return answer.StatusCode, nil
}

// near tells whether a host is this machine.
func near(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// flip is a signature of the same form that is wrong.
func flip(signature string) string {
	i := len(signature) / 2
	other := byte('0')
	if signature[i] == other {
		other = '1'
	}
	return signature[:i] + string(other) + signature[i+1:]
}

// Callback is the body of a status callback of Twilio's API and its signature.
func Callback(m *world.Message, status string, code int) (body []byte, signature string) {
	form := url.Values{"MessageSid": {m.SID}, "SmsSid": {m.SID}, "MessageStatus": {status}, "SmsStatus": {status},
		"To": {m.To}, "From": {m.From}, "AccountSid": {m.Account}, "ApiVersion": {"2010-04-01"}}
	if code != 0 {
		form.Set("ErrorCode", strconv.Itoa(code))
	}
	return []byte(form.Encode()), Sign(m.Callback, form)
}

// Sign computes the X-Twilio-Signature of a callback: HMAC-SHA1 under the account's token of the URL
// followed by each parameter's name and value in the order of the names.
func Sign(callback string, form url.Values) string {
	mac := hmac.New(sha1.New, []byte(AuthToken))
	mac.Write([]byte(callback))
	for _, name := range slices.Sorted(maps.Keys(form)) {
		mac.Write([]byte(name + form.Get(name)))
	}
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
