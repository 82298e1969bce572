package flow

import (
	"errors"
	"time"

	"golang.org/x/oauth2"

	"github.com/concord-suite/concord/platform/sqldb"

	"github.com/concord-suite/concord/services/connector/internal/api/reason"
	"github.com/concord-suite/concord/services/connector/internal/connection"
	"github.com/concord-suite/concord/services/connector/internal/store"
)

// Opening is what a person needs to give consent.
type Opening struct {
	// AuthorizeURL is the provider's page.
	AuthorizeURL string
	// Binding is what the browser must show again with the answer.
	Binding string
}

// Start makes an attempt for a person of a firm, in tx, to upgrade a legacy connection unless its id is empty. Open attempts
// of the same person end at once.
func (f *Flow) Start(tx *sqldb.Tx, firm, person string, p connection.Provider, upgrade string) (store.Attempt, error) {
	def, configured := f.Providers[p]
	if !configured {
		return store.Attempt{}, reason.NotConfigured
	}
	if upgrade != "" {
		if err := upgradable(tx, connection.Ref{Firm: firm, ID: upgrade}, p); err != nil {
			return store.Attempt{}, err
		}
	}
	open, err := store.OpenAttempts(tx, firm, person)
	if err != nil {
		return store.Attempt{}, err
	}
	for _, old := range open {
		if err := f.end(tx, old, connection.Superseded); err != nil {
			return store.Attempt{}, err
		}
	}
	id, err := newID()
	if err != nil {
		return store.Attempt{}, err
	}
	before, err := store.ScopesOfPerson(tx, firm, def.App, person)
	if err != nil {
		return store.Attempt{}, err
	}
	now := f.Now().UTC().Truncate(time.Microsecond)
	s := secrets{State: random(), Binding: random(), Verifier: oauth2.GenerateVerifier(), Scopes: union(def.Scopes, before)}
	a := store.Attempt{Attempt: connection.Attempt{
		Ref: connection.Ref{Firm: firm, ID: id}, Person: person, Provider: p, State: connection.Waiting,
		Created: now, Expires: now.Add(f.cfg.Life), Upgrade: upgrade,
	}, StateHash: hash(s.State), BindingHash: hash(s.Binding)}
	if a.Secrets, err = f.seal(s, attemptRow(a.Ref, "secrets")); err != nil {
		return store.Attempt{}, err
	}
	return a, store.InsertAttempt(tx, a)
}

// Opening returns what a person needs to give consent to an attempt that waits for it, nothing for one that does not.
func (f *Flow) Opening(a store.Attempt) (Opening, error) {
	if a.StateAt(f.Now()) != connection.Waiting {
		return Opening{}, nil
	}
	var s secrets
	if err := f.open(a.Secrets, attemptRow(a.Ref, "secrets"), &s); err != nil {
		return Opening{}, err
	}
	return Opening{AuthorizeURL: f.Providers[a.Provider].Identity.AuthorizeURL(s.State, s.Verifier, s.Scopes), Binding: s.Binding}, nil
}

// end ends an attempt that was read and locked in the same transaction, and sees that what it received ends with it: a
// grant at the provider, a requirement at auth for a connection that never came to be.
func (f *Flow) end(tx *sqldb.Tx, a store.Attempt, as connection.AttemptState) error {
	if !a.Tokens.Empty() {
		if err := f.dropTokens(tx, a); err != nil {
			return err
		}
	}
	if a.Choice.Connection != "" {
		if err := f.release(tx, a); err != nil {
			return err
		}
	}
	a.End(as)
	return store.UpdateAttempt(tx, a)
}

// release leaves a chore to tell auth that a connection that was chosen did not come to be. When somebody may be requiring
// two-factor sign-in for it right now, it is told after that.
func (f *Flow) release(tx *sqldb.Tx, a store.Attempt) error {
	there, err := store.ConnectionByID(tx, connection.Ref{Firm: a.Firm, ID: a.Choice.Connection}, true)
	switch {
	case errors.Is(err, sqldb.ErrNotFound):
	case err != nil:
		return err
	case there.Live() && there.State != connection.Legacy: // made by another attempt, and so required
		return nil
	}
	return f.addChore(tx, store.Chore{Firm: a.Firm, Connection: a.Choice.Connection, Kind: store.ReleaseTwoFactor,
		Provider: a.Provider, Due: a.ClaimUntil})
}

// dropTokens leaves a chore to revoke the tokens of an attempt. Tokens that can't be opened can't be revoked, nor used by
// anybody; the attempt ends all the same, or no other one of the person could begin.
func (f *Flow) dropTokens(tx *sqldb.Tx, a store.Attempt) error {
	t, err := f.tokens(a)
	if err != nil {
		f.Logger.ErrorContext(tx.Context(), "the tokens of an attempt can't be opened to revoke them", "attempt", a.ID, "error", err)
		return nil
	}
	id, err := newID()
	if err != nil {
		return err
	}
	c := store.Chore{ID: id, Firm: a.Firm, Kind: store.Revoke, Provider: a.Provider, Subject: a.Subject}
	c.Token, err = f.seal(t.Refresh, c.Row())
	if err != nil {
		return err
	}
	return f.addChore(tx, c)
}
