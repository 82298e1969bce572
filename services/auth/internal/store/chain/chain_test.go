package chain

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	"github.com/concord-suite/concord/services/auth/internal/ledger"
	"github.com/concord-suite/concord/services/auth/internal/store"
)

func entry(id string) Entry {
	return Entry{ID: id, Occurred: time.Unix(1_780_000_000, 0), Payload: []byte("payload of " + id)}
}

func walk(t *testing.T, db *sqldb.DB, chain string) (w *ledger.Walk, head ledger.Head) {
	t.Helper()
	require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) (err error) {
		w, head, err = Walk(tx, chain, func(Entry) bool { return true })
		return err
	}))
	return w, head
}

func TestManyAppendToOneChainAtOnce(t *testing.T) {
	sqldbtest.Each(t, store.Migrations, func(t *testing.T, db *sqldb.DB) {
		const writers, each = 6, 10
		var wg sync.WaitGroup
		for i := range writers {
			wg.Go(func() {
				for j := range each {
					for range 2 { // everything comes twice
						err := db.Tx(t.Context(), func(tx *sqldb.Tx) error {
							_, err := Append(tx, "firm", []Entry{entry(fmt.Sprintf("%d-%d", i, j))})
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
	sqldbtest.Each(t, store.Migrations, func(t *testing.T, db *sqldb.DB) {
		w, head := walk(t, db, "firm")
		require.Zero(t, w.Broken)
		require.Zero(t, w.Entries)
		require.Empty(t, head.Hash)
	})
}

func TestABatchIsAppendedInItsOrderAndOnce(t *testing.T) {
	sqldbtest.Each(t, store.Migrations, func(t *testing.T, db *sqldb.DB) {
		var batch []Entry
		for i := range 250 {
			batch = append(batch, entry(fmt.Sprintf("%03d", i)))
		}
		put := func(entries ...Entry) (added int) {
			require.NoError(t, db.Tx(t.Context(), func(tx *sqldb.Tx) (err error) {
				added, err = Append(tx, "firm", entries)
				return err
			}))
			return added
		}
		require.Equal(t, 3, put(batch[0], batch[1], batch[2]))
		require.Equal(t, 247, put(append([]Entry{batch[249], batch[249]}, batch...)...), "those it has are left out")
		require.Zero(t, put(batch...))
		require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
			got, err := After(tx, "firm", 3, 1000)
			require.Len(t, got, 247)
			require.Equal(t, "249", got[0].ID)
			for i, e := range got[1:] {
				require.Equal(t, fmt.Sprintf("%03d", i+3), e.ID)
				require.EqualValues(t, i+5, e.Sequence)
			}
			return err
		}))
		w, _ := walk(t, db, "firm")
		require.Zero(t, w.Broken)
	})
}

// What is asked for is found by an index, so that it costs the same in a ledger of ten years.
func TestListsUseAnIndex(t *testing.T) {
	db := sqldbtest.Open(t, sqldbtest.URL(t, sqldb.SQLite), store.Migrations)
	now := time.Unix(1_780_000_000, 0)
	for want, f := range map[string]Filter{
		"PRIMARY KEY":             {},
		"ledger_entries_actor":    {Actor: "a"},
		"ledger_entries_action":   {Action: "a"},
		"ledger_entries_resource": {Resource: "r"},
		"ledger_entries_failed":   {Failures: true},
		"ledger_entries_time":     {From: now, Until: now.Add(time.Hour)},
	} {
		query, args := listQuery("firm", f, Cursor{Occurred: 1 << 60, Sequence: 1 << 60}, 10)
		require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
			plan, err := sqldb.Collect(tx, func(r *sqldb.Rows) (s string, err error) {
				var a, b, c int
				return s, r.Scan(&a, &b, &c, &s)
			}, `EXPLAIN QUERY PLAN `+query, args...)
			require.Len(t, plan, 1, "no sorting: %v", plan)
			if want == "PRIMARY KEY" {
				want = "sqlite_autoindex_ledger_entries"
			}
			require.Contains(t, plan[0], want)
			return err
		}))
	}
}

func TestEntriesAreFoundByTimeAndOutcome(t *testing.T) {
	sqldbtest.Each(t, store.Migrations, func(t *testing.T, db *sqldb.DB) {
		begin := time.Unix(1_780_000_000, 0)
		require.NoError(t, db.Tx(t.Context(), func(tx *sqldb.Tx) error {
			var all []Entry
			for i := range 100 {
				e := entry(fmt.Sprintf("%03d", i))
				e.Occurred = begin.Add(time.Duration(i/2*2) * time.Minute) // two at a time
				e.Succeeded = i%10 != 0
				all = append(all, e)
			}
			_, err := Append(tx, "firm", all)
			return err
		}))
		find := func(f Filter) (ids []string) {
			before := Cursor{Occurred: 1 << 60, Sequence: 1 << 60}
			for {
				var rows []Entry
				require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) (err error) {
					rows, err = List(tx, "firm", f, before, 3)
					return err
				}))
				for _, e := range rows {
					ids = append(ids, e.ID)
					before = Cursor{Occurred: sqldb.Micros(e.Occurred), Sequence: e.Sequence}
				}
				if len(rows) < 3 {
					return ids
				}
			}
		}
		require.Equal(t, []string{"013", "012", "011", "010"}, find(Filter{From: begin.Add(10 * time.Minute), Until: begin.Add(14 * time.Minute)}))
		require.Equal(t, []string{"090", "080"}, find(Filter{From: begin.Add(75 * time.Minute), Failures: true}))
		require.Len(t, find(Filter{Failures: true}), 10)
		require.Len(t, find(Filter{}), 100)
		require.Empty(t, find(Filter{Until: begin}))
	})
}
