package idtoken

import (
	"encoding/json"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	"github.com/concord-suite/concord/platform/vault"
	"github.com/concord-suite/concord/services/auth/internal/store"
)

// world is what replicas share.
type world struct {
	db    *sqldb.DB
	vault *vault.Vault
	ring  vault.File
	now   time.Time
}

func each(t *testing.T, fn func(t *testing.T, w *world)) {
	sqldbtest.Each(t, store.Migrations, func(t *testing.T, db *sqldb.DB) {
		w := &world{db: db, ring: vault.File{Path: filepath.Join(t.TempDir(), "keyring.json")}, now: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)}
		var err error
		w.vault, err = w.ring.OpenOrCreate()
		require.NoError(t, err)
		fn(t, w)
	})
}

// replica is the keys of one process.
func (w *world) replica(t *testing.T) *Keys {
	t.Helper()
	k := New(w.db, w.vault, func() time.Time { return w.now }, 30*24*time.Hour, slog.New(slog.DiscardHandler))
	_, err := k.Sign("https://app.example.com", "word", "", Person{})
	require.Error(t, err, "nothing was read yet")
	_, err = k.JWKS()
	require.Error(t, err)
	require.NoError(t, k.Refresh(t.Context()))
	return k
}

func sign(t *testing.T, k *Keys) string {
	t.Helper()
	token, err := k.Sign("https://app.example.com", "word", "n", Person{Account: "a", Session: "s", Authenticated: time.Unix(1, 0)})
	require.NoError(t, err)
	return token
}

// believes tells whether the published keys of one replica prove a token.
func believes(t *testing.T, k *Keys, token string) bool {
	t.Helper()
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{Algorithm})
	require.NoError(t, err)
	set := published(t, k)
	for _, key := range set.Key(signed.Signatures[0].Header.KeyID) {
		if _, err := signed.Verify(key); err == nil {
			return true
		}
	}
	return false
}

func published(t *testing.T, k *Keys) (set jose.JSONWebKeySet) {
	t.Helper()
	jwks, err := k.JWKS()
	require.NoError(t, err)
	require.NotContains(t, string(jwks), `"d"`)
	require.NoError(t, json.Unmarshal(jwks, &set))
	return set
}

func TestReplicasShareOneKey(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var work sync.WaitGroup
		for range 2 {
			work.Go(func() {
				_ = New(w.db, w.vault, func() time.Time { return w.now }, time.Hour, slog.New(slog.DiscardHandler)).Refresh(t.Context())
			})
		}
		work.Wait()
		one, two := w.replica(t), w.replica(t)
		require.True(t, believes(t, two, sign(t, one)))
		require.Len(t, published(t, one).Keys, 1, "two replicas that start together make one key")
	})
}

func TestAKeyIsPublishedBeforeItSignsAndAsLongAsItsTokensLive(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		k, other := w.replica(t), w.replica(t)
		first := published(t, k).Keys[0].KeyID
		w.now = w.now.Add(30 * 24 * time.Hour)
		require.NoError(t, k.Refresh(t.Context()))
		require.Len(t, published(t, k).Keys, 2)
		last := sign(t, k)
		signed, err := jose.ParseSignedCompact(last, []jose.SignatureAlgorithm{Algorithm})
		require.NoError(t, err)
		require.Equal(t, first, signed.Signatures[0].Header.KeyID, "the new key is known before it signs")

		w.now = w.now.Add(publishAhead)
		require.NoError(t, k.Refresh(t.Context()))
		late := sign(t, other) // a replica that has not looked since
		fresh := sign(t, k)
		for _, token := range []string{last, late, fresh} {
			require.True(t, believes(t, k, token))
		}
		w.now = w.now.Add(Life)
		require.NoError(t, k.Refresh(t.Context()))
		require.True(t, believes(t, k, late))

		w.now = w.now.Add(publishAfter)
		require.NoError(t, k.Refresh(t.Context()))
		require.False(t, believes(t, k, late))
		require.True(t, believes(t, k, fresh))
		require.NoError(t, w.db.Tx(t.Context(), func(tx *sqldb.Tx) error { return store.Sweep(tx, w.now) }))
		var rows int
		require.NoError(t, w.db.Read(t.Context(), func(tx *sqldb.Tx) error {
			return tx.QueryRow(`SELECT count(*) FROM id_token_keys`).Scan(&rows)
		}))
		require.Equal(t, 1, rows, "the private half of a retired key is destroyed")
	})
}

func TestKeysMoveToANewKeyOfTheVault(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		k := w.replica(t)
		token := sign(t, k)
		require.NoError(t, w.ring.Rotate())
		require.NoError(t, w.vault.Reload())
		require.NoError(t, k.Refresh(t.Context()))
		require.NoError(t, w.ring.Retire())
		require.NoError(t, w.vault.Reload())
		require.True(t, believes(t, w.replica(t), token), "nothing is sealed under the retired key")
	})
}

// A private half that was copied from another table, or another row, does not open.
func TestN47_KeysAreSealedForTheirPurpose(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		k := w.replica(t)
		require.NoError(t, w.db.Tx(t.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.Exec(`UPDATE id_token_keys SET id = 'another'`)
			return err
		}))
		require.ErrorContains(t, k.Refresh(t.Context()), "another")
		require.True(t, strings.Count(sign(t, k), ".") == 2, "the known ones stay")
	})
}

// A clock that is put back costs nobody the ID token: the code or refresh token it is to come with is spent by then.
func TestAClockThatIsPutBackDoesNotStopSigning(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		k := w.replica(t)
		w.now = w.now.Add(-24 * time.Hour)
		require.True(t, believes(t, k, sign(t, k)))
		require.NoError(t, k.Refresh(t.Context()))
		require.True(t, believes(t, k, sign(t, k)))
	})
}
