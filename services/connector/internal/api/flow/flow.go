// Package flow is the way to a connection and away from it: an attempt is started, the provider's answer completes it, a
// person confirms it; later somebody disconnects.
//
// Every step between two calls to the outside is a state of a row, and whoever works on one has claimed it for a time. A
// process that dies leaves the row behind, and any replica's worker (Resume, Chores) takes it up: forward once a person
// has confirmed, and to its end when the five minutes are over. Nothing is called inside a transaction.
package flow

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/concord-suite/concord/platform/audit"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/vault"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"

	"github.com/concord-suite/concord/services/connector/internal/connection"
	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/provider/custody"
	"github.com/concord-suite/concord/services/connector/internal/provider/upstream"
	"github.com/concord-suite/concord/services/connector/internal/store"
)

// Config is how long things take.
type Config struct {
	// Life is how long an attempt lives.
	Life time.Duration
	// Claim is how long one step may take before others take it up. It is longer than all calls of a step together.
	Claim time.Duration
	// Again is the wait before a step is tried again for which the provider was not available.
	Again time.Duration
	// Probe bounds the call that looks for a missing privilege before the person confirms.
	Probe time.Duration
}

// Deps is what a Flow works with.
type Deps struct {
	DB        *sqldb.DB
	Vault     *vault.Vault
	Providers provider.Registry
	Custody   *custody.Custodian
	Upstream  *upstream.Upstream
	Auth      authv1.FirmServiceClient
	Audit     *audit.Recorder
	Now       func() time.Time
	Logger    *slog.Logger
}

// Flow makes and ends connections.
type Flow struct {
	Deps
	cfg Config
}

// New makes a Flow.
func New(cfg Config, deps Deps) *Flow { return &Flow{Deps: deps, cfg: cfg} }

// secrets is what an attempt keeps sealed while it waits for the provider's answer.
type secrets struct {
	State    string `json:"state"`
	Binding  string `json:"binding"`
	Verifier string `json:"verifier"`
	// Scopes are what consent is asked for: the provider's own, and what the same person has consented to before.
	Scopes []string `json:"scopes,omitempty"`
	// Code is the provider's answer while it is exchanged.
	Code string `json:"code,omitempty"`
}

// random returns a word of 43 characters that nobody guesses.
func random() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails: it ends the program instead
	return base64.RawURLEncoding.EncodeToString(b)
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func newID() (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("flow: making an id: %w", err)
	}
	return id.String(), nil
}

func attemptRow(r connection.Ref, column string) vault.Row {
	return vault.Row{Firm: r.Firm, Table: "attempts", ID: r.ID, Column: column}
}

// seal seals a value as JSON.
func (f *Flow) seal(value any, row vault.Row) (store.Sealed, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return store.Sealed{}, fmt.Errorf("flow: %s: %w", row.Column, err)
	}
	sealed, key, err := f.Vault.Seal(text, row)
	return store.Sealed{Text: sealed, Key: key}, err
}

// open opens what seal sealed.
func (f *Flow) open(s store.Sealed, row vault.Row, into any) error {
	text, err := f.Vault.Open(s.Text, row)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("flow: %s can't be read", row.Column) // without the cause, which may quote it
	}
	return nil
}

// tokens opens the tokens of an attempt.
func (f *Flow) tokens(a store.Attempt) (t provider.Tokens, err error) {
	return t, f.open(a.Tokens, attemptRow(a.Ref, "tokens"), &t)
}
