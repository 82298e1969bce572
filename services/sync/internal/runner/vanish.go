package runner

import (
	"fmt"
	"maps"
	"slices"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/run"
	"github.com/concord-suite/concord/services/sync/internal/store"
)

// resettle tells about contacts whose relations moved. Who belongs to a client again is there again; of who belongs to none
// any more, auth is asked first who has a login, see Checks: what sync was told of that may be overtaken at this moment.
// The caller has locked those that existed before.
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
	var back, alone []string
	for _, id := range contacts {
		switch k := locked[id]; {
		case counts[id] > 0 && (k.State == client.Removed || k.State == client.Released):
			back = append(back, id)
		case counts[id] == 0 && k.State == client.Active:
			alone = append(alone, id)
		}
	}
	if err := store.SetContactState(tx, r.Firm, back, client.Active, now); err != nil {
		return err
	}
	if err := store.AddLoginCheck(tx, r.Firm, alone, now); err != nil {
		return err
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
