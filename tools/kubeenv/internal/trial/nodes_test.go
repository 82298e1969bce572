package trial

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEverySetHasDisksOfItsOwn: a platform's overlay beside production has servers of the same names, in the same cluster.
func TestEverySetHasDisksOfItsOwn(t *testing.T) {
	names := map[string]bool{}
	for _, set := range []string{"overlays/production", "overlays/ours"} {
		for _, disk := range moreDisks(set, "nats") {
			require.False(t, names[disk.Name], disk.Name)
			names[disk.Name] = true
			require.NotNil(t, disk.Spec.NodeAffinity, disk.Name)
		}
	}
	require.Len(t, names, 4, "two servers each")
}
