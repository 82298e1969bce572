// Package upstream makes the API calls of connections: it puts a token and the tenant on a request, waits for its turn
// within the call limits, tells the provider's errors apart, tries again what is worth it, and keeps the health of the
// connection.
package upstream

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"

	"github.com/concord-suite/concord/services/connector/internal/connection"
	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/provider/budget"
	"github.com/concord-suite/concord/services/connector/internal/provider/custody"
)

// Config is how long calls may take.
type Config struct {
	// Call bounds one call, Heavy one whose answer grows with the practice.
	Call, Heavy time.Duration
	// Again is the wait before a call that failed is repeated; it doubles.
	Again time.Duration
}

// Upstream makes calls. It is safe for concurrent use.
type Upstream struct {
	db      *sqldb.DB
	client  *http.Client
	budget  *budget.Budget
	custody *custody.Custodian
	cfg     Config
	now     func() time.Time
	logger  *slog.Logger

	mu    sync.Mutex
	noted map[string]time.Time // when a connection's success was last written down, by id
}

// New makes an Upstream.
func New(db *sqldb.DB, client *http.Client, b *budget.Budget, c *custody.Custodian, cfg Config, now func() time.Time, logger *slog.Logger) *Upstream {
	return &Upstream{db: db, client: client, budget: b, custody: c, cfg: cfg, now: now, logger: logger, noted: map[string]time.Time{}}
}

// Budget is the account of calls.
func (u *Upstream) Budget() *budget.Budget { return u.budget }

// tokens is where a caller's access token comes from.
type tokens interface {
	token(ctx context.Context) (custody.Token, error)
	refused(ctx context.Context, t custody.Token) error
}

// Caller makes calls for one tenant, one at a time. It implements provider.Caller.
type Caller struct {
	up     *Upstream
	def    provider.Definition
	tenant string
	firm   string // empty for a tenant that is no connection yet
	lane   budget.Lane
	tokens tokens
	calls  int
	// single makes one call of each request, whatever comes of it.
	single bool
	// health is told how calls end; nil for a tenant that is no connection yet.
	health func(ctx context.Context, err error) error
}

var _ provider.Caller = (*Caller)(nil)

// Of returns a caller for a connection.
func (u *Upstream) Of(c connection.Connection, def provider.Definition, lane budget.Lane) *Caller {
	return &Caller{up: u, def: def, tenant: c.TenantID, firm: c.Firm, lane: lane, tokens: granted{u.custody, c.Grant},
		health: func(ctx context.Context, err error) error { return u.report(ctx, c, def, err) }}
}

// Look returns a caller that looks at a connection while a person waits: it makes one call of each request, and says nothing
// about the health of the connection.
func (u *Upstream) Look(c connection.Connection, def provider.Definition) *Caller {
	return &Caller{up: u, def: def, tenant: c.TenantID, firm: c.Firm, lane: budget.Interactive, tokens: granted{u.custody, c.Grant}, single: true}
}

// With returns a caller for a tenant that somebody has just consented to, with the token of that consent.
func (u *Upstream) With(def provider.Definition, tenant, access string) *Caller {
	return &Caller{up: u, def: def, tenant: tenant, lane: budget.Interactive, tokens: fixed(access)}
}

// Calls returns how many calls were made.
func (c *Caller) Calls() int { return c.calls }

type granted struct {
	custody *custody.Custodian
	grant   string
}

func (g granted) token(ctx context.Context) (custody.Token, error) {
	return g.custody.Token(ctx, g.grant)
}

func (g granted) refused(ctx context.Context, t custody.Token) error {
	return g.custody.Refused(ctx, g.grant, t)
}

type fixed string

func (f fixed) token(context.Context) (custody.Token, error) { return custody.Fixed(string(f)), nil }

// refused can't renew: the token is of a consent that is no grant yet.
func (fixed) refused(context.Context, custody.Token) error {
	return provider.Errorf(provider.ErrUnavailable, "the provider does not accept the fresh access token")
}

const (
	// maxTries bounds the calls for one request that the provider was not available for.
	maxTries = 3
	// maxLimited bounds how often a request that was refused for a limit waits for its turn again. The account and the
	// provider's agree after one refusal; more means that somebody else uses the limit up.
	maxLimited = 5
)

// Call makes a call. Calls that only read, and those that the provider knows again, are repeated when it is not available; with a refused token the call
// is repeated once with a new one, and a call refused for a limit waits as long as the provider asks, or ends with
// *budget.Exhausted.
func (c *Caller) Call(ctx context.Context, r provider.Request, read func(provider.Answer) error) error {
	ctx = aside(ctx)
	err := c.insist(ctx, r, read)
	if r.Optional && (errors.Is(err, provider.ErrScope) || errors.Is(err, provider.ErrForbidden)) {
		return err
	}
	if c.health != nil && ctx.Err() == nil {
		err = c.health(ctx, err)
	}
	return err
}

func (c *Caller) insist(ctx context.Context, r provider.Request, read func(provider.Answer) error) error {
	renewed := false
	for tries, limited := 1, 0; ; {
		token, err := c.tokens.token(ctx)
		if err != nil {
			return err
		}
		err = c.once(ctx, token, r, read)
		switch {
		case ctx.Err() != nil && err != nil:
			return ctx.Err()
		case c.single:
			return err
		case errors.Is(err, provider.ErrToken) && !renewed:
			if err := c.tokens.refused(ctx, token); err != nil {
				return err
			}
			renewed = true
		case errors.Is(err, provider.ErrLimit) && limited < maxLimited:
			limited++
		case errors.Is(err, provider.ErrUnavailable) && (r.Method == http.MethodGet || r.Repeatable) && tries < maxTries:
			if err := pause(ctx, c.up.cfg.Again<<(tries-1)); err != nil {
				return err
			}
			tries++
		default:
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
