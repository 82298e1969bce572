package store_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/history"
	"github.com/concord-suite/concord/services/sync/internal/match"
	"github.com/concord-suite/concord/services/sync/internal/run"
	"github.com/concord-suite/concord/services/sync/internal/store"
)

const (
	firm  = "0195f000-0000-7000-8000-00000000000a"
	other = "0195f000-0000-7000-8000-00000000000b"
	conn  = "0195f000-0000-7000-8000-0000000000c1"
)

var now = time.Date(2026, 5, 1, 9, 0, 0, 0, time.UTC)

// each runs fn on both engines, in a transaction that must succeed for each call of do.
func each(t *testing.T, fn func(t *testing.T, do func(func(tx *sqldb.Tx) error))) {
	t.Helper()
	sqldbtest.Each(t, sqldb.Join(events.Schema, store.Migrations), func(t *testing.T, db *sqldb.DB) {
		fn(t, func(work func(tx *sqldb.Tx) error) {
			t.Helper()
			require.NoError(t, db.Tx(context.Background(), work))
		})
	})
}

// put makes clients with records of their names and returns their ids.
func put(tx *sqldb.Tx, ofFirm string, all ...client.Fields) (ids []string, err error) {
	var made []store.NewClient
	for _, f := range all {
		id := store.NewID()
		ids = append(ids, id)
		made = append(made, store.NewClient{ID: id, Fields: f, ListSource: conn, Link: &store.NewLink{
			Connection: conn, Tenant: "t", Record: "r-" + f.Name, Hash: "h", Base: f, At: now,
		}})
	}
	return ids, store.InsertClients(tx, ofFirm, now, made)
}

func TestListsSortAlikeOnBothEngines(t *testing.T) {
	each(t, func(t *testing.T, do func(func(tx *sqldb.Tx) error)) {
		want := []string{"100 Acre Wood", "Acme", "acme trust", "Zeta", "Ādam", "Österreich Ltd", "éclair"}
		do(func(tx *sqldb.Tx) error {
			for _, n := range want {
				if _, err := put(tx, firm, client.Fields{Name: n}); err != nil {
					return err
				}
			}
			_, err := put(tx, other, client.Fields{Name: "Somebody else's"})
			return err
		})
		do(func(tx *sqldb.Tx) error {
			var names []string
			key, id := "", ""
			for {
				page, err := store.ListClients(tx, store.ClientFilter{Firm: firm}, key, id, 2)
				if err != nil {
					return err
				}
				for _, c := range page {
					names = append(names, c.Fields.Name)
					key, id = client.SortKey(c.Fields.Name), c.ID
				}
				if len(page) < 2 {
					break
				}
			}
			require.Equal(t, []string{"100 Acre Wood", "Acme", "acme trust", "Zeta", "éclair", "Österreich Ltd", "Ādam"}, names)
			for query, n := range map[string]int{"ACME": 2, "österreich": 1, "%": 0, "_": 0, `\`: 0, "": 7} {
				found, err := store.CountClients(tx, store.ClientFilter{Firm: firm, Query: query})
				require.NoError(t, err)
				require.EqualValues(t, n, found, "%q", query)
			}
			return nil
		})
	})
}

func TestRecordsDifferByCaseAndTenant(t *testing.T) {
	each(t, func(t *testing.T, do func(func(tx *sqldb.Tx) error)) {
		do(func(tx *sqldb.Tx) error {
			_, err := put(tx, firm, client.Fields{Name: "a"}, client.Fields{Name: "A"})
			return err
		})
		do(func(tx *sqldb.Tx) error {
			held, err := store.HeldOf(tx, conn, "t", []string{"r-a", "r-A", "r-b", "r-a' OR 1=1 --"})
			require.Len(t, held, 2)
			require.NotEqual(t, held["r-a"].Client, held["r-A"].Client)
			none, err2 := store.HeldOf(tx, conn, "another", []string{"r-a"})
			require.Empty(t, none, "another tenant's record of the same id is another record")
			empty, err3 := store.HeldOf(tx, conn, "t", nil)
			require.Empty(t, empty)
			require.NoError(t, err2)
			require.NoError(t, err3)
			return err
		})
	})
}

func TestCandidatesAreUnlinkedOrLeft(t *testing.T) {
	each(t, func(t *testing.T, do func(func(tx *sqldb.Tx) error)) {
		acme := client.Fields{Name: "Acme Pty Ltd", Code: "A1", BusinessNumber: "51 824 753 556"}
		keys := []match.Keys{match.KeysOf(acme)}
		do(func(tx *sqldb.Tx) error {
			_, err := put(tx, firm, acme) // linked to the tenant that asks
			require.NoError(t, err)
			require.NoError(t, store.InsertClients(tx, other, now, []store.NewClient{{ID: store.NewID(), Fields: acme}}))
			return store.InsertClients(tx, firm, now, []store.NewClient{
				{ID: store.NewID(), Fields: client.Fields{Name: "ACME P/L"}}, {ID: store.NewID(), Fields: client.Fields{Name: "x", Code: "a1"}},
				{ID: store.NewID(), Fields: client.Fields{Name: "y", BusinessNumber: "51824753556"}}, {ID: store.NewID(), Fields: client.Fields{Name: "z"}},
			})
		})
		do(func(tx *sqldb.Tx) error {
			found, err := store.Candidates(tx, firm, conn, "t", keys)
			require.Len(t, found, 3, "by name, by code, by number; not the linked one, nor another firm's")
			found, err2 := store.Candidates(tx, firm, conn, "another tenant", keys)
			require.Len(t, found, 4, "linked elsewhere is not linked here")
			require.NoError(t, err2)
			none, err3 := store.Candidates(tx, firm, conn, "t", []match.Keys{{}})
			require.Empty(t, none, "an empty key finds nothing")
			require.NoError(t, err3)
			return err
		})
	})
}

func TestTrailMayComeInAnyOrderAndTwice(t *testing.T) {
	each(t, func(t *testing.T, do func(func(tx *sqldb.Tx) error)) {
		var id string
		do(func(tx *sqldb.Tx) error {
			ids, err := put(tx, firm, client.Fields{Name: "a"})
			id = ids[0]
			return err
		})
		seen := func() (c client.Client) {
			do(func(tx *sqldb.Tx) (err error) {
				c, err = store.Client(tx, firm, id)
				return err
			})
			return c
		}
		for _, step := range []struct {
			n       int64
			fresh   bool
			through int64
		}{{2, true, 0}, {4, true, 0}, {1, true, 2}, {1, false, 2}, {2, false, 2}, {3, true, 4}, {3, false, 4}, {5, true, 5}} {
			do(func(tx *sqldb.Tx) error {
				fresh, err := store.AppendTrail(tx, firm, history.Entry{Client: id, At: now, Kind: "X", Actor: "a", Summary: "s", TrailSeq: step.n})
				require.Equal(t, step.fresh, fresh, "%d", step.n)
				return err
			})
			require.Equal(t, step.through, seen().TrailSeq, "after %d", step.n)
		}
		require.EqualValues(t, 6, seen().HistorySeq, "created, and five of the trail")
		do(func(tx *sqldb.Tx) error {
			all, err := store.HistoryUpTo(tx, id, "", 0, 100, 100)
			for i, e := range all {
				require.EqualValues(t, i+1, e.Seq)
			}
			return err
		})
	})
}

func TestConnectionTakesNewerWordsOnly(t *testing.T) {
	each(t, func(t *testing.T, do func(func(tx *sqldb.Tx) error)) {
		c := run.Connection{ID: conn, Firm: firm, Provider: "XPM", Tenant: "t", State: run.ConnectionActive, EstablishedAt: now}
		state := func() (k run.Connection) {
			do(func(tx *sqldb.Tx) (err error) {
				k, err = store.Connection(tx, firm, conn)
				return err
			})
			return k
		}
		do(func(tx *sqldb.Tx) error { return store.PutConnection(tx, c, 5) })
		do(func(tx *sqldb.Tx) error {
			return store.SetConnectionState(tx, firm, conn, run.ConnectionDegraded, "x", 4)
		})
		require.Equal(t, run.ConnectionActive, state().State)
		do(func(tx *sqldb.Tx) error {
			return store.SetConnectionState(tx, firm, conn, run.ConnectionNeedsReauth, "dead", 7)
		})
		c.Tenant = "older"
		do(func(tx *sqldb.Tx) error { return store.PutConnection(tx, c, 4) })
		do(func(tx *sqldb.Tx) error { return store.PutConnection(tx, c, 0) })
		require.Equal(t, "t", state().Tenant)
		c.Tenant = "newer"
		do(func(tx *sqldb.Tx) error { return store.PutConnection(tx, c, 6) })
		require.Equal(t, "newer", state().Tenant, "newer than what was told of it, though older than the state")
		require.Equal(t, run.ConnectionNeedsReauth, state().State)
		require.Equal(t, "dead", state().StateReason)
		do(func(tx *sqldb.Tx) error {
			_, err := store.Connection(tx, other, conn)
			require.ErrorIs(t, err, sqldb.ErrNotFound, "another firm's")
			return nil
		})
	})
}

func TestRelationsBetweenAwkwardIds(t *testing.T) {
	each(t, func(t *testing.T, do func(func(tx *sqldb.Tx) error)) {
		rows := []store.RelationRow{
			{ContactRecord: "a", ClientRecord: "b,c"}, {ContactRecord: "a,b", ClientRecord: "c"}, {ContactRecord: `"`, ClientRecord: "{}"},
		}
		do(func(tx *sqldb.Tx) error {
			k := store.NewContact{ID: store.NewID(), Record: "a", Hash: "h", Person: client.Person{Name: "Å"}}
			if err := store.InsertContacts(tx, firm, conn, "t", now, []store.NewContact{k}); err != nil {
				return err
			}
			for i := range rows {
				rows[i].Contact = k.ID
			}
			return store.PutRelations(tx, firm, conn, "t", rows)
		})
		do(func(tx *sqldb.Tx) error { return store.EndRelations(tx, conn, "t", rows[:1]) })
		do(func(tx *sqldb.Tx) error {
			left, err := store.RelationsOf(tx, conn, "t", []string{"a", "a,b", `"`})
			require.Len(t, left, 2, "the pair that was named, and no other that reads alike")
			return err
		})
	})
}

func TestLinksAreAdoptedByTheNextConnection(t *testing.T) {
	each(t, func(t *testing.T, do func(func(tx *sqldb.Tx) error)) {
		next := run.Connection{ID: "0195f000-0000-7000-8000-0000000000c2", Firm: firm, Provider: "XPM", Tenant: "t", State: run.ConnectionActive}
		former := next
		former.ID = conn
		linked := func(id string) (n int) {
			do(func(tx *sqldb.Tx) error {
				held, err := store.HeldOf(tx, id, "t", []string{"r-a"})
				n = len(held)
				return err
			})
			return n
		}
		do(func(tx *sqldb.Tx) error {
			if err := store.PutConnection(tx, former, 1); err != nil {
				return err
			}
			if err := store.PutConnection(tx, next, 1); err != nil {
				return err
			}
			_, err := put(tx, firm, client.Fields{Name: "a"})
			return err
		})
		adopt := func(want bool) {
			do(func(tx *sqldb.Tx) error {
				found, err := store.AdoptLinks(tx, next)
				require.Equal(t, want, found)
				return err
			})
		}
		adopt(false)
		require.Zero(t, linked(next.ID), "not from a connection that is still there")
		do(func(tx *sqldb.Tx) error {
			return store.SetConnectionState(tx, firm, conn, run.ConnectionDisconnected, "", 2)
		})
		adopt(true)
		require.Equal(t, 1, linked(next.ID))
		do(func(tx *sqldb.Tx) error {
			n, err := store.LinkedClients(tx, next.ID, "t")
			require.EqualValues(t, 1, n, "and decides about them")
			return err
		})
	})
}

// TestHotStatementsUseAnIndex looks at the plans of what is asked per page, per event or per off-boarding: none may read a
// whole table that grows with the installation. SQLite is asked alone: PostgreSQL reads small tables whole, whatever
// indexes there are.
func TestHotStatementsUseAnIndex(t *testing.T) {
	db := sqldbtest.Open(t, sqldbtest.URL(t, sqldb.SQLite), sqldb.Join(events.Schema, store.Migrations))
	for what, query := range map[string]string{
		"relations of a client":         `SELECT contact FROM relations r WHERE r.client = ? AND r.left_with = ''`,
		"relations of a contact":        `SELECT client FROM relations r WHERE r.contact = ?`,
		"relations that wait":           `SELECT contact FROM relations r WHERE r.connection = ? AND r.tenant = ? AND r.client = '' AND r.client_record = ?`,
		"records":                       `SELECT client FROM links l WHERE l.connection = ? AND l.tenant = ? AND l.record_id = ?`,
		"links of a client":             `SELECT record_id FROM links l WHERE l.client = ? AND l.connection = ? AND l.tenant = ?`,
		"clients by name":               `SELECT id FROM clients c WHERE c.firm = ? AND c.name_key = ? AND c.name_key <> ''`,
		"clients by code":               `SELECT id FROM clients c WHERE c.firm = ? AND c.code_key = ? AND c.code_key <> ''`,
		"clients by number":             `SELECT id FROM clients c WHERE c.firm = ? AND c.business_key = ? AND c.business_key <> ''`,
		"off-boardings of a client":     `SELECT id FROM offboardings WHERE client = ? AND state IN ('PREPARING', 'BLOCKED') AND next_at > ?`,
		"off-boardings that are due":    `SELECT id FROM offboardings WHERE state IN ('PREPARING', 'BLOCKED', 'SECURING', 'REVERSING') AND next_at <= ?`,
		"runs to work on":               `SELECT id FROM runs WHERE state IN ('QUEUED', 'RUNNING', 'PARKED')`,
		"removals seen again":           `SELECT id FROM changes WHERE connection = ? AND tenant = ? AND kind = 'ARCHIVE' AND state IN ('WAITING', 'APPROVED') AND record_id = ?`,
		"suggestions that wait":         `SELECT id FROM changes h WHERE h.connection = ? AND h.tenant = ? AND h.state = 'WAITING' AND h.kind IN ('LINK', 'NEW') AND h.record_id = ?`,
		"approved removals":             `SELECT plan FROM changes h WHERE h.kind = 'ARCHIVE' AND h.state = 'APPROVED'`,
		"history after a place":         `SELECT seq FROM history WHERE client = ? AND seq > ?`,
		"an event of documents' trail":  `SELECT count(*) FROM history WHERE client = ? AND trail_seq = ? AND trail_seq > 0`,
		"the last full run":             `SELECT id FROM runs f WHERE f.connection = ? AND f.tenant = ? AND f.kind = 'FULL' ORDER BY f.created_at DESC LIMIT 1`,
		"contact records":               `SELECT contact FROM contact_links l WHERE l.connection = ? AND l.tenant = ? AND l.record_id = ?`,
		"plans that wait":               `SELECT id FROM plans WHERE connection = ? AND state = 'WAITING'`,
		"what became of a contact":      `SELECT fate FROM offboarding_contacts WHERE contact = ?`,
		"the client list, page by page": `SELECT id FROM clients c WHERE c.firm = ? AND (c.sort_key, c.id) > (?, ?) ORDER BY c.sort_key, c.id LIMIT 50`,
	} {
		require.NoError(t, db.Read(context.Background(), func(tx *sqldb.Tx) error {
			args := make([]any, strings.Count(query, "?"))
			for i := range args {
				args[i] = "x"
			}
			lines, err := sqldb.Collect(tx, func(r *sqldb.Rows) (s string, err error) {
				var id, parent, unused int
				return s, r.Scan(&id, &parent, &unused, &s)
			}, `EXPLAIN QUERY PLAN `+query, args...)
			for _, l := range lines {
				require.NotRegexp(t, `^SCAN \w+$`, l, what)
			}
			return err
		}), what)
	}
}
