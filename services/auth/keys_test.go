package auth_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/rotation"
	"github.com/concord-suite/concord/platform/rotation/rotationtest"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/auth"
)

// TestS14_EverySealedColumnIsRotatedAndBound walks the schema.
func TestS14_EverySealedColumnIsRotatedAndBound(t *testing.T) {
	rotationtest.Inventory(t, auth.Migrations, auth.Inventory, rotationtest.With{
		Values: map[string]string{"enrolments.kind": "TOTP"},
		Prepare: func(tx *sqldb.Tx, ids []string) error {
			undo := map[sqldb.Dialect]string{
				sqldb.SQLite:   `DROP TRIGGER ledger_keys_no_delete`,
				sqldb.Postgres: `DROP TRIGGER ledger_keys_no_delete ON ledger_keys`,
			}
			if _, err := tx.Exec(undo[tx.Dialect()]); err != nil {
				return err
			}
			for _, id := range ids {
				if err := bareAccount(tx, id); err != nil {
					return err
				}
			}
			return nil
		},
	})
}

// bareAccount writes an account that nobody can sign in to, for what refers to one.
func bareAccount(tx *sqldb.Tx, id string) error {
	if _, err := tx.Exec(`INSERT INTO addresses (email, salt) VALUES ($1, $2)`, id+"@bare.example", []byte("salt")); err != nil {
		return err
	}
	_, err := tx.Exec(`INSERT INTO accounts (id, firm, kind, role, contact, email, display_name, mobile, state, created_at)
		VALUES ($1, '', 'OPERATOR', '', '', $2, 'Nobody', '', 'INVITED', 0)`, id, id+"@bare.example")
	return err
}

// TestKeysAreRotatedWhilePeopleSignIn replaces the keys while people sign in with PINs and services ask who they are. A PIN
// that was sent before a rotation is good after it.
func TestKeysAreRotatedWhilePeopleSignIn(t *testing.T) {
	each(t, options{run: true, environ: []string{"CONCORD_AUTH_SMS_PER_HOUR=1000"}}, func(t *testing.T, s *suite) {
		operator := s.operator()
		ring := rotation.Ring{File: s.keyring, Books: []rotation.Book{{Service: auth.Name, DB: s.db, Inventory: auth.Inventory}}}
		s.until(func() bool { return len(s.ringStatus(ring).Parts[0].Replicas) == 1 })
		first, signIns := s.ringStatus(ring).Keys.Sealing(), 0
		for range 3 {
			waiting := s.begin(operator)
			pin := s.inbox.pin(operator.email)
			var rotating sync.WaitGroup
			ended := make(chan struct{})
			var kept, failed error
			rotating.Go(func() {
				defer close(ended)
				kept, failed = ring.Rotate(t.Context(), func(rotation.Step) {})
			})
			for on := true; on; {
				select {
				case <-ended:
					on = false
				default:
					_, err := s.resolve(operator.token, "sync")
					require.NoError(t, err)
					signIns++
				}
			}
			rotating.Wait()
			require.NoError(t, failed)
			require.ErrorContains(t, kept, "PINs sent by e-mail of auth made with the old key are under way")
			_, err := s.verify(waiting.GetChallenge(), pin)
			require.NoError(t, err, "a PIN from before")
			s.signInAs(operator)
		}
		kept, err := ring.Retire(t.Context(), false)
		require.NoError(t, err)
		require.NoError(t, kept, "no PIN is under way")
		status := s.ringStatus(ring)
		require.Len(t, status.Keys.Seal, 1)
		require.Len(t, status.Keys.MAC, 1)
		require.NotEqual(t, first, status.Keys.Sealing())
		t.Logf("3 rotations, %d sessions resolved and 6 sign-ins meanwhile, 0 failed", signIns)
	})
}

func (s *suite) ringStatus(ring rotation.Ring) rotation.Status {
	s.t.Helper()
	status, err := ring.Status(s.t.Context())
	require.NoError(s.t, err)
	return status
}

func (s *suite) until(ok func() bool) {
	s.t.Helper()
	require.Eventually(s.t, ok, 10*time.Second, 10*time.Millisecond)
}
