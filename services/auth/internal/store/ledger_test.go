package store

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	"github.com/concord-suite/concord/services/auth/internal/ledger"
)

func entry(id string) LedgerEntry {
	return LedgerEntry{EntryID: id, Occurred: time.Unix(1_780_000_000, 0), Payload: []byte("payload of " + id)}
}

func walk(t *testing.T, db *sqldb.DB, chain string) (w *ledger.Walk, head ledger.Head) {
	t.Helper()
	require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) (err error) {
		w, head, err = WalkLedger(tx, chain, func(LedgerEntry) bool { return true })
		return err
	}))
	return w, head
}

func TestManyAppendToOneChainAtOnce(t *testing.T) {
	sqldbtest.Each(t, Migrations, func(t *testing.T, db *sqldb.DB) {
		const writers, each = 6, 10
		var wg sync.WaitGroup
		for i := range writers {
			wg.Go(func() {
				for j := range each {
					for range 2 { // everything comes twice
						err := db.Tx(t.Context(), func(tx *sqldb.Tx) error {
							_, err := AppendLedger(tx, "firm", entry(fmt.Sprintf("%d-%d", i, j)))
							return err
						})
						if err != nil {
							t.Errorf("append: %v", err)
						}
					}
				}
			})
		}
		wg.Wait()
		w, head := walk(t, db, "firm")
		require.Zero(t, w.Broken)
		require.EqualValues(t, writers*each, w.Entries)
		require.EqualValues(t, writers*each, head.Sequence)
	})
}

func TestAnEmptyChainIsIntact(t *testing.T) {
	sqldbtest.Each(t, Migrations, func(t *testing.T, db *sqldb.DB) {
		w, head := walk(t, db, "firm")
		require.Zero(t, w.Broken)
		require.Zero(t, w.Entries)
		require.Empty(t, head.Hash)
	})
}
