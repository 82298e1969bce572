package runner_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/services/sync/internal/peertest"
	"github.com/concord-suite/concord/services/sync/internal/plan"
	"github.com/concord-suite/concord/services/sync/internal/run"
)

// A client whose record was merged into another leaves, and the receipt says where it went.
func TestMergedRecordsSayInto(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(30)
		b.Sync(run.Full)
		for id, into := range map[string]string{"r0001": "r0002", "r0003": "unheard-of"} {
			b.World.Change(id, func(c *peertest.Client) { c.Archived, c.MergedInto = true, into })
		}
		r := b.Sync(run.Full)
		require.EqualValues(t, 2, r.Counts.Started)
		said := map[string]string{}
		for _, c := range b.Changes(r, plan.Archive) {
			said[c.RecordID] = strings.Join(c.Evidence, "; ")
		}
		require.Contains(t, said["r0001"], "was merged into the record of Client 0002 Pty Ltd")
		require.Contains(t, said["r0003"], "was merged into the record unheard-of")
		require.Equal(t, "merged upstream into the record of Client 0002 Pty Ltd", b.Offboarding(b.Client("r0001").ID).Reason)
	})
}
