package runner

import (
	"maps"
	"slices"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/peer"
	"github.com/concord-suite/concord/services/sync/internal/run"
	"github.com/concord-suite/concord/services/sync/internal/store"
)

// stageContacts keeps the contacts of a page that differ from what is held of them, until the listing is complete:
// what a contact is related to can be told only then. Contacts whose record is unchanged, and new ones that belong to
// no client of ours, leave nothing but their id.
func (w *Worker) stageContacts(tx *sqldb.Tx, r *run.Run, s sortedPage) error {
	if len(s.contacts) == 0 {
		return nil
	}
	records := make([]string, len(s.contacts))
	for i, c := range s.contacts {
		records[i] = c.id
	}
	held, err := store.HeldContactsOf(tx, r.Connection, r.Tenant, records)
	if err != nil {
		return err
	}
	related := map[string]store.RelationRow{}
	if r.Step == run.Changes { // here a contact stands with one client at a time, so its hash is never the one that is held
		if related, err = w.related(tx, r, records); err != nil {
			return err
		}
	}
	var staged []store.StagedContact
	fresh := map[string]bool{} // client records that new contacts belong to
	for line, c := range s.contacts {
		h, known := held[c.id]
		if known && h.Hash == c.hash {
			continue
		}
		sc := store.StagedContact{Record: c.id, Hash: c.hash, Page: r.ListingPage, Line: r.Done + int64(line), Contact: peer.ContactOf(c.fields)}
		if known && sc.Contact.Person == h.Base && covered(sc, related) {
			continue
		}
		staged = append(staged, sc)
		if !known {
			for _, l := range sc.Contact.Links {
				fresh[l.ClientRecord] = true
			}
		}
	}
	if len(staged) == 0 {
		return nil
	}
	listed, err := store.ListedOf(tx, r.Connection, r.Tenant, slices.Collect(maps.Keys(fresh)))
	if err != nil {
		return err
	}
	kept := staged[:0]
	for _, c := range staged {
		_, known := held[c.Record]
		for _, l := range c.Contact.Links {
			known = known || listed[l.ClientRecord]
		}
		if known {
			kept = append(kept, c)
		}
	}
	return store.StageContacts(tx, r.ID, kept)
}

// related returns the relations of contact records, by contact and client record.
func (w *Worker) related(tx *sqldb.Tx, r *run.Run, records []string) (map[string]store.RelationRow, error) {
	rows, err := store.RelationsOf(tx, r.Connection, r.Tenant, records)
	out := make(map[string]store.RelationRow, len(rows))
	for _, row := range rows {
		out[row.ContactRecord+"\n"+row.ClientRecord] = row
	}
	return out, err
}

// covered tells whether all that a record says about relations is held already.
func covered(c store.StagedContact, related map[string]store.RelationRow) bool {
	for _, l := range c.Contact.Links {
		row, there := related[c.Record+"\n"+l.ClientRecord]
		if !there || row.Position != l.Position || row.Primary != l.Primary {
			return false
		}
	}
	return len(related) > 0
}

func clientRecords(c client.RecordContact) []string {
	out := make([]string, len(c.Links))
	for i, l := range c.Links {
		out[i] = l.ClientRecord
	}
	return out
}
