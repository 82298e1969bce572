package issuer

import (
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	"github.com/concord-suite/concord/platform/vault"
	"github.com/concord-suite/concord/services/auth/internal/store"
)

type world struct {
	db    *sqldb.DB
	vault *vault.Vault
	ring  string
	now   time.Time
}

func each(t *testing.T, fn func(t *testing.T, w *world)) {
	sqldbtest.Each(t, store.Migrations, func(t *testing.T, db *sqldb.DB) {
		w := &world{db: db, ring: filepath.Join(t.TempDir(), "keyring.json"), now: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)}
		var err error
		w.vault, err = vault.OpenOrCreate(w.ring)
		require.NoError(t, err)
		fn(t, w)
	})
}

// replica is the issuer of one process.
func (w *world) replica() *Issuer {
	return New(w.db, w.vault, func() time.Time { return w.now }, 30*24*time.Hour, slog.New(slog.DiscardHandler))
}

func (w *world) token(t *testing.T, i *Issuer) string {
	t.Helper()
	signer, err := i.Signer()
	require.NoError(t, err)
	token, err := signer.Mint(access.Principal{Kind: access.Operator, ID: "o"}, "sync", time.Minute)
	require.NoError(t, err)
	return token
}

func (w *world) believes(t *testing.T, i *Issuer, token string) bool {
	t.Helper()
	_, err := access.NewVerifier("sync", i, func() time.Time { return w.now }).Verify(t.Context(), token)
	return err == nil
}

func TestFirstKeySignsAtOnceAndForAllReplicas(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		one, two := w.replica(), w.replica()
		_, err := one.Signer()
		require.Error(t, err)
		var wg sync.WaitGroup
		for _, i := range []*Issuer{one, two} {
			wg.Go(func() {
				if err := i.Refresh(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		require.NoError(t, one.Refresh(t.Context()))
		require.NoError(t, two.Refresh(t.Context()))
		require.True(t, w.believes(t, two, w.token(t, one)))
		a, err := one.JWKS()
		require.NoError(t, err)
		require.Equal(t, 1, strings.Count(string(a), "kid"), "two replicas that start together make one key")
	})
}

func TestRotation(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		i, other := w.replica(), w.replica()
		require.NoError(t, i.Refresh(t.Context()))
		require.NoError(t, other.Refresh(t.Context()))
		first, err := i.Signer()
		require.NoError(t, err)

		w.now = w.now.Add(30 * 24 * time.Hour)
		require.NoError(t, i.Refresh(t.Context()))
		jwks, err := i.JWKS()
		require.NoError(t, err)
		require.Equal(t, 2, strings.Count(string(jwks), "kid"), "published before it signs")
		signer, err := i.Signer()
		require.NoError(t, err)
		require.Equal(t, first.KeyID(), signer.KeyID())

		w.now = w.now.Add(publishAhead)
		signer, err = i.Signer()
		require.NoError(t, err)
		require.NotEqual(t, first.KeyID(), signer.KeyID())
		require.True(t, w.believes(t, other, w.token(t, i)), "a replica that has not looked yet looks now")
		old, err := first.Mint(access.Principal{Kind: access.Operator, ID: "o"}, "sync", time.Minute)
		require.NoError(t, err)
		require.NoError(t, i.Refresh(t.Context()))
		require.True(t, w.believes(t, i, old))

		w.now = w.now.Add(verifyAfter)
		require.NoError(t, i.Refresh(t.Context()))
		old, err = first.Mint(access.Principal{Kind: access.Operator, ID: "o"}, "sync", time.Minute)
		require.NoError(t, err)
		require.False(t, w.believes(t, i, old), "the old key is retired")
		require.NoError(t, w.db.Tx(t.Context(), func(tx *sqldb.Tx) error { return store.Sweep(tx, w.now) }))
		require.Equal(t, 1, w.rows(t))
	})
}

func (w *world) rows(t *testing.T) (n int) {
	t.Helper()
	require.NoError(t, w.db.Read(t.Context(), func(tx *sqldb.Tx) error {
		return tx.QueryRow(`SELECT count(*) FROM signing_keys`).Scan(&n)
	}))
	return n
}

func TestKeysMoveToANewKeyOfTheVault(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		i := w.replica()
		require.NoError(t, i.Refresh(t.Context()))
		token := w.token(t, i)
		require.NoError(t, vault.File{Path: w.ring}.Rotate())
		require.NoError(t, w.vault.Reload())
		require.NoError(t, i.Refresh(t.Context()))
		require.NoError(t, vault.File{Path: w.ring}.Retire())
		require.NoError(t, w.vault.Reload())
		fresh := w.replica()
		require.NoError(t, fresh.Refresh(t.Context()), "nothing is sealed under the retired key")
		require.True(t, w.believes(t, fresh, token))
	})
}

func TestOthersMayNotUseAuthsName(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		i := w.replica()
		require.NoError(t, i.Refresh(t.Context()))
		trust := access.NewTrust()
		forger, err := trust.Issue(access.AuthIssuer, func() time.Time { return w.now })
		require.NoError(t, err)
		token, err := forger.Mint(access.Principal{Kind: access.Operator, ID: "o"}, "sync", time.Minute)
		require.NoError(t, err)
		require.False(t, w.believes(t, i, token))
		_, err = i.Key(t.Context(), "sync", "whatever")
		require.ErrorIs(t, err, access.ErrUnknownKey)
	})
}
