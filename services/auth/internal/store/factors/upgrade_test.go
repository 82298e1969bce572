package factors_test

import (
	"crypto/sha256"
	"io/fs"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/factor"
	"github.com/concord-suite/concord/services/auth/internal/store"
)

// before is a schema as it was before a migration.
type before struct {
	fs.FS
	name string
}

// ReadDir implements fs.ReadDirFS.
func (b before) ReadDir(dir string) (out []fs.DirEntry, err error) {
	all, err := fs.ReadDir(b.FS, dir)
	for _, e := range all {
		if e.IsDir() || e.Name() < b.name {
			out = append(out, e)
		}
	}
	return out, err
}

// A challenge whose PIN is on its way when the service is upgraded is redeemed after it.
func TestAChallengeThatWaitsOutlivesTheUpgrade(t *testing.T) {
	sqldbtest.Each(t, before{store.Migrations, "0008"}, func(t *testing.T, db *sqldb.DB) {
		now := time.Now().UTC().Truncate(time.Microsecond)
		hash := sha256.Sum256([]byte("challenge"))
		exec := func(query string, args ...any) {
			t.Helper()
			require.NoError(t, db.Tx(t.Context(), func(tx *sqldb.Tx) error { _, err := tx.Exec(query, args...); return err }))
		}
		exec(`INSERT INTO addresses (email, salt) VALUES ('mo@harbour.example', $1)`, []byte("salt"))
		exec(`INSERT INTO accounts (id, firm, kind, role, contact, email, display_name, mobile, state, created_at)
			VALUES ('one', '', 'OPERATOR', '', '', 'mo@harbour.example', 'Mo', '', 'ACTIVE', 1)`)
		exec(`INSERT INTO challenges (id_hash, account, channel, sms_mac, created_at, expires_at, resend_at, failures, address)
			VALUES ($1, 'one', 'SMS', $2, 1, $3, 1, 2, '')`, hash[:], []byte("mac"), sqldb.Micros(now.Add(time.Minute)))
		require.NoError(t, sqldb.Migrate(t.Context(), db, store.Migrations))
		require.NoError(t, db.Tx(t.Context(), func(tx *sqldb.Tx) error {
			c, err := store.ChallengeBy(tx, hash[:])
			require.NoError(t, err)
			require.Equal(t, factor.Kinds{account.SMSPIN}, c.Factors, "it says nothing of kinds: those of its channel")
			require.Equal(t, "one", c.Account)
			require.Equal(t, []byte("mac"), c.SMSMAC)
			require.Equal(t, 2, c.Failures)
			require.Equal(t, now.Add(time.Minute), c.Expires)
			c.Closed = now
			ok, err := store.UpdateChallenge(tx, c)
			require.True(t, ok)
			return err
		}))
	})
}
