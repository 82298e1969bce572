package trial

import "testing"

// TestEverySetHasDisksOfItsOwn: a platform's overlay beside production has servers of the same names, in the same cluster.
func TestEverySetHasDisksOfItsOwn(t *testing.T) {
	names := map[string]bool{}
	for _, set := range []string{"overlays/production", "overlays/ours"} {
		for _, disk := range moreDisks(set, "nats") {
			if names[disk.Name] {
				t.Errorf("%s: two disks have this name", disk.Name)
			}
			if disk.Spec.NodeAffinity == nil {
				t.Errorf("%s is in no zone", disk.Name)
			}
			names[disk.Name] = true
		}
	}
	if len(names) != 4 {
		t.Errorf("%d disks, want two for each set", len(names))
	}
}
