package load

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/remote"
	"github.com/concord-suite/concord/test/story"
	"github.com/concord-suite/concord/test/topology"
)

const (
	// pageSize is the largest page of the practice's listings.
	pageSize = 500
	// leavers are archived upstream to see what a removal candidate costs; below the guard, so that they leave by themselves.
	leavers = 25
)

func pagesOf(records int) int { return (records + pageSize - 1) / pageSize }

// BenchmarkFullSyncCalls counts what full syncs of 5,000 clients ask the provider, by the provider's own count, against
// the pages that the listings of clients and contacts have. Calls are what a practice has least of.
func BenchmarkFullSyncCalls(b *testing.B) {
	for _, kind := range []topology.Kind{topology.OneProcess, topology.ManyProcesses} {
		b.Run(kind.String(), func(b *testing.B) {
			for b.Loop() {
				fullSyncCalls(b, kind)
			}
		})
	}
}

func fullSyncCalls(b *testing.B, kind topology.Kind) {
	p := connect(b, kind, topology.Options{Clients: size(b, "LOAD_CALLS_CLIENTS", 5000)})
	tenant := p.tenant(b)
	pages := pagesOf(tenant.Clients) + pagesOf(tenant.Contacts)
	visible := p.first.GetFirstVisibleTime().AsTime().Sub(p.first.GetCreateTime().AsTime())
	whole := p.first.GetEndTime().AsTime().Sub(p.first.GetCreateTime().AsTime())

	p.forgetCalls(b)
	run := p.full(b)
	asked := p.calls(b)
	require.EqualValues(b, asked.Calls, run.GetCalls(), "the run counts its calls as the provider does")

	_, err := p.World.Archive(b.Context(), remote.Selector{N: leavers, Seed: 7})
	require.NoError(b, err)
	p.forgetCalls(b)
	p.full(b)
	story.Eventually(b, "the leavers' off-boardings begin", func() bool { return len(p.admin.Offboardings(b)) == leavers })
	removing := p.calls(b)

	report(b, float64(asked.Calls)/float64(pages), "calls/page")
	report(b, float64(removing.Calls-asked.Calls)/leavers, "calls/candidate")
	report(b, visible.Seconds(), "s-to-first-visible")
	report(b, visible.Seconds()/whole.Seconds(), "of-whole-run")
	rows := [][]string{{"endpoint", "nothing new", fmt.Sprintf("%d leave", leavers)}}
	for _, name := range slices.Sorted(maps.Keys(removing.Endpoints)) {
		rows = append(rows, []string{name, fmt.Sprint(asked.Endpoints[name].Calls), fmt.Sprint(removing.Endpoints[name].Calls)})
	}
	table(b, fmt.Sprintf("%d clients, %d contacts: %d pages; first run of %d calls took %.2f s, its first clients were visible after %.2f s",
		tenant.Clients, tenant.Contacts, pages, p.first.GetCalls(), whole.Seconds(), visible.Seconds()), rows)
}

// calls is what the provider was asked about the practice since forgetCalls.
func (p *practice) calls(b *testing.B) remote.Calls {
	b.Helper()
	all, err := p.World.Calls(b.Context())
	require.NoError(b, err)
	return all[p.tenant(b).ID]
}

// tenant is the connected practice as the world shows it.
func (p *practice) tenant(b *testing.B) remote.Tenant {
	b.Helper()
	state, err := p.World.State(b.Context())
	require.NoError(b, err)
	at := slices.IndexFunc(state.Tenants, func(t remote.Tenant) bool { return t.Name == sim.PracticeName })
	require.GreaterOrEqual(b, at, 0)
	return state.Tenants[at]
}

func (p *practice) forgetCalls(b *testing.B) {
	b.Helper()
	require.NoError(b, p.World.Do(b.Context(), "DELETE", "/control/calls", nil, nil))
}
