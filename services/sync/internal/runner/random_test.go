package runner_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	"github.com/concord-suite/concord/services/sync/internal/peertest"
	"github.com/concord-suite/concord/services/sync/internal/plan"
	"github.com/concord-suite/concord/services/sync/internal/run"
	"github.com/concord-suite/concord/services/sync/internal/store"
	"github.com/concord-suite/concord/services/sync/internal/store/lease"
)

// TestRandomHistoriesConverge plays the same random history of a practice twice: undisturbed, and with workers that die
// at random commits. Both must end in the same state, tell the same things, and hold every invariant on the way.
func TestRandomHistoriesConverge(t *testing.T) {
	for engine, seeds := range map[sqldb.Dialect]uint64{sqldb.SQLite: 6, sqldb.Postgres: 2} {
		for seed := range seeds {
			t.Run(fmt.Sprintf("%s/%d", engine, seed), func(t *testing.T) {
				calm := play(t, engine, seed, false)
				rough := play(t, engine, seed, true)
				require.Equal(t, calm, rough)
			})
		}
	}
}

// player plays one history.
type player struct {
	*peertest.Bench
	history *rand.Rand // the same for both
	fate    *rand.Rand // when workers die
	rough   bool
	killer  *peertest.Killer
	mortal  *sqldb.DB
	clients []string
	persons []string
	killed  int
}

func play(t *testing.T, engine sqldb.Dialect, seed uint64, rough bool) string {
	t.Helper()
	url := sqldbtest.URL(t, engine)
	p := &player{
		Bench:   peertest.NewBench(t, sqldbtest.Open(t, url, peertest.Schema)),
		history: rand.New(rand.NewPCG(seed, 1)), fate: rand.New(rand.NewPCG(seed, 2)), rough: rough, killer: &peertest.Killer{},
	}
	p.mortal = sqldbtest.Open(t, url, nil, p.killer.Option())
	p.Connect(func(c *run.Connection) { c.Guard = plan.Guard{Permille: 1000} })
	p.World.PageSize = 4
	for i := range 14 {
		p.newClient(i)
		p.newPerson(i)
	}
	for i := range 40 {
		p.act(i)
		p.Invariants()
	}
	p.sync(run.Full)
	p.offboard()
	p.sync(run.Full)
	p.offboard()
	p.Invariants()
	if rough {
		require.Greater(t, p.killed, 5, "workers died on the way")
	}
	return p.state()
}

func (p *player) newClient(i int) {
	id := fmt.Sprintf("r%03d", len(p.clients))
	p.clients = append(p.clients, id)
	f := &connectorv1.ClientFields{Name: fmt.Sprintf("Client %d", i%11), EntityType: "Company"} // names repeat
	if i%3 == 0 {
		f.Code = fmt.Sprintf("C%d", i)
	}
	p.World.PutClient(id, f)
}

func (p *player) newPerson(i int) {
	id := fmt.Sprintf("p%03d", len(p.persons))
	p.persons = append(p.persons, id)
	p.World.PutContact(id, fmt.Sprintf("Person %d", i), p.pick(), p.pick())
}

func (p *player) pick() string { return p.clients[p.history.IntN(len(p.clients))] }

// act does one random thing.
func (p *player) act(i int) {
	record := p.pick()
	person := p.persons[p.history.IntN(len(p.persons))]
	exists := slices.Contains(p.World.Records(), record)
	switch n := p.history.IntN(12); {
	case n == 0:
		p.newClient(100 + i)
	case n == 1:
		p.newPerson(100 + i)
	case n == 2 && exists:
		p.World.Archive(record)
	case n == 3 && !exists:
		p.World.Unarchive(record)
	case n == 4:
		p.World.Change(record, func(c *peertest.Client) { c.Fields.Name = fmt.Sprintf("Renamed %d", i) })
	case n == 5:
		other := p.pick()
		p.World.ChangeContact(person, func(f *connectorv1.ContactFields) {
			f.Links = []*connectorv1.ContactLink{{ClientRecordId: record, Position: "Director"}, {ClientRecordId: other}}
		})
	case n == 6:
		p.World.ChangeContact(person, func(f *connectorv1.ContactFields) { f.Phone = fmt.Sprintf("02 %d", i) })
	case n == 7:
		p.login(person)
	case n == 8:
		p.sync(run.Manual)
	case n == 9:
		p.sync(run.Full)
	case n == 10:
		p.offboard()
	default:
		p.World.PutContact(person, "Nobody's "+person)
	}
}

// login gives a contact a login, as auth would tell.
func (p *player) login(person string) {
	if p.Count(`contact_links WHERE record_id = $1`, person) == 0 {
		return
	}
	id := p.ContactOf(person).ID
	p.World.SetLogin(store.Name(peertest.Firm, "contacts", id), true)
	p.Tx(func(tx *sqldb.Tx) error {
		return store.SetLogin(tx, peertest.Firm, id, true, sqldb.Micros(p.Clock.Now()), p.Clock.Now())
	})
}

// mortally lets work be done by workers that die, until one is lucky, and sees to it that the dead lose their leases.
func (p *player) mortally(work func() error) {
	for p.rough && p.fate.IntN(3) > 0 {
		p.killer.Arm(1+p.fate.IntN(8), p.fate.IntN(2) == 0)
		p.Hire(p.mortal)
		for range 20 {
			if err := work(); p.killer.Dead() || errors.Is(err, lease.ErrIdle) {
				break
			}
		}
		if p.killer.Dead() {
			p.killed++
		}
		p.Invariants()
		p.Clock.Turn(peertest.Lease + time.Second)
	}
	p.Hire(p.DB)
}

func (p *player) sync(kind run.Kind) {
	id := p.Start(kind)
	p.mortally(func() error { return p.Runner.Step(context.Background(), func() {}) })
	p.Work()
	require.Equal(p.T, run.Succeeded, p.Run(id).State, "%s", p.Run(id).Message)
}

func (p *player) offboard() {
	p.mortally(func() error { return p.Saga.Step(context.Background(), func() {}) })
	p.Offboard()
}

// state is everything that must not depend on who died when, with records in the place of ids.
func (p *player) state() string {
	var out []string
	add := func(what, query string) {
		p.Read(func(tx *sqldb.Tx) error {
			rows, err := sqldb.Collect(tx, func(r *sqldb.Rows) (string, error) {
				var a, b, c, d string
				err := r.Scan(&a, &b, &c, &d)
				return strings.Join([]string{what, a, b, c, d}, " | "), err
			}, query)
			out = append(out, rows...)
			return err
		})
	}
	add("client", `SELECT l.record_id, c.display_name, c.state, l.presence FROM links l JOIN clients c ON c.id = l.client`)
	add("contact", `SELECT l.record_id, k.person, k.state, '' FROM contact_links l JOIN contacts k ON k.id = l.contact`)
	add("relation", `SELECT r.contact_record, r.client_record, r.position, CASE WHEN r.left_with = '' THEN 'shown' ELSE 'hidden' END FROM relations r`)
	add("history", `SELECT l.record_id, CAST(h.seq AS TEXT), h.kind, h.summary FROM history h JOIN links l ON l.client = h.client`)
	add("event", `SELECT l.record_id, o.subject, CAST(count(*) AS TEXT), '' FROM events_outbox o
		JOIN links l ON o.entity = 'clients/' || l.client GROUP BY l.record_id, o.subject`)
	add("event", `SELECT l.record_id, o.subject, CAST(count(*) AS TEXT), '' FROM events_outbox o
		JOIN contact_links l ON o.entity IN ('contacts/' || l.contact, 'contacts/' || l.contact || '/relations') GROUP BY l.record_id, o.subject`)
	add("off-boarding", `SELECT l.record_id, o.state, CAST(o.contacts_removed AS TEXT), CAST(o.contacts_kept AS TEXT)
		FROM offboardings o JOIN links l ON l.client = o.client`)
	sort.Strings(out)
	return strings.Join(out, "\n")
}
