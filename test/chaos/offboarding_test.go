//go:build chaos

package chaos

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/sim/remote"
	"github.com/concord-suite/concord/test/story"
	"github.com/concord-suite/concord/test/topology"
)

const (
	kills   = 30
	leavers = 100
	filled  = 60 // of the leavers' folders hold documents
	signers = 5  // of those wait for a signature, and must stay
	// wipeAt is the kill at which the broker also loses everything it stored.
	wipeAt = kills / 2
)

// TestOffboardingUnderKills: a process is killed thirty times, the database server and the broker among them, while a
// hundred clients leave. In the end every invariant of off-boarding holds.
func TestOffboardingUnderKills(t *testing.T) {
	s := topology.Start(t, topology.ManyProcesses, topology.Options{Clients: 600})
	op := s.Claim(t)
	adm := s.Firm(t, op, "harbour")
	require.NoError(t, op.Call(t.Context(), "POST", "/v1/"+adm.Firm+":setDocumentArchive",
		&documentsv1.SetDocumentArchiveRequest{Enabled: true}, nil))
	conn := adm.Connect(t, func(o *connectorv1.ConnectionOptions) { o.RemovalGuardPermille = 10 })
	require.Equal(t, syncv1.RunState_RUN_STATE_SUCCEEDED, adm.FirstRun(t).GetState())

	d := prepare(t, s, adm)
	run := adm.Run(t, conn.GetName(), syncv1.RunKind_RUN_KIND_FULL)
	require.Equal(t, syncv1.RunState_RUN_STATE_REMOVALS_WITHHELD, run.GetState(), run.GetMessage())

	hit := storm(t, s, adm, d, run.GetPlan())
	began := time.Now()
	wait(t, adm, d)
	t.Logf("all %d off-boardings settled %s after the last kill", leavers, time.Since(began).Round(time.Millisecond))
	check(t, s, adm, d)
	for name, n := range hit {
		fmt.Printf("killed %-10s %2d times\n", name, n)
	}
	fmt.Printf("%d kills, broker wiped once: %d clients off-boarded, %d kept by a blocker, %d documents kept, nothing lost or doubled\n",
		kills, leavers-signers, signers, d.documents)
}

// departure is who leaves and what they leave behind.
type departure struct {
	clients   []*syncv1.Client
	upstream  []remote.Record
	folder    map[string]string
	content   map[string]map[string]string // by client: document name -> bytes
	blocked   map[string]bool
	stayed    map[string]bool // every other client
	active    map[string]bool // upstream ids of clients that were in use before
	documents int
}

func prepare(t *testing.T, s *topology.Suite, adm *story.Person) *departure {
	records, err := s.World.Clients(t.Context(), "", "", 600)
	require.NoError(t, err)
	var withContacts []remote.Record
	active := map[string]bool{}
	for _, r := range records {
		active[r.UUID] = true
		if len(r.Contacts) > 0 {
			withContacts = append(withContacts, r)
		}
	}
	d := &departure{
		folder: map[string]string{}, content: map[string]map[string]string{}, blocked: map[string]bool{}, stayed: map[string]bool{},
		active: active,
	}
	d.clients, d.upstream = adm.Known(t, withContacts, leavers)
	leaving := map[string]bool{}
	var uuids []string
	for i, c := range d.clients {
		leaving[c.GetName()] = true
		uuids = append(uuids, d.upstream[i].UUID)
		d.fill(t, adm, i, c.GetName())
	}
	for _, c := range adm.Clients(t, "") {
		if !leaving[c.GetName()] {
			d.stayed[c.GetName()] = true
		}
	}
	_, err = s.World.Archive(t.Context(), remote.UUIDs(uuids...))
	require.NoError(t, err)
	return d
}

// fill files a client's documents, and sends one for signature for the first few.
func (d *departure) fill(t *testing.T, adm *story.Person, i int, client string) {
	d.folder[client] = adm.FolderOf(t, client).GetName()
	d.content[client] = map[string]string{}
	if i >= filled {
		return
	}
	var first string
	for n := range 1 + i%3 {
		body := fmt.Sprintf("document %d of %s", n, client)
		doc := adm.File(t, d.folder[client], fmt.Sprintf("Document %d.txt", n), body)
		d.content[client][doc.GetName()] = body
		d.documents++
		first = doc.GetName()
	}
	if i >= signers {
		return
	}
	adm.SendForSignature(t, client, first)
	d.blocked[client] = true
}

// storm approves removals a few at a time and kills a process each time while they are being done.
func storm(t *testing.T, s *topology.Suite, adm *story.Person, d *departure, plan string) map[string]int {
	changes := new(syncv1.ListPlanChangesResponse)
	require.NoError(t, adm.Call(t.Context(), "GET", "/v1/"+plan+"/changes?kind=CHANGE_KIND_ARCHIVE&page_size=1000", nil, changes))
	require.Len(t, changes.GetChanges(), leavers)
	var names []string
	for _, c := range changes.GetChanges() {
		names = append(names, c.GetName())
	}
	victims := append([]string{"postgres", "nats", "gateway"}, "auth", "connector", "documents", "sync")
	random := rand.New(rand.NewPCG(7, 7)) // the same order each time; the moments differ enough
	hit := map[string]int{}
	for k := range kills {
		from, to := k*len(names)/kills, (k+1)*len(names)/kills
		approve(t, adm, plan, names[from:to])
		pause(t, time.Duration(random.IntN(300))*time.Millisecond)
		victim := victims[random.IntN(len(victims))]
		if k == wipeAt {
			victim = "nats"
		}
		hit[victim]++
		strike(t, s, victim, k == wipeAt, time.Duration(random.IntN(400))*time.Millisecond)
	}
	return hit
}

// approve approves some removals; whatever was killed under the call, the same request is made until it is answered.
func approve(t *testing.T, adm *story.Person, plan string, changes []string) {
	req := &syncv1.DecidePlanRequest{Approve: changes, RequestId: uuid.NewString()}
	story.Eventually(t, "the approval is answered", func() bool {
		return adm.Call(t.Context(), "POST", "/v1/"+plan+":decide", req, nil) == nil
	})
}

// strike kills one part, leaves it dead for a while, and starts it again.
func strike(t *testing.T, s *topology.Suite, victim string, wipe bool, dead time.Duration) {
	if victim == "postgres" {
		s.Postgres.Kill(t)
		pause(t, dead)
		s.Postgres.Restart(t)
		return
	}
	p := s.Processes[victim]
	p.Kill(t)
	if wipe {
		require.NoError(t, os.RemoveAll(s.Dir+"/nats"))
	}
	pause(t, dead)
	p.Start(t)
}

// pause lets the others work on; what happens meanwhile is the point, so there is no condition to wait for.
func pause(t *testing.T, d time.Duration) {
	select {
	case <-t.Context().Done():
	case <-time.After(d):
	}
}

// wait waits until every off-boarding is done or blocked. During recovery calls may fail.
func wait(t *testing.T, adm *story.Person, d *departure) {
	story.Eventually(t, "every off-boarding is done or blocked", func() bool {
		list := new(syncv1.ListOffboardingsResponse)
		if adm.Call(t.Context(), "GET", "/v1/"+adm.Firm+"/offboardings?page_size=1000", nil, list) != nil {
			return false
		}
		n := 0
		for _, o := range list.GetOffboardings() {
			switch o.GetState() {
			case syncv1.OffboardingState_OFFBOARDING_STATE_DONE, syncv1.OffboardingState_OFFBOARDING_STATE_BLOCKED:
				n++
			}
		}
		return n == leavers
	})
}
