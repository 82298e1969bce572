package delivery

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/concord-suite/concord/services/auth/internal/receipt"
)

// WebhookName is the name of the provider that is an address of the installation's choosing.
const WebhookName = "webhook"

// SignatureHeader carries when and by whom a request was signed, both ways: "t=1767225600,v1=<hex>". v1 is the HMAC-SHA256,
// under the shared secret, of the decimal seconds of t, a full stop and the body.
const SignatureHeader = "Concord-Signature"

// maxSkew is how old a signed report may be, and how far ahead the other clock: what is older may be a copy.
const maxSkew = 5 * time.Minute

// Webhook hands text messages to an address that sends them by whatever means. docs/text-messages.md is the contract.
type Webhook struct {
	options WebhookOptions
	client  *http.Client
}

// WebhookOptions says who sends.
type WebhookOptions struct {
	// URL is where messages are posted.
	URL *url.URL
	// Secret is shared with whoever answers there.
	Secret string
	// From is the sender that is asked for; it may be empty.
	From string
	// Reports is where states are reported to; empty for nowhere.
	Reports string
	// Timeout bounds one message.
	Timeout time.Duration
	// Now is the clock that signatures carry.
	Now func() time.Time
}

// NewWebhook makes the provider.
func NewWebhook(o WebhookOptions) *Webhook { return &Webhook{options: o, client: newClient(o.Timeout)} }

// Name implements Provider.
func (w *Webhook) Name() string { return WebhookName }

// webhookText is a message as it is posted.
type webhookText struct {
	ID         string `json:"id"`
	To         string `json:"to"`
	From       string `json:"from,omitempty"`
	Text       string `json:"text"`
	ExpireTime string `json:"expire_time,omitempty"`
	ReportURL  string `json:"report_url,omitempty"`
}

// Send implements Provider.
func (w *Webhook) Send(ctx context.Context, t Text) (message string, err error) {
	ctx, cancel := context.WithTimeout(ctx, w.options.Timeout)
	defer cancel()
	out := webhookText{ID: t.ID, To: t.To, From: w.options.From, Text: t.Body, ReportURL: w.options.Reports}
	if t.From != "" {
		out.From = t.From
	}
	if !t.Expires.IsZero() {
		out.ExpireTime = t.Expires.UTC().Format(time.RFC3339)
	}
	body, err := json.Marshal(out)
	if err != nil {
		return "", &Error{Code: "request"}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.options.URL.String(), bytes.NewReader(body))
	if err != nil {
		return "", &Error{Code: "request"}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", t.ID)
	req.Header.Set(SignatureHeader, Sign(w.options.Secret, w.options.Now(), body))
	resp, err := w.client.Do(req)
	if err != nil {
		return "", unreached(ctx, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	var said struct {
		Message string `json:"message"`
		Code    string `json:"code"`
	}
	if err == nil {
		_ = json.Unmarshal(answer, &said) // a body is optional, whatever the status
	}
	switch {
	case resp.StatusCode >= 200 && resp.StatusCode < 300:
		return clip(said.Message), nil
	case err != nil:
		return "", unreached(ctx, err)
	}
	return "", refusal(resp.StatusCode, word("webhook_", said.Code))
}

// maxID bounds a provider's id of a message.
const maxID = 128

func clip(id string) string {
	if len(id) > maxID {
		return ""
	}
	return id
}

// codeWord is what a code of the other side may look like. No telephone number does.
var codeWord = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)

// word is a code with where it comes from, "" when it is none.
func word(prefix, code string) string {
	if !codeWord.MatchString(code) {
		return ""
	}
	return prefix + code
}

// Sign makes the value of SignatureHeader for a body.
func Sign(secret string, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	return "t=" + t + ",v1=" + hex.EncodeToString(webhookMAC(secret, t, body))
}

func webhookMAC(secret, t string, body []byte) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return mac.Sum(nil)
}

// webhookStates are the words of a report.
var webhookStates = map[string]receipt.State{"sent": receipt.Sent, "delivered": receipt.Delivered, "undelivered": receipt.Undelivered}

// Read implements Provider.
func (w *Webhook) Read(r Report) (Status, error) {
	if err := w.verify(r); err != nil {
		return Status{}, err
	}
	var said struct {
		ID      string `json:"id"`
		Message string `json:"message"`
		State   string `json:"state"`
		Code    string `json:"code"`
	}
	if json.Unmarshal(r.Body, &said) != nil || said.ID == "" && said.Message == "" {
		return Status{}, ErrReport
	}
	return Status{
		ID: said.ID, Message: clip(said.Message), State: webhookStates[said.State], Code: word("webhook_", said.Code),
	}, nil
}

// verify checks when and by whom a report was signed. Several v1 stand beside each other while a secret is replaced.
func (w *Webhook) verify(r Report) error {
	var t string
	var signatures [][]byte
	for part := range strings.SplitSeq(r.Signature, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "t":
			t = value
		case "v1":
			if mac, err := hex.DecodeString(value); err == nil {
				signatures = append(signatures, mac)
			}
		}
	}
	seconds, err := strconv.ParseInt(t, 10, 64)
	if err != nil {
		return ErrSignature
	}
	if age := r.Now.Sub(time.Unix(seconds, 0)); age > maxSkew || age < -maxSkew {
		return ErrSignature
	}
	want := webhookMAC(w.options.Secret, t, r.Body)
	for _, mac := range signatures {
		if hmac.Equal(mac, want) {
			return nil
		}
	}
	return ErrSignature
}
