package world

import (
	"encoding/json"
	"fmt"
	"time"
)

// SettingsKey is the id of the only row of Settings.
const SettingsKey = "world"

// Settings are what the control API can change about the world's rules.
type Settings struct {
	// ClockAhead is how far the world's clock is ahead of the real one.
	ClockAhead Duration `json:"clock_ahead"`
	// AccessTTL, RefreshTTL, RefreshGrace and CodeTTL are the lives of tokens and codes.
	AccessTTL    Duration `json:"access_ttl"`
	RefreshTTL   Duration `json:"refresh_ttl"`
	RefreshGrace Duration `json:"refresh_grace"`
	CodeTTL      Duration `json:"code_ttl"`
	// Per-tenant limits, and the one per app.
	PerMinute    int `json:"per_minute"`
	PerDay       int `json:"per_day"`
	Concurrent   int `json:"concurrent"`
	AppPerMinute int `json:"app_per_minute"`
	// Remember is how long the answer to a request with an idempotency key is kept; 0: the default.
	Remember Duration `json:"remember,omitempty"`
	// NotModified answers a listing of the accounting API with 304 in place of an empty list when it
	// asked for what changed and nothing did.
	NotModified bool `json:"not_modified,omitempty"`
	// SigningKey is the PKCS#1 private key of the identity service.
	SigningKey []byte `json:"signing_key,omitempty"`
}

// DefaultSettings returns the provider's published values: access tokens 30 minutes, refresh tokens
// 60 days with 30 minutes of grace, codes 5 minutes; 60 calls a minute, 5,000 a day and 5 at once
// per tenant, 10,000 a minute per app. Idempotency keys are remembered for 6 minutes, the shortest time
// heard of: who relies on more finds out here.
func DefaultSettings() Settings {
	return Settings{
		AccessTTL:    Duration(30 * time.Minute),
		RefreshTTL:   Duration(60 * 24 * time.Hour),
		RefreshGrace: Duration(30 * time.Minute),
		CodeTTL:      Duration(5 * time.Minute),
		PerMinute:    60, PerDay: 5000, Concurrent: 5, AppPerMinute: 10000,
		Remember: Duration(6 * time.Minute),
	}
}

func (s *State) settings() Settings {
	row := s.Settings.Get(SettingsKey)
	if row == nil {
		return DefaultSettings()
	}
	rules := *row
	if rules.Remember == 0 { // written before there was such a setting
		rules.Remember = DefaultSettings().Remember
	}
	return rules
}

// Rules returns the settings in force.
func (s *Store) Rules() Settings {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.state.settings()
}

// Rules returns the settings in force.
func (tx *Tx) Rules() Settings { return tx.settings() }

// Message is one SMS or e-mail that reached a sink.
type Message struct {
	ID       string    `json:"id"` // grows with time: later messages sort after earlier ones
	Channel  string    `json:"channel"`
	From     string    `json:"from"`
	To       string    `json:"to"`
	Subject  string    `json:"subject,omitempty"`
	Text     string    `json:"text"`
	HTML     string    `json:"html,omitempty"`
	Raw      string    `json:"raw,omitempty"`
	At       time.Time `json:"at"`
	Status   string    `json:"status"`
	SID      string    `json:"sid,omitempty"`
	Account  string    `json:"account,omitempty"`
	Callback string    `json:"callback,omitempty"`
	// Via is how an SMS came: "" by Twilio's API, "webhook" by the generic one.
	Via   string `json:"via,omitempty"`
	Error int    `json:"error_code,omitempty"`
	// Fate is the state an SMS ends in, with FateCode and after FateDelay, decided when it is taken. Nobody hears of it when
	// FateSilent is true, and by a wrong signature when FateForged is.
	Fate       string   `json:"fate,omitempty"`
	FateCode   int      `json:"fate_code,omitempty"`
	FateDelay  Duration `json:"fate_delay,omitempty"`
	FateSilent bool     `json:"fate_silent,omitempty"`
	FateForged bool     `json:"fate_forged,omitempty"`
}

// DeliveryRule decides what happens to messages for some recipients.
type DeliveryRule struct {
	ID      string `json:"id"`
	Channel string `json:"channel"` // sms or mail
	To      string `json:"to"`      // pattern; * matches anything
	// Result is delivered, undelivered, failed (SMS, told by callback), or reject (refused at once).
	Result string `json:"result"`
	// Delay is how long an SMS is under way. Silent tells nobody what became of it, Forged tells it with a wrong signature.
	Delay  Duration `json:"delay,omitempty"`
	Silent bool     `json:"silent,omitempty"`
	Forged bool     `json:"forged,omitempty"`
	Code   int      `json:"code,omitempty"`  // provider's error code, or SMTP reply code
	Times  int      `json:"times,omitempty"` // 0: until removed
	Hits   int      `json:"hits"`
}

// Fault is one thing that goes wrong on purpose; package faults gives it its meaning.
type Fault struct {
	ID     string   `json:"id"`
	Seq    int      `json:"seq"` // order of arrival; the oldest match wins
	Kind   string   `json:"kind"`
	Method string   `json:"method,omitempty"`
	Path   string   `json:"path"`
	Query  string   `json:"query,omitempty"`
	Tenant string   `json:"tenant,omitempty"`
	After  int      `json:"after,omitempty"`
	Count  int      `json:"count,omitempty"`
	Status int      `json:"status,omitempty"`
	Retry  int      `json:"retry_after,omitempty"`
	Limit  string   `json:"problem,omitempty"`
	Bytes  int      `json:"bytes,omitempty"`
	Delay  Duration `json:"delay,omitempty"`
	Shift  int      `json:"shift,omitempty"`
	Order  string   `json:"order,omitempty"`
	Other  string   `json:"other_tenant,omitempty"`
	Seen   int      `json:"seen"`
	Done   int      `json:"done"`
}

// Window is one fixed limit window.
type Window struct {
	Start time.Time `json:"start"`
	Used  int       `json:"used"`
}

// CallCount is what one tenant's endpoint was asked so far.
type CallCount struct {
	Tenant   string `json:"tenant"`
	Endpoint string `json:"endpoint"`
	Calls    int    `json:"calls"`
	Refused  int    `json:"refused"` // answered 429 by a limit
}

// Duration is a time.Duration written as text, such as "30m0s".
type Duration time.Duration

// Duration returns d as the standard type.
func (d Duration) Duration() time.Duration { return time.Duration(d) }

// MarshalText writes d like time.Duration.String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalJSON reads the text form or a number of seconds.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var seconds float64
	if json.Unmarshal(b, &seconds) == nil {
		*d = Duration(seconds * float64(time.Second))
		return nil
	}
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return fmt.Errorf("a duration is text such as \"30m\" or a number of seconds, not %s", b)
	}
	v, err := time.ParseDuration(text)
	*d = Duration(v)
	return err
}
