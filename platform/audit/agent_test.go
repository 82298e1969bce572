package audit_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/dial"
)

// The equipment somebody came with is part of the record, in its own words and harmless ones.
func TestS15_EntriesNameTheEquipment(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		d.handle(d.write)
		ctx := access.WithAgent(dial.WithToken(t.Context(), d.mint.Token(admin, "things")), "Firefox/128.0\nforged=\"line\"")
		_, err := d.Call(ctx, d.conn, "ChangeThing", change)
		require.NoError(t, err)
		require.NoError(t, d.call(admin, "ChangeThing", change))
		entries, _ := d.entries()
		require.Len(t, entries, 2)
		require.Equal(t, `Firefox/128.0forged="line"`, entries[0].GetUserAgent())
		require.Empty(t, entries[1].GetUserAgent(), "nobody said")
	})
}
