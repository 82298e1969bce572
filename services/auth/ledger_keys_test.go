package auth_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/rotation"
	"github.com/concord-suite/concord/platform/sqldb"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/services/auth"
)

// The key that signs exports is kept sealed, with 128 bits of strength, is in the inventory, and outlives the keyring's keys: a
// file from before a rotation is checked by the same key as one from after.
func TestN58_TheKeyOfExportsIsSealedListedAndOutlivesRotation(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newOffice()
		before, err := s.export(admin, &authv1.ExportAuditEntriesRequest{Parent: admin.firm})
		require.NoError(t, err)
		ring := rotation.Ring{File: s.keyring, Books: []rotation.Book{{Service: auth.Name, DB: s.db, Inventory: auth.Inventory}}}
		s.until(func() bool { return len(s.ringStatus(ring).Parts[0].Replicas) == 1 })
		first := s.ringStatus(ring).Keys.Sealing()
		_, err = ring.Rotate(t.Context(), func(rotation.Step) {})
		require.NoError(t, err)
		require.NotEqual(t, first, s.ringStatus(ring).Keys.Sealing())
		after, err := s.export(admin, &authv1.ExportAuditEntriesRequest{Parent: admin.firm})
		require.NoError(t, err)

		e, err := s.evidence(admin)
		require.NoError(t, err)
		var id string
		for _, k := range e.GetKeys() {
			if k.GetPurpose() == "signs exports of the audit ledger" {
				require.Empty(t, id, "one key")
				id = k.GetKeyId()
			}
		}
		for _, file := range [][]byte{before, after} {
			var told strings.Builder
			well, err := auth.CheckTranscript(bytes.NewReader(file), auth.TranscriptCheck{Key: id}, &told)
			require.NoError(t, err)
			require.True(t, well, told.String())
		}
		var head struct {
			Keys struct {
				Keys []struct{ Kty, Crv, X, Alg string }
			}
		}
		require.NoError(t, json.Unmarshal(before[:bytes.IndexByte(before, '\n')], &head))
		require.Equal(t, "Ed25519", head.Keys.Keys[0].Crv) // 128 bits
		public, err := base64.RawURLEncoding.DecodeString(head.Keys.Keys[0].X)
		require.NoError(t, err)
		var stored, sealed []byte
		require.NoError(t, s.db.QueryRow(t.Context(), `SELECT public_key, sealed FROM ledger_keys WHERE id = $1`, id).Scan(&stored, &sealed))
		require.Equal(t, public, stored)
		require.Greater(t, len(sealed), 64, "an envelope and no bare key")
		require.Error(t, s.db.Tx(t.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.Exec(`DELETE FROM ledger_keys`)
			return err
		}), "nobody could check last year's file")
	})
}
