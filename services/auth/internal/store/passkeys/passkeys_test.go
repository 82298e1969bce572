package passkeys_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	"github.com/concord-suite/concord/services/auth/internal/passkey"
	"github.com/concord-suite/concord/services/auth/internal/store"
	"github.com/concord-suite/concord/services/auth/internal/store/passkeys"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// each runs fn in a transaction of a database with two accounts, on every engine.
func each(t *testing.T, fn func(t *testing.T, tx *sqldb.Tx)) {
	t.Helper()
	sqldbtest.Each(t, store.Migrations, func(t *testing.T, db *sqldb.DB) {
		require.NoError(t, db.Tx(t.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.Exec(`INSERT INTO addresses (email, salt) VALUES ('kim@example.com', $1), ('lee@example.com', $1)`, []byte("salt"))
			require.NoError(t, err)
			for _, id := range []string{"kim", "lee"} {
				_, err := tx.Exec(`INSERT INTO accounts (id, firm, kind, role, contact, email, display_name, mobile, state, password, created_at)
					VALUES ($1, '', 'OPERATOR', '', '', $2, $1, '', 'ACTIVE', '', 1)`, id, id+"@example.com")
				require.NoError(t, err)
			}
			fn(t, tx)
			return nil
		}))
	})
}

func someKey(id, account string) passkey.Passkey {
	return passkey.Passkey{
		ID: id, Account: account, Site: "app.example.com", Name: "Laptop", CredentialID: []byte("credential " + id), PublicKey: []byte{1, 2}, SignCount: 1<<32 - 2,
		Transports: []string{"usb", "nfc"}, Synced: true, BackedUp: true, Created: noon,
	}
}

func TestAPasskeyComesBackAsItWasKept(t *testing.T) {
	each(t, func(t *testing.T, tx *sqldb.Tx) {
		handle, err := passkeys.Handle(tx, "kim", []byte("first"))
		require.NoError(t, err)
		require.Equal(t, []byte("first"), handle)
		handle, err = passkeys.Handle(tx, "kim", []byte("second"))
		require.NoError(t, err)
		require.Equal(t, []byte("first"), handle, "a handle never changes")

		key := someKey("a", "kim")
		ok, err := passkeys.Insert(tx, key)
		require.NoError(t, err)
		require.True(t, ok)
		again := someKey("b", "lee")
		again.CredentialID = key.CredentialID
		ok, err = passkeys.Insert(tx, again)
		require.NoError(t, err)
		require.False(t, ok, "a credential is one person's")

		found, owner, err := passkeys.ByCredential(tx, "app.example.com", key.CredentialID)
		require.NoError(t, err)
		require.Equal(t, key, found)
		require.Equal(t, handle, owner)
		_, _, err = passkeys.ByCredential(tx, "app.example.com", []byte("nobody's"))
		require.ErrorIs(t, err, sqldb.ErrNotFound)

		key.SignCount, key.BackedUp, key.Used = 1<<32-1, false, noon.Add(time.Hour)
		ok, err = passkeys.Used(tx, key, key.Used)
		require.NoError(t, err)
		require.True(t, ok)
		all, err := passkeys.Of(tx, "kim", "app.example.com")
		require.NoError(t, err)
		require.Equal(t, []passkey.Passkey{key}, all)
		all, err = passkeys.Of(tx, "kim", "old.example.com")
		require.NoError(t, err)
		require.Empty(t, all, "a passkey is good for one host")
		_, _, err = passkeys.ByCredential(tx, "old.example.com", key.CredentialID)
		require.ErrorIs(t, err, sqldb.ErrNotFound)
		key.SignCount = 5
		ok, err = passkeys.Used(tx, key, key.Used)
		require.NoError(t, err)
		require.False(t, ok, "a counter never goes back")

		ok, err = passkeys.Delete(tx, "lee", "a")
		require.NoError(t, err)
		require.False(t, ok, "it is not theirs")
		ok, err = passkeys.Delete(tx, "kim", "a")
		require.NoError(t, err)
		require.True(t, ok)
	})
}

func TestAChallengeIsTakenOnce(t *testing.T) {
	each(t, func(t *testing.T, tx *sqldb.Tx) {
		asked := passkeys.Challenge{Hash: []byte("h"), Challenge: []byte("c"), Verify: true, Expires: noon}
		require.NoError(t, passkeys.PutChallenge(tx, asked))
		asked.Challenge = []byte("fresh")
		require.NoError(t, passkeys.PutChallenge(tx, asked))
		kept, err := passkeys.ChallengeOf(tx, asked.Hash)
		require.NoError(t, err)
		require.Equal(t, asked, kept)
		taken, err := passkeys.TakeChallenge(tx, asked.Hash)
		require.NoError(t, err)
		require.Equal(t, asked, taken)
		_, err = passkeys.TakeChallenge(tx, asked.Hash)
		require.ErrorIs(t, err, sqldb.ErrNotFound)

		require.NoError(t, passkeys.PutChallenge(tx, asked))
		require.NoError(t, passkeys.Sweep(tx, noon.Add(time.Microsecond)))
		_, err = passkeys.TakeChallenge(tx, asked.Hash)
		require.ErrorIs(t, err, sqldb.ErrNotFound)
	})
}
