package sinks

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/concord-suite/concord/sim/world"
)

// The account every sender may use. The numbers mean nothing.
const (
	Account   = "AC00000000000000000000000000000001"
	AuthToken = "simulated-sms-token"
)

// Delivery states of a message.
const (
	queued    = "queued"
	sent      = "sent"
	delivered = "delivered"
)

// Gateway is the SMS service. It speaks Twilio's API, version 2010-04-01, and the generic webhook of Concord.
type Gateway struct {
	inbox  *Inbox
	http   *http.Client
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup
}

// callbackTimeout is how long the service waits for a status callback to be taken.
const callbackTimeout = 10 * time.Second

// NewGateway returns the SMS service and finishes what an earlier process left undelivered.
func NewGateway(inbox *Inbox) *Gateway {
	ctx, cancel := context.WithCancel(context.Background())
	g := &Gateway{inbox: inbox, ctx: ctx, cancel: cancel, http: &http.Client{Timeout: callbackTimeout}}
	for _, m := range inbox.all() {
		if m.Channel == SMS && (m.Status == queued || m.Status == sent) {
			g.deliver(m)
		}
	}
	return g
}

// Close stops deliveries and waits for those under way.
func (g *Gateway) Close() {
	g.cancel()
	g.work.Wait()
	g.http.CloseIdleConnections()
}

// Handler returns the API.
func (g *Gateway) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /2010-04-01/Accounts/{account}/Messages.json", g.send)
	mux.HandleFunc("GET /2010-04-01/Accounts/{account}/Messages/{sid}", g.fetch)
	mux.HandleFunc("POST "+WebhookPath, g.hook)
	return mux
}

// e164 is the form of telephone numbers the service takes.
var e164 = regexp.MustCompile(`^\+[1-9]\d{6,14}$`)

func (g *Gateway) send(w http.ResponseWriter, r *http.Request) {
	if !authorized(r) {
		smsError(w, http.StatusUnauthorized, 20003, "Authenticate")
		return
	}
	to, from, body := r.PostFormValue("To"), r.PostFormValue("From"), r.PostFormValue("Body")
	if from == "" {
		from = r.PostFormValue("MessagingServiceSid")
	}
	switch {
	case to == "":
		smsError(w, http.StatusBadRequest, 21604, "A 'To' phone number is required.")
		return
	case !e164.MatchString(to):
		smsError(w, http.StatusBadRequest, 21211, fmt.Sprintf("Invalid 'To' Phone Number: %s", to))
		return
	case from == "":
		smsError(w, http.StatusBadRequest, 21603, "A 'From' phone number is required.")
		return
	case body == "":
		smsError(w, http.StatusBadRequest, 21602, "Message body is required.")
		return
	}
	rule, err := g.inbox.rule(SMS, to)
	if err != nil {
		smsError(w, http.StatusInternalServerError, 20500, err.Error())
		return
	}
	if rule != nil && rule.Result == "reject" {
		smsError(w, http.StatusBadRequest, orElse(rule.Code, 21610), "Attempt to send to unsubscribed recipient")
		return
	}
	m := &world.Message{Channel: SMS, To: to, From: from, Text: body, Status: queued, Account: r.PathValue("account"),
		SID: "SM" + strings.ReplaceAll(world.NewID(), "-", ""), Callback: r.PostFormValue("StatusCallback")}
	decide(m, rule)
	if err := g.inbox.add(m); err != nil {
		smsError(w, http.StatusInternalServerError, 20500, err.Error())
		return
	}
	writeJSON(w, http.StatusCreated, resource(m))
	g.deliver(m)
}

// decide says what is to become of a message.
func decide(m *world.Message, rule *world.DeliveryRule) {
	m.Fate = delivered
	if rule == nil {
		return
	}
	m.Fate, m.FateDelay, m.FateSilent, m.FateForged = rule.Result, rule.Delay, rule.Silent, rule.Forged
	if m.Fate != delivered {
		m.FateCode = orElse(rule.Code, 30003)
	}
}

func orElse(code, standard int) int {
	if code != 0 {
		return code
	}
	return standard
}

func authorized(r *http.Request) bool {
	account, token, ok := r.BasicAuth()
	return ok && account == r.PathValue("account") && account == Account &&
		subtle.ConstantTimeCompare([]byte(token), []byte(AuthToken)) == 1
}

func (g *Gateway) fetch(w http.ResponseWriter, r *http.Request) {
	if !authorized(r) {
		smsError(w, http.StatusUnauthorized, 20003, "Authenticate")
		return
	}
	sid := strings.TrimSuffix(r.PathValue("sid"), ".json")
	for _, m := range g.inbox.all() {
		if m.SID == sid && m.Channel == SMS {
			writeJSON(w, http.StatusOK, resource(m))
			return
		}
	}
	smsError(w, http.StatusNotFound, 20404, "The requested resource was not found")
}

// resource is a message in the API's form.
func resource(m *world.Message) map[string]any {
	at := m.At.UTC().Format(time.RFC1123Z)
	path := "/2010-04-01/Accounts/" + m.Account + "/Messages/" + m.SID
	res := map[string]any{
		"account_sid": m.Account, "api_version": "2010-04-01", "body": m.Text, "date_created": at, "date_sent": nil,
		"date_updated": at, "direction": "outbound-api", "error_code": nil, "error_message": nil, "from": m.From,
		"messaging_service_sid": nil, "num_media": "0", "num_segments": strconv.Itoa(1 + len(m.Text)/160), "price": nil,
		"price_unit": "USD", "sid": m.SID, "status": m.Status, "subresource_uris": map[string]string{"media": path + "/Media.json"},
		"to": m.To, "uri": path + ".json",
	}
	if m.Status == delivered {
		res["date_sent"] = at
	}
	if m.Error != 0 {
		res["error_code"], res["error_message"] = m.Error, "Unreachable destination handset"
	}
	return res
}

func smsError(w http.ResponseWriter, status, code int, message string) {
	writeJSON(w, status, map[string]any{"code": code, "message": message,
		"more_info": fmt.Sprintf("https://www.twilio.com/docs/errors/%d", code), "status": status})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(text) // an error here means the caller has gone
}

func writeError(w http.ResponseWriter, status int, text string) {
	writeJSON(w, status, map[string]string{"error": text})
}
