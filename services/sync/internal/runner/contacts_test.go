package runner_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/peertest"
	"github.com/concord-suite/concord/services/sync/internal/plan"
	"github.com/concord-suite/concord/services/sync/internal/run"
	"github.com/concord-suite/concord/services/sync/internal/store"
)

func TestContactLosesARelation(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(30)
		b.Sync(run.Full)
		b.World.ChangeContact("p0005", func(f *connectorv1.ContactFields) { f.Links = f.Links[:1] })
		b.World.ChangeContact("p0007", func(f *connectorv1.ContactFields) { f.Links = nil })
		r := b.Sync(run.Full)
		require.Equal(t, run.Succeeded, r.State, r.Message)
		require.Len(t, b.ContactOf("p0005").Relations, 1)
		require.Equal(t, client.Removed, b.ContactOf("p0007").State, "neither login nor client")
		require.EqualValues(t, 1, b.Count(`events_outbox WHERE subject = 'sync.v1.contact_removed'`))
		require.EqualValues(t, 32, b.Count(`events_outbox WHERE subject = 'sync.v1.contact_relations_changed'`))
		forbid(b, "contacts", "contact_links", "relations", "staged_contacts")
		require.Equal(t, run.Succeeded, b.Sync(run.Full).State)
	})
}

func TestVanishedContactsAreSettledByLogin(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(30)
		b.Sync(run.Full)
		login(b, "p0002", true)
		b.World.DeleteContact("p0001")
		b.World.DeleteContact("p0002")
		require.Equal(t, run.Succeeded, b.Sync(run.Full).State)
		require.Equal(t, client.Removed, b.ContactOf("p0001").State)
		require.Equal(t, client.Released, b.ContactOf("p0002").State)
		require.EqualValues(t, 1, b.Count(`events_outbox WHERE subject = 'sync.v1.contact_released'`))

		id := b.ContactOf("p0001").ID
		b.World.PutContact("p0001", "Back again", "r0001")
		b.Sync(run.Full)
		k := b.ContactOf("p0001")
		require.Equal(t, id, k.ID, "the same contact, found by its record")
		require.Equal(t, client.Active, k.State)
		require.Equal(t, "Back again", k.Person.Name)
	})
}

func login(b *peertest.Bench, record string, has bool) {
	id := b.ContactOf(record).ID
	b.World.SetLogin(store.Name(peertest.Firm, "contacts", id), has)
	b.Tx(func(tx *sqldb.Tx) error {
		return store.SetLogin(tx, peertest.Firm, id, has, sqldb.Micros(b.Clock.Now()), b.Clock.Now())
	})
}

func TestTooManyVanishedContactsStay(t *testing.T) {
	for name, spoil := range map[string]func(p *connectorv1.StreamRecordsResponse){
		"gone from the listing": func(p *connectorv1.StreamRecordsResponse) {
			if n := len(p.GetRecords()); n > 0 && p.GetRecords()[0].GetContact() != nil {
				p.Records = p.Records[:n/2]
				p.AnnouncedTotal = -1
			}
		},
		"without their clients": func(p *connectorv1.StreamRecordsResponse) {
			for _, r := range p.GetRecords() {
				if c := r.GetContact(); c != nil {
					c.Links, r.Hash = nil, r.GetHash()+"x"
				}
			}
		},
		"an incomplete listing": func(p *connectorv1.StreamRecordsResponse) {
			if len(p.GetRecords()) > 0 && p.GetRecords()[0].GetContact() != nil && p.GetPage() == 1 {
				p.Records = p.Records[2:]
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
				b.World.Practice(60)
				b.Sync(run.Full)
				b.World.Spoil(spoil)
				r := b.Sync(run.Full)
				require.Equal(t, run.Succeeded, r.State)
				require.NotEmpty(t, r.Message)
				require.LessOrEqual(t, b.Count(`contacts WHERE state <> 'ACTIVE'`), int64(6), "what the guard lets through at most")
				b.World.Heal()
				b.Sync(run.Full)
				require.Zero(t, b.Count(`contacts WHERE state <> 'ACTIVE'`), "and it heals")
				require.EqualValues(t, 71, b.Count(`relations WHERE left_with = ''`))
			})
		})
	}
}

func TestContactsOfACandidateAreLeftToItsOffboarding(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(60)
		b.Sync(run.Full)
		b.World.Archive("r0003")
		b.World.DeleteContact("p0003") // its only contact goes from the listing with it
		b.Sync(run.Full)
		require.Equal(t, client.Active, b.ContactOf("p0003").State)
		require.Len(t, b.ContactOf("p0003").Relations, 1)
		b.Offboard()
		require.Equal(t, client.Removed, b.ContactOf("p0003").State)
		require.EqualValues(t, 1, b.Offboarding(b.Client("r0003").ID).ContactsRemoved)
		b.Sync(run.Full)
		b.World.Unarchive("r0003")
		b.World.PutContact("p0003", "Person 0003", "r0003")
		b.Sync(run.Full)
		b.Offboard()
		require.Len(t, b.ContactOf("p0003").Relations, 1)
		require.Equal(t, client.Active, b.ContactOf("p0003").State)
	})
}

func TestContactsOfUnknownClientsAreNotTaken(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(5)
		b.World.PutContact("p9001", "Of nobody")
		b.World.PutContact("p9002", "Of an archived client", "r7777")
		b.Connect(func(c *run.Connection) { c.ReviewNew = true })
		r := b.Sync(run.Full)
		require.EqualValues(t, 5, r.Counts.Suggestions)
		require.Zero(t, b.Count("contacts"))
		b.Connect(func(c *run.Connection) { c.ReviewNew = false })
		r = b.Sync(run.Full)
		require.EqualValues(t, 5, r.Counts.ClientsCreated, "what waited is taken now that nobody needs to look")
		require.EqualValues(t, 5, b.Count("contacts"))
		require.Zero(t, b.Count(`changes WHERE state = 'WAITING'`))
	})
}

func TestSuggestions(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		byHand := store.NewID()
		b.Tx(func(tx *sqldb.Tx) error {
			return store.InsertClients(tx, peertest.Firm, b.Clock.Now(), []store.NewClient{{
				ID: byHand, Fields: client.Fields{Name: "CLIENT 0002 PTY. LTD.", Email: "c2@example.com"},
			}})
		})
		b.World.Practice(4)
		r := b.Sync(run.Full)
		require.EqualValues(t, 3, r.Counts.ClientsCreated)
		require.EqualValues(t, 1, r.Counts.Suggestions)
		s := b.Changes(r, plan.Link)[0]
		require.Equal(t, byHand, s.Client)
		require.Equal(t, "r0002", s.RecordID)
		require.Equal(t, []string{`same name "CLIENT 0002 PTY. LTD."`, "same e-mail address c2@example.com"}, s.Evidence)
		require.NotEmpty(t, s.Record)
		require.Zero(t, b.Count(`contacts k JOIN contact_links l ON l.contact = k.id WHERE l.record_id = 'p0002'`))

		forbid(b, "changes", "plans", "clients", "links")
		r = b.Sync(run.Full)
		require.Equal(t, run.Succeeded, r.State, r.Message)
		require.EqualValues(t, 1, r.Counts.Suggestions, "it still waits, and nothing is written")
	})
}

func TestSuggestionFollowsItsRecord(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.Connect(func(c *run.Connection) { c.ReviewNew = true })
		b.World.Practice(3)
		first := b.Sync(run.Full)
		b.World.Change("r0001", func(c *peertest.Client) { c.Fields.Name = "Another name" })
		b.World.Archive("r0002")
		second := b.Sync(run.Full)
		require.Empty(t, b.Changes(second, plan.New), "one line per record, in the plan that found it")
		states := map[string]plan.Change{}
		for _, c := range b.Changes(first, plan.New) {
			states[c.RecordID] = c
		}
		require.Equal(t, "Another name", states["r0001"].DisplayName)
		require.Equal(t, plan.ChangeWaiting, states["r0001"].State)
		require.Equal(t, plan.ChangeStale, states["r0002"].State, "what is gone needs no decision")
	})
}
