package ledger

import (
	"encoding/hex"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

type row struct {
	sequence int64
	payload  []byte
	hash     []byte
}

func chainOf(name string, n int) ([]row, Head) {
	var rows []row
	var head Head
	for i := range n {
		payload := []byte("entry " + strconv.Itoa(i+1))
		head = head.Next(name, payload)
		rows = append(rows, row{head.Sequence, payload, head.Hash})
	}
	return rows, head
}

func check(chain string, rows []row, head Head) *Walk {
	w := &Walk{Chain: chain}
	for _, r := range rows {
		w.Step(r.sequence, r.payload, r.hash, true)
	}
	w.End(head)
	return w
}

func TestIntactChain(t *testing.T) {
	rows, head := chainOf("firm-a", 5)
	w := check("firm-a", rows, head)
	require.Zero(t, w.Broken)
	require.EqualValues(t, 5, w.Entries)
	require.Zero(t, check("empty", nil, Head{}).Broken)
}

func TestTheFormatNeverChanges(t *testing.T) {
	// The published form: whoever keeps a hash as a witness must find it again after every release.
	_, head := chainOf("firm-a", 2)
	require.Equal(t, "27372fd7d1e458382347000da7cc1072d2830cb5f13e5618acfa4d0aa46329a9", hex.EncodeToString(head.Hash))
}

func TestEveryKindOfTamperingShows(t *testing.T) {
	for name, c := range map[string]struct {
		tamper func(rows []row, head *Head) []row
		broken int64
	}{
		"changed bytes": {func(r []row, _ *Head) []row { r[2].payload = []byte("entry three"); return r }, 3},
		"removed":       {func(r []row, _ *Head) []row { return append(r[:1], r[2:]...) }, 2},
		"swapped":       {func(r []row, _ *Head) []row { r[1].payload, r[2].payload = r[2].payload, r[1].payload; return r }, 2},
		"added":         {func(r []row, _ *Head) []row { return append(r, row{6, []byte("x"), []byte("y")}) }, 6},
		"cut off":       {func(r []row, _ *Head) []row { return r[:3] }, 4},
		"rehashed one": {func(r []row, _ *Head) []row {
			prev := Head{Sequence: r[1].sequence, Hash: r[1].hash}
			r[2].payload = []byte("forged")
			r[2].hash = prev.Next("firm-a", r[2].payload).Hash
			return r
		}, 4},
		"head forged": {func(r []row, h *Head) []row { h.Hash = []byte("forged"); return r }, 6},
		"all gone":    {func([]row, *Head) []row { return nil }, 1},
	} {
		rows, head := chainOf("firm-a", 5)
		require.Equal(t, c.broken, check("firm-a", c.tamper(rows, &head), head).Broken, name)
	}
	rows, head := chainOf("firm-a", 5)
	require.EqualValues(t, 1, check("firm-b", rows, head).Broken, "another firm's chain")
}

func TestACallersFindingBreaksTheChain(t *testing.T) {
	rows, head := chainOf("firm-a", 3)
	w := &Walk{Chain: "firm-a"}
	for _, r := range rows {
		w.Step(r.sequence, r.payload, r.hash, r.sequence != 2)
	}
	w.End(head)
	require.EqualValues(t, 2, w.Broken)
}
