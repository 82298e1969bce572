package runner

import (
	"fmt"
	"maps"
	"slices"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/offboard"
	"github.com/concord-suite/concord/services/sync/internal/run"
	"github.com/concord-suite/concord/services/sync/internal/store"
)

// resettle gives contacts whose relations moved the state that follows, and tells about them. The caller has locked
// those that existed before.
func (w *Worker) resettle(tx *sqldb.Tx, r *run.Run, contacts []string) error {
	if len(contacts) == 0 {
		return nil
	}
	now := w.Now()
	counts, err := store.ClientsCounted(tx, contacts, "")
	if err != nil {
		return err
	}
	locked, err := store.LockContacts(tx, contacts)
	if err != nil {
		return err
	}
	moves := map[client.ContactState][]string{}
	for id, k := range locked {
		want := client.Active
		switch offboard.FateOf(k.HasLogin, counts[id]) {
		case offboard.ReleasedFate:
			want = client.Released
		case offboard.RemovedFate:
			want = client.Removed
		}
		if k.State != want && k.State != client.Deleted {
			moves[want] = append(moves[want], id)
		}
	}
	for _, state := range []client.ContactState{client.Active, client.Released, client.Removed} {
		slices.Sort(moves[state])
		if err := store.SetContactState(tx, r.Firm, moves[state], state, now); err != nil {
			return err
		}
	}
	return store.EmitRelations(tx, r.Firm, contacts)
}

// endVanished ends the relations of contacts that a complete listing does not hold at all, a batch at a time, and returns
// how many it ended. More of them than the guard lets through are left alone altogether.
func (w *Worker) endVanished(tx *sqldb.Tx, r *run.Run, mayEnd int64) (int, error) {
	if r.Kind != run.Full || !r.Proven {
		return 0, nil
	}
	n, err := store.CountVanished(tx, r)
	if err != nil || n == 0 {
		return 0, err
	}
	if n > mayEnd {
		r.Message = fmt.Sprintf("%d contacts are no longer listed and were left as they are: "+
			"the listing proves too little, or too many of them would go at once", n)
		return 0, nil
	}
	rows, err := store.Vanished(tx, r, w.Batch)
	if err != nil {
		return 0, err
	}
	contacts := map[string]bool{}
	for _, row := range rows {
		contacts[row.Contact] = true
	}
	all := slices.Sorted(maps.Keys(contacts))
	if _, err := store.LockContacts(tx, all); err != nil {
		return 0, err
	}
	if err := store.EndRelations(tx, r.Connection, r.Tenant, rows); err != nil {
		return 0, err
	}
	r.ContactsLeft += int64(len(contacts))
	return len(rows), w.resettle(tx, r, all)
}
