package runner_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	"github.com/concord-suite/concord/services/sync/internal/peertest"
	"github.com/concord-suite/concord/services/sync/internal/run"
)

func groups(b *peertest.Bench, id string, all ...string) {
	b.World.Change(id, func(c *peertest.Client) { c.Fields.Groups = all })
}

// A record's hash says nothing of its groups. Where a listing carries them, a change in groups alone is seen.
func TestGroupsAloneChange(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(3)
		groups(b, "r0001", "Trusts", "Growers")
		b.Sync(run.Full)
		for _, kind := range []run.Kind{run.Full, run.Manual} {
			for _, now := range [][]string{{"Growers"}, nil, {"Growers", "Trusts"}} {
				groups(b, "r0001", now...)
				require.EqualValues(t, 1, b.Sync(kind).Counts.ClientsUpdated, kind)
				require.ElementsMatch(t, now, b.Client("r0001").Fields.Groups)
			}
		}
		forbid(b, "links", "clients", "history")
		require.EqualValues(t, 3, b.Sync(run.Full).Counts.ClientsUnchanged)
	})
}

// What a listing leaves out is not empty: it stays, and nothing is written for it.
func TestGroupsThatAListingLeavesOutStay(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(3)
		groups(b, "r0001", "Growers")
		b.Sync(run.Full)
		b.World.Change("r0001", func(c *peertest.Client) { c.Fields.Groups, c.Fields.Phone = nil, "02 9999 0000" })
		b.World.Spoil(func(p *connectorv1.StreamRecordsResponse) {
			for _, r := range p.GetRecords() {
				if c := r.GetClient(); c != nil {
					c.Unread = []string{"groups"}
				}
			}
		})
		require.EqualValues(t, 1, b.Sync(run.Full).Counts.ClientsUpdated)
		require.Equal(t, "02 9999 0000", b.Client("r0001").Fields.Phone)
		require.Equal(t, []string{"Growers"}, b.Client("r0001").Fields.Groups)
		forbid(b, "links", "clients", "history")
		require.EqualValues(t, 3, b.Sync(run.Full).Counts.ClientsUnchanged)
	})
}
