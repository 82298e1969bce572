// Package custody keeps the tokens of grants and renews them so that no grant is ever lost.
//
// A refresh token is spent once: the provider answers with the next, and who loses that answer has lost the grant. All
// that can go wrong between spending and saving is covered by what is written before and how it is saved:
//
//   - Before the token is spent, a lease and the intent are written. That proves that the database can be written, keeps
//     others from spending at the same time, and leaves a trace if we die.
//   - Who finds, with the intent written, that the lease has run out does not spend the token any more.
//   - The answer is saved only over the generation it was asked for. Who lost the lease meanwhile does not overwrite what
//     the next one saved; its answer is kept as a spare, since which of two answers the provider honours is not known.
//     An answer that comes when the grant was given up meanwhile revives it.
//   - A trace without an answer is taken up by any replica, which spends the same token again: the provider allows that
//     for half an hour, for exactly this case.
//   - That the provider refuses a grant is believed only when the generation is still the one asked for, no answer was
//     lost within that half hour, and there is no spare. A provider that is down, or that does not know this installation,
//     never ends a grant.
//
// Clocks may be some minutes apart and may jump: a lease is held until this process has seen it unchanged for as long as
// a lease lasts, and a time that no right clock can have written counts for nothing.
//
// Grants in use are renewed ahead, before their access token falls due, each at its own moment; who asks for a token
// waits for a renewal only after a while without use.
//
// Tokens leave this package only towards the provider. They are sealed to their row, and print as a word.
package custody

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/singleflight"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/vault"

	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/store"
)

// ErrDead says that the grant can't be used until the person consents again.
var ErrDead = errors.New("the consent is no longer valid")

// Config is how long things take.
type Config struct {
	// Lease is how long a refresh may take, saving included, before others take it up.
	Lease time.Duration
	// Call bounds the call to the identity service; it is shorter than Lease.
	Call time.Duration
	// Grace is how long the provider accepts a token that was spent, for those who lost the answer.
	Grace time.Duration
	// Idle is after how long without a refresh a grant is refreshed to keep it alive.
	Idle time.Duration
	// Retry is the wait after a first failure; it doubles with each further one, up to 32 times.
	Retry time.Duration
}

// Custodian keeps grants. It is safe for concurrent use.
type Custodian struct {
	db     *sqldb.DB
	vault  *vault.Vault
	cfg    Config
	now    func() time.Time
	logger *slog.Logger
	// identities are the identity services by the app of a grant.
	identities map[string]provider.Identity
	flights    singleflight.Group
	leases     leases
	usage      usage
	// replica tells this custodian apart from those of other processes.
	replica string
}

// New makes a custodian.
func New(db *sqldb.DB, v *vault.Vault, identities map[string]provider.Identity, cfg Config, now func() time.Time, logger *slog.Logger) *Custodian {
	return &Custodian{db: db, vault: v, identities: identities, cfg: cfg, now: now, logger: logger, replica: uuid.NewString(),
		leases: leases{seen: map[string]sighting{}}, usage: usage{last: map[string]use{}}}
}

// Token is an access token with what is needed to say that it was refused.
type Token struct {
	access     string
	generation int64
}

// Fixed wraps an access token that no grant holds yet.
func Fixed(access string) Token { return Token{access: access} }

// Access returns the token itself, for the Authorization header and nothing else.
func (t Token) Access() string { return t.access }

// Format writes a word in the place of the token.
func (Token) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte("[token]")) }

// LogValue logs a word in the place of the token.
func (Token) LogValue() slog.Value { return slog.StringValue("[token]") }

// Token returns an access token that is good for a while, refreshed when it is due. The error matches ErrDead when the
// person must consent again, and is a *provider.Error when the provider can't be used now.
func (c *Custodian) Token(ctx context.Context, grant string) (Token, error) {
	changed, stop := c.db.Watch(topic(grant))
	defer stop()
	for {
		g, err := c.read(ctx, grant)
		if err != nil {
			return Token{}, err
		}
		switch now := c.now(); {
		case !g.Usable():
			return Token{}, fmt.Errorf("%w: %s", ErrDead, g.Reason)
		case c.fresh(g, now):
			return c.handOut(g, now)
		case c.resting(g, now):
			return c.rest(g, now, provider.Errorf(provider.ErrUnavailable, "the provider did not renew the consent; it is tried again shortly"))
		case c.leased(g, now):
			if c.worthACall(g, now) { // somebody is at it; nobody has to wait for that
				return c.handOut(g, now)
			}
			if err := wait(ctx, changed, poll); err != nil {
				return Token{}, err
			}
			continue
		}
		if err := c.renew(ctx, grant, c.expiring); err != nil {
			return c.rest(g, c.now(), err)
		}
	}
}

// poll is how often a waiting call looks whether another process has renewed.
const poll = 100 * time.Millisecond

func wait(ctx context.Context, changed <-chan struct{}, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-changed:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// fresh reports whether the access token is good for a while yet: a sixth of its life, which is five minutes of Xero's
// thirty, enough for a slow call and for a refresh that takes a second try.
func (c *Custodian) fresh(g store.Grant, now time.Time) bool {
	return !g.Access.Empty() && now.Before(due(g))
}

// expiring is the contrary of fresh.
func (c *Custodian) expiring(g store.Grant, now time.Time) bool { return !c.fresh(g, now) }

// due is when the access token of a grant must be renewed at the latest.
func due(g store.Grant) time.Time {
	return g.AccessExpires.Add(-g.AccessExpires.Sub(g.AccessIssued) / 6)
}

// rest returns what is left of an access token that should be renewed and can't be, or why.
func (c *Custodian) rest(g store.Grant, now time.Time, err error) (Token, error) {
	if errors.Is(err, ErrDead) || !c.worthACall(g, now) {
		return Token{}, err
	}
	return c.handOut(g, now)
}

// worthACall reports whether the access token of a grant is still good for one call.
func (c *Custodian) worthACall(g store.Grant, now time.Time) bool {
	return !g.Access.Empty() && now.Before(g.AccessExpires.Add(-margin))
}

// margin is how much life an access token needs for one call to be worth trying.
const margin = 10 * time.Second

// handOut opens the access token of a grant for who asked for it.
func (c *Custodian) handOut(g store.Grant, now time.Time) (Token, error) {
	c.usage.note(g.ID, now, c.aheadAt(g))
	access, err := c.vault.Open(g.Access.Text, g.Row("access"))
	if err != nil {
		return Token{}, fmt.Errorf("custody: the access token of grant %s: %w", g.ID, err)
	}
	return Token{access: string(access), generation: g.Generation}, nil
}

func (c *Custodian) read(ctx context.Context, grant string) (g store.Grant, err error) {
	err = c.db.Read(ctx, func(tx *sqldb.Tx) error {
		g, err = store.GrantByID(tx, grant, false)
		return err
	})
	return g, err
}

// Refused says that the provider does not accept an access token. Unless it was renewed meanwhile, the next Token renews
// it.
func (c *Custodian) Refused(ctx context.Context, grant string, t Token) error {
	return c.db.Tx(ctx, func(tx *sqldb.Tx) error {
		g, err := store.GrantByID(tx, grant, true)
		if err != nil || g.Generation != t.generation || !g.Usable() {
			return err
		}
		g.Access, g.AccessExpires = store.Sealed{}, c.now()
		_, err = store.UpdateGrant(tx, g, g.Generation)
		return err
	})
}

// Put seals tokens into a grant: a new one, or one whose person consented again. It writes nothing.
func (c *Custodian) Put(g *store.Grant, t provider.Tokens) error {
	refresh, refreshKey, err := c.vault.Seal([]byte(t.Refresh), g.Row("refresh"))
	if err != nil {
		return err
	}
	access, accessKey, err := c.vault.Seal([]byte(t.Access), g.Row("access"))
	if err != nil {
		return err
	}
	now := c.now()
	g.Refresh, g.Access = store.Sealed{Text: refresh, Key: refreshKey}, store.Sealed{Text: access, Key: accessKey}
	g.AccessIssued, g.AccessExpires, g.Refreshed = now, t.Expires, now
	g.Generation++
	g.LeaseOwner, g.LeaseUntil, g.Attempt, g.AttemptStarted = "", time.Time{}, "", time.Time{}
	g.Failures, g.RetryAt = 0, time.Time{}
	return nil
}

// RefreshToken opens the refresh token of a grant, to revoke it.
func (c *Custodian) RefreshToken(g store.Grant) (string, error) {
	if g.Refresh.Empty() {
		return "", nil
	}
	token, err := c.vault.Open(g.Refresh.Text, g.Row("refresh"))
	return string(token), err
}

func topic(grant string) string { return "grant/" + grant }
