//go:build rolling

package rolling

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// verify looks for everything that was written: what was acknowledged is there exactly once, what was not at most once,
// and every document has its bytes. It prints the counts.
func (m *mix) verify(t *testing.T) {
	t.Helper()
	found := map[string]map[string]int{"client": {}, "folder": {}, "document": {}}
	for _, c := range m.admin.Clients(t, "") {
		found["client"][c.GetDisplayName()]++
	}
	for _, f := range m.admin.Folders(t, "kind=FOLDER_KIND_BUSINESS") {
		found["folder"][f.GetDisplayName()]++
	}
	for _, d := range m.admin.Documents(t, "") {
		found["document"][d.GetDisplayName()]++
	}
	rows := [][]string{{"written", "acknowledged", "there", "missing", "twice"}}
	wrong := 0
	for _, what := range []string{"client", "folder", "document"} {
		acknowledged, there, missing, twice := 0, 0, 0, 0
		for name, answered := range m.wrote[what] {
			n := found[what][name]
			if answered {
				acknowledged++
			}
			if n > 0 {
				there++
			}
			if answered && n == 0 {
				missing++
			}
			if n > 1 {
				twice++
			}
		}
		wrong += missing + twice
		rows = append(rows, []string{what + "s", fmt.Sprint(acknowledged), fmt.Sprint(there), fmt.Sprint(missing), fmt.Sprint(twice)})
	}
	table(rows)
	for name, want := range m.files {
		got, err := m.admin.Download(t.Context(), name)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got), "%s has other bytes than were sent", name)
	}
	require.Zero(t, wrong, "what was acknowledged is there exactly once")
}
