package sinks

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/concord-suite/concord/sim/world"
)

// The generic webhook: where it is, and the secret that both sides sign with.
const (
	WebhookPath   = "/sms/webhook"
	WebhookSecret = "simulated-webhook-secret-of-enough-length"
)

const (
	webhook    = "webhook"
	hookHeader = "Concord-Signature"
	// maxHook bounds a message, maxAge how old a signature may be.
	maxHook = 64 << 10
	maxAge  = 5 * time.Minute
)

// hook takes a text message by the generic webhook. The same id again is answered as the first time, and sent once.
func (g *Gateway) hook(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxHook))
	if err != nil {
		hookError(w, http.StatusRequestEntityTooLarge, "too_large")
		return
	}
	if !hookSigned(r.Header.Get(hookHeader), body, g.inbox.store.Now()) {
		hookError(w, http.StatusForbidden, "signature")
		return
	}
	var in struct {
		ID        string `json:"id"`
		To        string `json:"to"`
		From      string `json:"from"`
		Text      string `json:"text"`
		ReportURL string `json:"report_url"`
	}
	if json.Unmarshal(body, &in) != nil || in.ID == "" || in.Text == "" || !e164.MatchString(in.To) {
		hookError(w, http.StatusBadRequest, "malformed")
		return
	}
	for _, m := range g.inbox.all() {
		if m.Via == webhook && m.SID == in.ID {
			writeJSON(w, http.StatusOK, map[string]string{"message": m.ID})
			return
		}
	}
	rule, err := g.inbox.rule(SMS, in.To)
	if err != nil {
		hookError(w, http.StatusInternalServerError, "store")
		return
	}
	if rule != nil && rule.Result == "reject" {
		hookError(w, http.StatusUnprocessableEntity, "refused")
		return
	}
	m := &world.Message{
		Channel: SMS, To: in.To, From: in.From, Text: in.Text, Status: queued, SID: in.ID, Callback: in.ReportURL, Via: webhook,
	}
	decide(m, rule)
	if err := g.inbox.add(m); err != nil {
		hookError(w, http.StatusInternalServerError, "store")
		return
	}
	writeJSON(w, http.StatusAccepted, map[string]string{"message": m.ID})
	g.deliver(m)
}

func hookError(w http.ResponseWriter, status int, code string) {
	writeJSON(w, status, map[string]string{"code": code})
}

// hookMAC signs a body at a time of decimal seconds.
func hookMAC(at string, body []byte) []byte {
	mac := hmac.New(sha256.New, []byte(WebhookSecret))
	mac.Write([]byte(at + "."))
	mac.Write(body)
	return mac.Sum(nil)
}

// hookSigned checks "t=<seconds>,v1=<hex>".
func hookSigned(header string, body []byte, now time.Time) bool {
	at, signature, ok := strings.Cut(strings.TrimPrefix(header, "t="), ",v1=")
	seconds, err := strconv.ParseInt(at, 10, 64)
	mac, broken := hex.DecodeString(signature)
	return ok && err == nil && broken == nil && now.Sub(time.Unix(seconds, 0)).Abs() <= maxAge &&
		subtle.ConstantTimeCompare(mac, hookMAC(at, body)) == 1
}

// hookReport is the report of a message's state and its signature.
func hookReport(m *world.Message, now time.Time) (body []byte, signature string) {
	state := m.Status
	if state == "failed" {
		state = "undelivered"
	}
	report := map[string]string{"id": m.SID, "message": m.ID, "state": state}
	if m.Error != 0 {
		report["code"] = "code_" + strconv.Itoa(m.Error)
	}
	body, _ = json.Marshal(report) // strings alone can always be written
	at := strconv.FormatInt(now.Unix(), 10)
	return body, "t=" + at + ",v1=" + hex.EncodeToString(hookMAC(at, body))
}
