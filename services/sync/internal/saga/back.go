package saga

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/history"
	"github.com/concord-suite/concord/services/sync/internal/offboard"
	"github.com/concord-suite/concord/services/sync/internal/plan"
	"github.com/concord-suite/concord/services/sync/internal/store"
)

// abort lifts the fences of an off-boarding that was cancelled, and leaves the client as it was. Lifting a fence that
// does not stand changes nothing, so it does not matter how far the off-boarding had come.
func (w *Worker) abort(ctx context.Context, o *offboard.Offboarding) error {
	if err := w.Peers.Abort(ctx, w.client(o), w.name(o)); err != nil {
		return err
	}
	if err := w.Peers.Lift(ctx, "firms/"+o.Firm, o.ID); err != nil {
		return err
	}
	return w.advance(ctx, o, func(tx *sqldb.Tx, o *offboard.Offboarding) error {
		now := w.Now()
		if _, err := store.LockClient(tx, o.Firm, o.Client); err != nil {
			return err
		}
		if err := store.SetClientState(tx, o.Client, client.Listed, o.ID, nil, now); err != nil {
			return err
		}
		// Gone upstream and wanted here: no sync proposes its removal again before it was there again.
		kept, err := store.KeepClient(tx, o.Client)
		if err != nil {
			return err
		}
		if o.Change != "" {
			state := plan.ChangeStale // it is there again: the removal lost its ground
			if kept {
				state = plan.ChangeRejected
			}
			if err := store.SetChangeState(tx, o.Change, state, nil); err != nil {
				return err
			}
		}
		o.State, o.Step, o.EndedAt, o.Blockers = offboard.Cancelled, offboard.None, now, nil
		if err := w.note(tx, o, history.OffboardCancelled, "off-boarding cancelled; the client stays"); err != nil {
			return err
		}
		return store.AddLine(tx, o.ID, "cancelled; the client stays in the client list", now)
	})
}

// reverseFolder makes the folder the client's again.
func (w *Worker) reverseFolder(ctx context.Context, o *offboard.Offboarding) error {
	var who client.Client
	err := w.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
		who, err = store.Client(tx, o.Firm, o.Client)
		return err
	})
	if err != nil {
		return err
	}
	back, err := w.Peers.Reverse(ctx, w.client(o), w.name(o), who.Fields.Name)
	if err != nil {
		return err
	}
	return w.advance(ctx, o, func(tx *sqldb.Tx, o *offboard.Offboarding) error {
		o.Folder, o.DocumentCount, o.FolderRemoved, o.Missing = back.Folder, back.Documents, false, back.Missing
		o.Step = offboard.Return
		return store.AddLine(tx, o.ID, fmt.Sprintf("the folder, with %s, is the client's again", countOf(back.Documents, "document")), w.Now())
	})
}

// comeBack puts the client back into the list, under the same id, with the contacts and relations it had.
func (w *Worker) comeBack(ctx context.Context, o *offboard.Offboarding) error {
	return w.advance(ctx, o, func(tx *sqldb.Tx, o *offboard.Offboarding) error {
		now := w.Now()
		who, err := store.LockClient(tx, o.Firm, o.Client)
		if err != nil {
			return err
		}
		contacts, err := w.bringContacts(tx, o)
		if err != nil {
			return err
		}
		if err := store.SetClientState(tx, o.Client, client.Listed, o.ID, nil, now); err != nil {
			return err
		}
		// A person brought it back although it is gone upstream: then it stays until it was there again.
		if _, err := store.KeepClient(tx, o.Client); err != nil {
			return err
		}
		if err := store.EmitRestored(tx, who, o.ID); err != nil {
			return err
		}
		if err := store.EmitRelations(tx, o.Firm, contacts); err != nil {
			return err
		}
		if err := w.note(tx, o, history.ClientRestored, "came back into the client list"); err != nil {
			return err
		}
		o.State, o.Step, o.EndedAt = offboard.Reversed, offboard.None, now
		text := "back in the client list"
		if len(o.Missing) > 0 {
			text += fmt.Sprintf("; %d things could not be brought back", len(o.Missing))
		}
		return store.AddLine(tx, o.ID, text, now)
	})
}

// bringContacts shows the client's relations again and brings back the contacts that were removed or released with it. A
// contact that was changed meanwhile keeps its newer values; one that a person deleted stays away and is named.
func (w *Worker) bringContacts(tx *sqldb.Tx, o *offboard.Offboarding) ([]string, error) {
	hidden, err := store.HiddenContacts(tx, o.Client, o.ID)
	if err != nil {
		return nil, err
	}
	fates, err := store.Fates(tx, o.ID)
	if err != nil {
		return nil, err
	}
	all := map[string]bool{}
	for _, c := range hidden {
		all[c] = true
	}
	for c := range fates {
		all[c] = true
	}
	contacts := slices.Sorted(maps.Keys(all))
	locked, err := store.LockContacts(tx, contacts)
	if err != nil {
		return nil, err
	}
	if err := store.ShowRelations(tx, o.Client, o.ID); err != nil {
		return nil, err
	}
	var revived, here []string
	for _, c := range contacts {
		switch k := locked[c]; k.State {
		case client.Deleted:
			o.Missing = append(o.Missing, fmt.Sprintf("the contact %s was deleted by a person", k.Person.Name))
			continue
		case client.Removed, client.Released:
			if slices.Contains(hidden, c) {
				revived = append(revived, c)
			}
		}
		here = append(here, c)
	}
	return here, store.SetContactState(tx, o.Firm, revived, client.Active, w.Now())
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
