package custody_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/rotation"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/vault"
	"github.com/concord-suite/concord/sim"

	"github.com/concord-suite/concord/services/connector/internal/store"
	"github.com/concord-suite/concord/services/connector/internal/store/guards"
)

// rotations is how often TestKeysAreRotatedUnderLoad replaces the keys.
const rotations = 5

// load uses the tokens of grants again and again, from several processes.
type load struct {
	b      *bench
	grants []store.Grant
	// still is held by whoever uses a token and taken by whoever moves the clock: a token does not expire in the hand.
	still            sync.RWMutex
	used, failed     atomic.Int64
	ended            chan struct{}
	processes, ticks sync.WaitGroup
}

// process is one more process: keys, database and custodian of its own, and the worker that seals rows anew.
func (l *load) process(ctx context.Context) {
	var err error
	l.b.ring, err = vault.Open(l.b.keyring)
	require.NoError(l.b.t, err)
	r := l.b.replica()
	worker := rotation.NewWorker(rotation.Book{Service: "connector", DB: r.db, Inventory: guards.Inventory}, l.b.ring, slog.New(slog.DiscardHandler))
	l.processes.Go(func() {
		if err := worker.Run(ctx); err != nil {
			l.b.t.Error(err)
		}
	})
	for w := range 4 {
		l.processes.Go(func() {
			for i := w; ; i++ {
				select {
				case <-l.ended:
					return
				default:
					l.use(r, l.grants[i%len(l.grants)])
				}
			}
		})
	}
}

// use asks for a token and uses it.
func (l *load) use(r replica, g store.Grant) {
	l.still.RLock()
	defer l.still.RUnlock()
	token, err := r.Token(l.b.t.Context(), g.ID)
	if err == nil {
		_, err = l.b.identity(sim.ClientSecret).Tenants(l.b.t.Context(), token.Access(), "")
	}
	if err != nil {
		l.failed.Add(1)
		l.b.t.Errorf("grant %s: %v", g.ID, err)
	}
	l.used.Add(1)
}

// age lets all tokens run out again and again.
func (l *load) age() {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-l.ended:
			return
		case <-tick.C:
			l.still.Lock()
			l.b.forward(26 * time.Minute)
			l.still.Unlock()
		}
	}
}

// TestKeysAreRotatedUnderLoad replaces the keys several times while two processes use and renew tokens: no request fails,
// no grant is lost, and the keys of the beginning open nothing in the end.
func TestKeysAreRotatedUnderLoad(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		first := b.replica()
		require.NoError(t, sqldb.Migrate(t.Context(), first.db, sqldb.Join(rotation.Schema, guards.Schema)))
		l := &load{b: b, ended: make(chan struct{})}
		for range 12 {
			l.grants = append(l.grants, b.grant(first))
		}
		before := copied(t, b.keyring)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		l.process(ctx)
		l.process(ctx)
		l.ticks.Go(l.age)
		ring := rotation.Ring{File: vault.File{Path: b.keyring}, Books: []rotation.Book{{Service: "connector", DB: first.db, Inventory: guards.Inventory}}}
		began, spent := time.Now(), b.calls.Load()
		for range rotations {
			_, err := ring.Rotate(t.Context(), func(rotation.Step) {})
			require.NoError(t, err)
		}
		took := time.Since(began)
		close(l.ended)
		l.ticks.Wait()
		cancel()
		l.processes.Wait()

		require.Zero(t, l.failed.Load())
		require.Greater(t, b.calls.Load()-spent, int32(rotations), "tokens were renewed meanwhile")
		status, err := ring.Status(t.Context())
		require.NoError(t, err)
		require.Len(t, status.Keys.Seal, 1)
		fresh, err := vault.Open(b.keyring)
		require.NoError(t, err)
		for _, g := range l.grants {
			row := b.row(first, g.ID)
			require.Equal(t, store.GrantActive, row.Status)
			for column, secret := range map[string]store.Sealed{"refresh": row.Refresh, "access": row.Access} {
				require.Equal(t, fresh.SealingKey(), secret.Key)
				_, err := fresh.Open(secret.Text, row.Row(column))
				require.NoError(t, err)
				_, err = before.Open(secret.Text, row.Row(column))
				require.ErrorIs(t, err, vault.ErrSealed, "the old keyring alone")
				_, err = fresh.Open(secret.Text, l.grants[0].Row("spare"))
				require.ErrorIs(t, err, vault.ErrSealed, "another row and column")
			}
		}
		t.Logf("%d rotations in %s; %d uses of %d grants by 2 processes, %d renewals; %d failed, 0 grants lost", rotations,
			took.Round(time.Millisecond), l.used.Load(), len(l.grants), b.calls.Load()-spent, l.failed.Load())
	})
}

// copied opens a copy of a keyring file as it is now.
func copied(t *testing.T, path string) *vault.Vault {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	at := filepath.Join(t.TempDir(), "keyring.json")
	require.NoError(t, os.WriteFile(at, data, 0o600))
	v, err := vault.Open(at)
	require.NoError(t, err)
	return v
}
