package custody_test

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	"github.com/concord-suite/concord/platform/vault"
	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/remote"

	"github.com/concord-suite/concord/services/connector/internal/connection"
	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/provider/custody"
	"github.com/concord-suite/concord/services/connector/internal/provider/xero"
	"github.com/concord-suite/concord/services/connector/internal/store"
)

// bench is a custodian's surroundings: a simulated identity service, a database, keys, a clock.
type bench struct {
	t       *testing.T
	url     string
	world   *sim.World
	remote  *remote.Client
	ring    *vault.Vault
	keyring string       // the file that ring was read from
	calls   atomic.Int32 // to the token endpoint
	begun   atomic.Int32 // of these, those that were begun
	answer  func()       // called when an answer of the token endpoint is here and before anybody has seen it

	mu    sync.Mutex
	ahead time.Duration
}

func newBench(t *testing.T, url string) *bench {
	t.Helper()
	b := &bench{t: t, url: url}
	var err error
	b.world, err = sim.Start(t.Context(), sim.Config{Clients: 5, Now: b.now})
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.world.Close() })
	b.remote = b.world.Remote()
	b.keyring = filepath.Join(t.TempDir(), "keyring.json")
	b.ring, err = vault.OpenOrCreate(b.keyring)
	require.NoError(t, err)
	return b
}

func (b *bench) now() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Now().Add(b.ahead)
}

func (b *bench) forward(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ahead += d
}

// RoundTrip counts the calls to the token endpoint.
func (b *bench) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "/connect/token") {
		b.begun.Add(1)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if strings.HasSuffix(r.URL.Path, "/connect/token") {
		b.calls.Add(1)
		if b.answer != nil && err == nil {
			b.answer()
		}
	}
	return resp, err
}

func (b *bench) identity(secret string) *xero.Identity { return b.client(secret, 5*time.Second, b.now) }

func (b *bench) client(secret string, timeout time.Duration, now func() time.Time) *xero.Identity {
	at := func(path string) *url.URL {
		u, err := url.Parse(b.world.URL() + path)
		require.NoError(b.t, err)
		return u
	}
	return xero.New(xero.Config{ClientID: sim.ClientID, ClientSecret: secret, RedirectURL: "http://localhost/cb",
		AuthorizeURL: at("/identity/connect/authorize"), IdentityURL: at(""), APIURL: at(""), Timeout: timeout},
		&http.Client{Transport: b}, now)
}

// replica is a custodian with database connections of its own.
type replica struct {
	*custody.Custodian
	db *sqldb.DB
}

func (b *bench) replica(opts ...sqldb.Option) replica {
	return b.with(b.identity(sim.ClientSecret), opts...)
}

func (b *bench) with(identity provider.Identity, opts ...sqldb.Option) replica {
	return b.custodian(identity, b.now, opts...)
}

// skewed is a replica whose clock is off.
func (b *bench) skewed(off time.Duration, opts ...sqldb.Option) replica {
	now := func() time.Time { return b.now().Add(off) }
	return b.custodian(b.client(sim.ClientSecret, 5*time.Second, now), now, opts...)
}

// impatient is a replica that does not wait long for the identity service.
func (b *bench) impatient(timeout time.Duration) replica {
	return b.with(b.client(sim.ClientSecret, timeout, b.now))
}

func (b *bench) custodian(identity provider.Identity, now func() time.Time, opts ...sqldb.Option) replica {
	db := sqldbtest.Open(b.t, b.url, sqldb.Join(events.Schema, store.Migrations), opts...)
	logger := slog.New(slog.DiscardHandler)
	return replica{custody.New(db, b.ring, map[string]provider.Identity{app: identity}, config, now, logger), db}
}

// grant has somebody consent and keeps the tokens, with a connection that uses them.
func (b *bench) grant(r replica) store.Grant {
	b.t.Helper()
	identity, verifier := b.identity(sim.ClientSecret), oauth2.GenerateVerifier()
	next, err := remote.Consent(b.t.Context(), identity.AuthorizeURL("state", verifier, scopes), remote.Choice{Person: sim.Owner, Tenant: sim.PracticeName})
	require.NoError(b.t, err)
	tokens, err := identity.Exchange(b.t.Context(), next.Query().Get("code"), verifier)
	require.NoError(b.t, err)
	require.NotEmpty(b.t, tokens.Subject)
	require.NotEmpty(b.t, tokens.AuthEvent)
	g := store.Grant{ID: uuid.NewString(), Firm: "firm", App: app, Subject: tokens.Subject, Scopes: tokens.Scopes, Status: store.GrantActive, Created: b.now()}
	require.NoError(b.t, r.Put(&g, tokens))
	require.NoError(b.t, r.db.Tx(b.t.Context(), func(tx *sqldb.Tx) error {
		c := connection.Connection{Ref: connection.Ref{Firm: "firm", ID: uuid.NewString()}, Provider: connection.XPM, TenantID: uuid.NewString(),
			Grant: g.ID, State: connection.Active, Options: connection.DefaultOptions(), Created: b.now(), Version: 1}
		return errors.Join(store.InsertGrant(tx, g), store.SaveConnection(tx, c, b.now()))
	}))
	b.calls.Store(0)
	b.begun.Store(0)
	return g
}

func (b *bench) row(r replica, id string) (g store.Grant) {
	b.t.Helper()
	require.NoError(b.t, r.db.Read(b.t.Context(), func(tx *sqldb.Tx) (err error) {
		g, err = store.GrantByID(tx, id, false)
		return err
	}))
	return g
}

// works requires that an access token can be had and that the provider accepts it.
func (b *bench) works(r replica, grant string) {
	b.t.Helper()
	_, err := b.identity(sim.ClientSecret).Tenants(b.t.Context(), b.token(r, grant).Access(), "")
	require.NoError(b.t, err)
}

// token requires that an access token can be had.
func (b *bench) token(r replica, grant string) custody.Token {
	b.t.Helper()
	token, err := r.Token(b.t.Context(), grant)
	require.NoError(b.t, err)
	return token
}

// recovers asks for a token until there is one, as callers and workers do.
func (b *bench) recovers(r replica, grant string) {
	b.t.Helper()
	b.until("there is a token", func() bool {
		_, err := r.Token(b.t.Context(), grant)
		require.NotErrorIs(b.t, err, custody.ErrDead, "the grant is lost")
		return err == nil
	})
	b.works(r, grant)
}

// until waits for something that others bring about.
func (b *bench) until(what string, ok func() bool) {
	b.t.Helper()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-limit.C:
			b.t.Fatalf("waited in vain until %s", what)
		case <-tick.C:
		}
	}
}

// each runs fn on every engine, beside other tests: most of their time is waiting.
func each(t *testing.T, fn func(t *testing.T, b *bench)) {
	t.Helper()
	t.Parallel()
	sqldbtest.EachURL(t, func(t *testing.T, url string) { fn(t, newBench(t, url)) })
}
