package saga_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	"github.com/concord-suite/concord/services/sync/internal/offboard"
	"github.com/concord-suite/concord/services/sync/internal/peertest"
	"github.com/concord-suite/concord/services/sync/internal/store"
)

// What unblocks a client, or a person who pushes, may come while documents' word that it is blocked is on its way.
func TestWhatComesWhileDocumentsAnswersIsNotForgotten(t *testing.T) {
	for name, wake := range map[string]func(b *peertest.Bench, id string) error{
		"the last signature": func(b *peertest.Bench, id string) error {
			b.World.Folder(clientName(b, "r0005"), func(f *peertest.Folder) { f.Blockers = nil })
			return b.DB.Tx(t.Context(), func(tx *sqldb.Tx) error { return store.WakeBlocked(tx, id, b.Clock.Now()) })
		},
		"a person": func(b *peertest.Bench, id string) error {
			return b.DB.Tx(t.Context(), func(tx *sqldb.Tx) error {
				o, err := store.LockOffboarding(tx, peertest.Firm, b.Offboarding(id).ID)
				if err != nil {
					return err
				}
				return store.PushOffboarding(tx, o, true, "left the practice", "somebody", "", b.Clock.Now())
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
				practice(b)
				id := b.Client("r0005").ID
				b.World.Folder(clientName(b, "r0005"), func(f *peertest.Folder) {
					f.Blockers = []*documentsv1.Blocker{{Kind: "SIGNATURE_OPEN", Description: "x"}}
				})
				leave(b, "r0005")
				woken := false
				b.World.After("BeginOffboarding", func() {
					if !woken {
						woken = true
						require.NoError(t, wake(b, id))
					}
				})
				step(t, b)
				require.Equal(t, offboard.Blocked, b.Offboarding(id).State)
				step(t, b) // due at once, not in ten minutes
				require.Equal(t, offboard.Done, b.Offboarding(id).State)
				b.Invariants()
			})
		})
	}
}
