package flow

import (
	"context"
	"crypto/subtle"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/concord-suite/concord/platform/sqldb"

	"github.com/concord-suite/concord/services/connector/internal/api/reason"
	"github.com/concord-suite/concord/services/connector/internal/connection"
	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/provider/upstream"
	"github.com/concord-suite/concord/services/connector/internal/store"
)

// Answer is what the browser brought back from the provider.
type Answer struct {
	State, Code, Error, ErrorDescription, Issuer string
	// Binding is what the browser's cookie held.
	Binding string
}

// Complete takes the provider's answer. It returns how far the attempt is then: failed for an answer that says no or makes
// no sense, waiting when the provider was not available for the next step, which is then tried again by a worker. The
// same answer a second time changes nothing.
func (f *Flow) Complete(ctx context.Context, answer Answer) (connection.AttemptState, error) {
	var a store.Attempt
	var refusal error
	err := f.DB.Tx(ctx, func(tx *sqldb.Tx) (err error) {
		refusal = nil
		a, err = store.AttemptByState(tx, hash(answer.State))
		switch {
		case errors.Is(err, sqldb.ErrNotFound):
			return reason.ForeignState
		case err != nil:
			return err
		case subtle.ConstantTimeCompare([]byte(hash(answer.Binding)), []byte(a.BindingHash)) != 1:
			return reason.BrowserMismatch // the attempt stays as it is: whoever this was, it is not its browser
		}
		refusal, err = f.take(tx, &a, answer)
		return err
	})
	if err == nil {
		err = refusal
	}
	if err != nil || a.State != connection.Exchanging {
		return a.State, err
	}
	return f.goOn(ctx, a)
}

// take writes down the answer to an attempt. refusal is the error for the caller of a change that is committed.
func (f *Flow) take(tx *sqldb.Tx, a *store.Attempt, answer Answer) (refusal, err error) {
	state := a.StateAt(f.Now())
	switch {
	case state == connection.Expired && a.State.Open():
		if err := f.end(tx, *a, connection.Expired); err != nil {
			return nil, err
		}
		a.State = connection.Expired
		return reason.AttemptExpired, nil
	case state == connection.Waiting:
		return nil, f.accept(tx, a, answer)
	case answer.Code != "" && a.CodeHash == hash(answer.Code) && (state.Open() || state == connection.Confirmed):
		return nil, nil // the same answer again: its first answer to the browser was lost
	}
	return reason.OfAttempt(a.Attempt, state), nil
}

// accept moves a waiting attempt to its next state.
func (f *Flow) accept(tx *sqldb.Tx, a *store.Attempt, answer Answer) error {
	identity := f.Providers[a.Provider].Identity
	switch {
	case identity == nil:
		return f.fail(tx, a, connection.ProviderUnavailable, "this provider is no longer configured in this installation")
	case answer.Issuer != "" && answer.Issuer != identity.Issuer():
		return f.fail(tx, a, connection.ProviderInvalid, "the answer came from another sign-in service than the one that was asked")
	case answer.Error == "access_denied":
		return f.fail(tx, a, connection.ConsentDenied, "access was not allowed at the provider; start again and allow it there")
	case answer.Error != "":
		return f.fail(tx, a, connection.ProviderRefused, "the provider refused: "+words(answer.Error, answer.ErrorDescription))
	case answer.Code == "":
		return f.fail(tx, a, connection.ProviderInvalid, "the provider's answer holds neither a code nor an error")
	}
	var s secrets
	if err := f.open(a.Secrets, attemptRow(a.Ref, "secrets"), &s); err != nil {
		return err
	}
	s.Code = answer.Code
	var err error
	if a.Secrets, err = f.seal(s, attemptRow(a.Ref, "secrets")); err != nil {
		return err
	}
	a.State, a.CodeHash = connection.Exchanging, hash(answer.Code)
	f.claim(a)
	return store.UpdateAttempt(tx, *a)
}

// maxWords bounds what is repeated of a provider's error, which came through a browser and may be anything.
const maxWords = 200

func words(parts ...string) string {
	text := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.Join(parts, " "))
	if runes := []rune(strings.TrimSpace(text)); len(runes) > maxWords {
		return string(runes[:maxWords]) + "…"
	}
	return strings.TrimSpace(text)
}

func (f *Flow) claim(a *store.Attempt) {
	a.ClaimOwner, a.ClaimUntil = uuid.NewString(), f.Now().Add(f.cfg.Claim)
}

// fail ends an attempt with the reason.
func (f *Flow) fail(tx *sqldb.Tx, a *store.Attempt, why connection.Failure, text string) error {
	a.Failure, a.Error = why, text
	if err := f.end(tx, *a, connection.Failed); err != nil {
		return err
	}
	a.State = connection.Failed
	return nil
}

// goOn takes a claimed attempt through the steps that need nobody: exchange the code, list the tenants. It goes on when
// the caller leaves, since a code is good once.
func (f *Flow) goOn(ctx context.Context, a store.Attempt) (connection.AttemptState, error) {
	type end struct {
		state connection.AttemptState
		err   error
	}
	done := make(chan end, 1)
	go func() {
		own, cancel := context.WithTimeout(context.WithoutCancel(upstream.Aside(ctx)), f.cfg.Claim)
		defer cancel()
		state, err := f.steps(own, a)
		done <- end{state, err}
	}()
	select {
	case e := <-done:
		return e.state, e.err
	case <-ctx.Done():
		return a.State, ctx.Err()
	}
}

func (f *Flow) steps(ctx context.Context, a store.Attempt) (connection.AttemptState, error) {
	for {
		step := f.exchange
		switch a.State {
		case connection.Listing:
			step = f.list
		case connection.Exchanging:
		default:
			return a.State, nil
		}
		before := a.State
		err := step(ctx, &a)
		if err == nil && a.State != before {
			continue
		}
		return f.afterFailure(ctx, a, err)
	}
}

// afterFailure gives a step that did not work to a worker, or ends the attempt when trying again is no use.
func (f *Flow) afterFailure(ctx context.Context, a store.Attempt, why error) (connection.AttemptState, error) {
	f.Logger.WarnContext(ctx, "a step of an attempt to connect failed", "attempt", a.ID, "state", a.State, "error", why)
	failure, final := failureOf(why)
	err := f.mine(ctx, &a, func(tx *sqldb.Tx) error {
		if final {
			return f.fail(tx, &a, failure, provider.Text(why))
		}
		a.ClaimOwner, a.ClaimUntil = "", f.Now().Add(f.cfg.Again)
		return store.UpdateAttempt(tx, a)
	})
	return a.State, err
}

// failureOf tells whether an error ends an attempt, and as what.
func failureOf(err error) (connection.Failure, bool) {
	switch {
	case errors.Is(err, provider.ErrInvalid):
		return connection.ProviderInvalid, true
	case errors.Is(err, errNoTenant):
		return connection.TenantUnknown, true
	case errors.Is(err, provider.ErrUnavailable), errors.Is(err, provider.ErrLimit):
		return "", false
	case provider.Text(err) != "":
		return connection.ProviderRefused, true
	}
	return "", false // our own fault, the database's: try again
}

var errNoTenant = errors.New("flow: no tenant of the kind that was asked for")

// mine runs fn in a transaction if the attempt is still in the state and claimed by whom a says; a is read anew.
func (f *Flow) mine(ctx context.Context, a *store.Attempt, fn func(tx *sqldb.Tx) error) error {
	state, owner := a.State, a.ClaimOwner
	return f.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		present, err := store.AttemptByID(tx, a.Ref, true)
		if err != nil {
			return err
		}
		if present.State != state || present.ClaimOwner != owner {
			return reason.OfAttempt(present.Attempt, present.StateAt(f.Now()))
		}
		*a = present
		return fn(tx)
	})
}

// exchange turns the code into tokens and keeps them.
func (f *Flow) exchange(ctx context.Context, a *store.Attempt) error {
	var s secrets
	if err := f.open(a.Secrets, attemptRow(a.Ref, "secrets"), &s); err != nil {
		return err
	}
	t, err := f.Providers[a.Provider].Identity.Exchange(ctx, s.Code, s.Verifier)
	if errors.Is(err, provider.ErrGrant) {
		return provider.Errorf(provider.ErrRefused, "the provider does not accept its own answer any more; start again")
	}
	if err != nil {
		return err
	}
	if len(t.Scopes) == 0 { // an answer that does not say grants what was asked for (RFC 6749, 5.1)
		t.Scopes = s.Scopes
	}
	lacking := missing(f.Providers[a.Provider].Scopes, t.Scopes)
	return f.mine(ctx, a, func(tx *sqldb.Tx) (err error) {
		if a.Tokens, err = f.seal(t, attemptRow(a.Ref, "tokens")); err != nil {
			return err
		}
		a.Secrets, a.Subject, a.ConsentedBy, a.Scopes, a.State = store.Sealed{}, t.Subject, t.Person, t.Scopes, connection.Listing
		a.ClaimUntil = f.Now().Add(f.cfg.Claim)
		if len(lacking) > 0 {
			return f.fail(tx, a, connection.ScopeMissing, "the consent does not cover "+words(strings.Join(lacking, ", "))+
				"; start again and allow all of it at the provider")
		}
		return store.UpdateAttempt(tx, *a)
	})
}

// list asks what was consented to.
func (f *Flow) list(ctx context.Context, a *store.Attempt) error {
	t, err := f.tokens(*a)
	if err != nil {
		return err
	}
	def := f.Providers[a.Provider]
	tenants, preselected, err := f.tenants(ctx, def, t)
	if err != nil {
		return err
	}
	if chosen := (connection.Attempt{Tenants: tenants}).Tenant(preselected); chosen != nil {
		chosen.Privilege = f.privilege(ctx, def, chosen.ID, t)
	}
	return f.mine(ctx, a, func(tx *sqldb.Tx) error {
		a.Tenants, a.Preselected, a.State = tenants, preselected, connection.Authorised
		a.ClaimOwner, a.ClaimUntil = "", time.Time{}
		return store.UpdateAttempt(tx, *a)
	})
}

// tenants lists what can be connected, and finds the one this consent was for.
func (f *Flow) tenants(ctx context.Context, def provider.Definition, t provider.Tokens) ([]connection.Tenant, string, error) {
	var touched []connection.Tenant
	if t.AuthEvent != "" {
		list, err := def.Identity.Tenants(ctx, t.Access, t.AuthEvent)
		if err != nil {
			return nil, "", err
		}
		touched = connection.OfType(list, def.TenantType)
	}
	list, err := def.Identity.Tenants(ctx, t.Access, "")
	if err != nil {
		return nil, "", err
	}
	all := connection.OfType(list, def.TenantType)
	if len(all) == 0 {
		return nil, "", errors.Join(errNoTenant, provider.Errorf(provider.ErrRefused,
			"access was allowed, but to no %s; start again and choose one at the provider", def.TenantNoun))
	}
	preselected := connection.Preselect(touched, t.AuthEvent)
	if preselected == "" {
		preselected = connection.Preselect(all, t.AuthEvent)
	}
	return all, preselected, nil
}

// privilege says what the person lacks for a tenant, "" when nothing, and when the provider does not tell now: it is
// looked at again before the connection is made.
func (f *Flow) privilege(ctx context.Context, def provider.Definition, tenant string, t provider.Tokens) string {
	ctx, cancel := context.WithTimeout(ctx, f.cfg.Probe)
	defer cancel()
	err := def.Adapter.Probe(ctx, f.Upstream.With(def, tenant, t.Access))
	switch {
	case errors.Is(err, provider.ErrForbidden):
		return def.Adapter.Privilege()
	case errors.Is(err, provider.ErrScope):
		return provider.Text(err)
	}
	return ""
}
