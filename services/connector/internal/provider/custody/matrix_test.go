package custody_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	"github.com/concord-suite/concord/sim/faults"
	"github.com/concord-suite/concord/sim/world"

	"github.com/concord-suite/concord/services/connector/internal/store"
)

const (
	// matrixGrants is how many grants expire in one round.
	matrixGrants = 200
	// calm is a lease that outlasts any pause of a machine that does something else; brief is one whose end can be waited
	// for in every round with a kill. A call gets the half of it.
	calm, brief = 20 * time.Second, 500 * time.Millisecond
)

// TestRefreshMatrix renews grants by three processes of eight workers each, over one database and one identity service:
// without faults by exactly one call per expiry; with processes killed at every step, answers lost, an identity service
// that fails and a database that does, without ever losing a grant.
func TestRefreshMatrix(t *testing.T) {
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\nengine, faults\texpiries\ttoken calls\tkills\tlost answers\trefusals\treplays\tspares\tfailed requests\tlost grants\tseconds\t")
	for _, engine := range sqldbtest.Engines() {
		t.Run(string(engine), func(t *testing.T) {
			m := newMatrix(t, engine)
			quiet := m.run("none", calm, m.undisturbed)
			w.Write(quiet.row(engine, "none"))
			require.Equal(t, matrixGrants*matrixRounds, quiet.expiries)
			require.Equal(t, quiet.expiries, quiet.calls, "exactly one call per expiry")
			require.Zero(t, quiet.failed+quiet.replays+quiet.spares+quiet.lost)

			m.killed = map[step]int{}
			rough := m.run("all", brief, m.disturbed)
			w.Write(rough.row(engine, "all"))
			require.Equal(t, matrixGrants*roughRounds, rough.expiries)
			require.Zero(t, rough.dead, "grants were lost")
			for _, at := range steps {
				require.NotZero(t, m.killed[at], "nobody died %s", at)
			}
			require.NotZero(t, rough.lost)
			require.NotZero(t, rough.replays)
			t.Logf("killed: %v", m.killed)

			if engine == sqldb.Postgres {
				frozen := m.run("SIGSTOP", brief, m.frozen)
				w.Write(frozen.row(engine, "server stopped"))
				require.Zero(t, frozen.dead, "grants were lost")
			}
			m.sound()
		})
	}
	require.NoError(t, w.Flush())
	t.Log(table.String())
}

// steps are where processes die.
var steps = []step{beforeIntent, afterIntent, underWay, beforeCommit, afterCommit}

// tally is what one run came to.
type tally struct {
	expiries, calls, kills, lost, refused, replays, spares, failed, dead int

	took time.Duration
}

func (c tally) row(engine sqldb.Dialect, what string) []byte {
	return fmt.Appendf(nil, "%s, %s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%.1f\t\n", engine, what, c.expiries, c.calls, c.kills, c.lost,
		c.refused, c.replays, c.spares, c.failed, c.dead, c.took.Seconds())
}

// matrix is the processes with what they work on.
type matrix struct {
	*bench
	desk      *desk
	here      replica // in this process, to look at the rows
	cluster   *sqldbtest.Cluster
	processes []*process
	grants    []string
	lease     time.Duration

	mu     sync.Mutex
	sum    tally
	killed map[step]int
	spare  map[string]bool // every spare that was seen
}

func newMatrix(t *testing.T, engine sqldb.Dialect) *matrix {
	t.Helper()
	m := &matrix{spare: map[string]bool{}}
	var database string
	if engine == sqldb.Postgres {
		m.cluster = sqldbtest.Postgres(t) // its own, since it is stopped
		database = m.cluster.URL(t)
	} else {
		database = sqldbtest.URL(t, engine)
	}
	m.bench = newBench(t, database)
	m.here = m.replica()
	for range matrixGrants {
		m.grants = append(m.grants, m.grant(m.here).ID)
	}
	m.desk = newDesk(t, m.world.URL())
	return m
}

// run starts the processes, has the rounds done, and counts.
func (m *matrix) run(_ string, lease time.Duration, rounds func()) tally {
	m.t.Helper()
	began := time.Now()
	m.sum, m.lease, m.processes = tally{}, lease, nil
	calls, lost, refused, replays := m.desk.counts()
	for range processes {
		m.processes = append(m.processes, startProcess(m.t, setup{Database: m.url, Identity: m.desk.URL, Keyring: m.keyring,
			Lease: lease, Call: lease / 2, Retry: 10 * time.Millisecond}))
	}
	rounds()
	for _, p := range m.processes {
		p.end()
	}
	m.sum.calls, m.sum.lost, m.sum.refused, m.sum.replays = m.desk.counts()
	m.sum.calls, m.sum.lost, m.sum.refused, m.sum.replays = m.sum.calls-calls, m.sum.lost-lost, m.sum.refused-refused, m.sum.replays-replays
	m.sum.took = time.Since(began)
	return m.sum
}

// expire lets every access token expire.
func (m *matrix) expire() {
	m.forward(31 * time.Minute)
	m.sum.expiries += len(m.grants)
}

// all has every process carry out its order, at once.
func (m *matrix) all(orders func(process int) order) {
	var group sync.WaitGroup
	for i, p := range m.processes {
		o := orders(i)
		o.Grants, o.Ahead = m.grants, time.Until(m.now())
		group.Go(func() {
			r, alive := p.do(o)
			m.mu.Lock()
			defer m.mu.Unlock()
			if !alive {
				m.sum.kills++
				m.killed[o.Kill]++
			}
			m.sum.failed += r.Errors
			m.sum.dead += len(r.Dead)
		})
	}
	group.Wait()
}

func (m *matrix) undisturbed() {
	for range matrixRounds {
		m.expire()
		m.all(func(int) order { return order{} })
		calls, _, _, _ := m.desk.counts()
		require.Equal(m.t, m.sum.expiries, calls)
	}
}

// disturbances of the identity service, one per round. Twenty calls is what a blip takes with it.
var disturbances = []world.Fault{
	{Kind: faults.ApplyThenDrop, Count: 20},
	{Kind: faults.Status, Status: 500, Count: 20},
	{Kind: faults.Slow, Delay: world.Duration(brief), Count: 20}, // twice what a call gets
	{Kind: faults.Drop, Count: 20},
	{Kind: faults.Status, Status: 429, Retry: 1, Count: 20},
	{Kind: faults.Cut, Bytes: 20, Count: 20},
	{}, // invalid_client
}

// disturbed kills two of the three processes in every round, breaks the third one's way to the database, and disturbs
// the identity service, all at once. Then everything works again, and so must every grant.
func (m *matrix) disturbed() {
	stores := []string{storeFails, storeLies, storeRefuses, storeNoUpdates, storeFreezes}
	for round := range roughRounds {
		m.expire()
		m.disturb(disturbances[round%len(disturbances)])
		m.all(func(i int) order {
			o := order{After: 1 + (7*round+13*i)%15}
			switch i {
			case round % processes:
				o.Kill = steps[round%len(steps)]
			case (round + 1) % processes:
				o.Kill = steps[(round+2+round/len(steps))%len(steps)]
			default:
				o.Store = stores[(round+round/len(stores))%len(stores)]
			}
			return o
		})
		require.NoError(m.t, m.remote.RemoveFault(m.t.Context(), ""))
		m.settle()
	}
}

func (m *matrix) disturb(f world.Fault) {
	if f.Kind == "" {
		m.desk.estrange(20)
		return
	}
	f.Path = "/connect/token"
	_, err := m.remote.Fault(m.t.Context(), f)
	require.NoError(m.t, err)
}

// settle waits until every grant has a token.
func (m *matrix) settle() {
	m.t.Helper()
	m.desk.estrange(0)
	failed := m.sum.failed
	m.all(func(int) order { return order{Insist: true} })
	require.Equal(m.t, failed, m.sum.failed, "a grant does not work although nothing is wrong any more")
	require.NoError(m.t, m.here.db.Read(m.t.Context(), func(tx *sqldb.Tx) error {
		for _, id := range m.grants {
			g, err := store.GrantByID(tx, id, false)
			if err != nil {
				return err
			}
			require.Equal(m.t, store.GrantActive, g.Status)
			if kept := fmt.Sprint(id, g.SpareUntil); !g.Spare.Empty() && !m.spare[kept] {
				m.spare[kept] = true
				m.sum.spares++
			}
		}
		return nil
	}))
}

// frozen stops the server, with all its processes, in the middle of each round, for longer than a lease.
func (m *matrix) frozen() {
	for range frozenRounds {
		m.expire()
		done := make(chan struct{})
		go func() {
			defer close(done)
			m.all(func(int) order { return order{} })
		}()
		m.desk.busy(matrixGrants/2, done)
		m.cluster.Freeze(m.t)
		over := time.NewTimer(2 * m.lease)
		<-over.C
		m.cluster.Thaw(m.t)
		<-done
		m.settle()
	}
}

// sound looks that every grant works: it expires once more, and the provider accepts what it then has.
func (m *matrix) sound() {
	m.t.Helper()
	before, _, _, _ := m.desk.counts()
	end := m.run("", calm, func() {
		m.expire()
		m.all(func(int) order { return order{} })
	})
	after, _, _, _ := m.desk.counts()
	require.Zero(m.t, end.dead+end.failed)
	require.Equal(m.t, matrixGrants, after-before, "nothing is left of the faults")
	for _, id := range m.grants {
		m.works(m.here, id)
	}
}
