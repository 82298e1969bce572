//go:build rolling

package rolling

import (
	"fmt"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	auditeventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/audit/v1"
	"github.com/concord-suite/concord/test/story"
	"github.com/concord-suite/concord/test/topology"
)

// emitted is an event as an outbox has it.
type emitted struct{ id, subject string }

// follower is who follows a stream: the bus says which subjects, and the service's inbox what took effect.
type follower struct {
	stream, service string
	subjects        []string
}

// books are the outboxes and inboxes of a suite.
type books struct {
	outbox map[string][]emitted       // by stream
	inbox  map[string]map[string]bool // by service: the ids of what took effect
	parked int
	left   int // not published yet
}

func readBooks(t *testing.T, suite *topology.Replicas) books {
	t.Helper()
	b := books{outbox: map[string][]emitted{}, inbox: map[string]map[string]bool{}}
	for service := range suite.Databases {
		conn := connect(t, suite, service)
		rows, err := conn.Query(t.Context(), `SELECT stream, id, subject, published_seq IS NULL FROM events_outbox`)
		require.NoError(t, err)
		var stream string
		var e emitted
		var unpublished bool
		_, err = pgx.ForEachRow(rows, []any{&stream, &e.id, &e.subject, &unpublished}, func() error {
			b.outbox[stream] = append(b.outbox[stream], e)
			if unpublished {
				b.left++
			}
			return nil
		})
		require.NoError(t, err)
		rows, err = conn.Query(t.Context(), `SELECT event_id FROM events_inbox WHERE consumer = $1`, service)
		require.NoError(t, err)
		ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		b.inbox[service] = map[string]bool{}
		for _, id := range ids {
			b.inbox[service][id] = true
		}
		var parked int
		require.NoError(t, conn.QueryRow(t.Context(), `SELECT count(*) FROM events_parked`).Scan(&parked))
		b.parked += parked
		require.NoError(t, conn.Close(t.Context()))
	}
	return b
}

func connect(t *testing.T, suite *topology.Replicas, service string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), suite.Databases[service])
	require.NoError(t, err)
	return conn
}

// lost are the events that a follower wants and that did not take effect there.
func (b books) lost(f follower) (wanted, lost int) {
	for _, e := range b.outbox[f.stream] {
		if !slices.Contains(f.subjects, e.subject) {
			continue
		}
		wanted++
		if !b.inbox[f.service][e.id] {
			lost++
		}
	}
	return wanted, lost
}

// followers asks the bus who follows what, and how many messages each stream has. It asks again until those are the declared ones:
// just after a server was killed, a list of streams may have one twice, as two servers take themselves for its leader, and lack another.
func followers(t *testing.T, suite *topology.Replicas) (all []follower, held map[string]uint64) {
	t.Helper()
	js, err := jetstream.New(suite.ConnectBus(t))
	require.NoError(t, err)
	want := declared(t)
	var there []string
	defer func() {
		if t.Failed() {
			t.Logf("who follows what: %s; declared: %s", there, want)
		}
	}()
	story.Eventually(t, "the declared followers are there, and no others", func() bool {
		all, held = listed(t, suite, js)
		there = nil
		for _, f := range all {
			there = append(there, f.stream+" "+f.service)
		}
		return slices.Equal(want, there)
	})
	return all, held
}

// listed are the followers and the messages of each stream as the bus lists them once.
func listed(t *testing.T, suite *topology.Replicas, js jetstream.JetStream) (all []follower, held map[string]uint64) {
	t.Helper()
	held = map[string]uint64{}
	streams := js.ListStreams(t.Context())
	for info := range streams.Info() {
		held[info.Config.Name] = info.State.Msgs
		require.Equal(t, 3, info.Config.Replicas, "%s is on three servers", info.Config.Name)
		stream, err := js.Stream(t.Context(), info.Config.Name)
		require.NoError(t, err)
		consumers := stream.ListConsumers(t.Context())
		for c := range consumers.Info() {
			if _, durable := suite.Databases[c.Config.Durable]; durable {
				require.NotEmpty(t, c.Config.FilterSubjects, "%s says what it wants of %s", c.Config.Durable, info.Config.Name)
				all = append(all, follower{info.Config.Name, c.Config.Durable, c.Config.FilterSubjects})
			}
		}
		require.NoError(t, consumers.Err())
	}
	require.NoError(t, streams.Err())
	slices.SortFunc(all, func(a, b follower) int {
		return slices.Compare([]string{a.stream, a.service}, []string{b.stream, b.service})
	})
	return all, held
}

// declared are the streams and their followers of the suite's declaration: who follows a stream may acknowledge its messages.
func declared(t *testing.T) (all []string) {
	t.Helper()
	permissions, err := exec.Command(topology.Binary(t, "concord-auth"), "bus", "permissions").Output()
	require.NoError(t, err)
	for _, m := range acknowledges.FindAllSubmatch(permissions, -1) {
		all = append(all, string(m[1])+" "+string(m[2]))
	}
	slices.Sort(all)
	require.NotEmpty(t, all)
	return all
}

var acknowledges = regexp.MustCompile(`"\$JS\.ACK\.(\w+)\.(\w+)\.>"`)

// events waits until everything that was emitted has taken effect, and prints and checks what became of it.
func events(t *testing.T, suite *topology.Replicas) {
	t.Helper()
	all, _ := followers(t, suite)
	var b books
	story.Eventually(t, "every event has taken effect", func() bool {
		b = readBooks(t, suite)
		open := b.left
		for _, f := range all {
			_, lost := b.lost(f)
			open += lost
		}
		return open == 0
	})
	_, held := followers(t, suite)
	rows := [][]string{{"stream", "emitted", "held", "followed by", "to take effect", "took effect", "lost"}}
	for _, stream := range slices.Sorted(maps.Keys(b.outbox)) {
		row := []string{stream, fmt.Sprint(len(b.outbox[stream])), fmt.Sprint(held[stream])}
		for _, f := range all {
			if f.stream != stream {
				continue
			}
			wanted, lost := b.lost(f)
			require.NotZero(t, wanted, "%s had something to do with %s", f.service, stream)
			rows = append(rows, append(row, f.service, fmt.Sprint(wanted), fmt.Sprint(wanted-lost), fmt.Sprint(lost)))
			row = []string{"", "", ""}
		}
		if row[0] != "" {
			rows = append(rows, append(row, "nobody", "", "", ""))
		}
	}
	table(rows)
	require.Zero(t, b.parked, "no event was put aside")
	doubled(t, suite)
}

// doubled looks at the effects themselves: an event that took effect twice shows there, whatever the inboxes say.
func doubled(t *testing.T, suite *topology.Replicas) {
	t.Helper()
	rows := [][]string{{"effect", "of events", "there", "twice"}}
	twice := 0
	for _, effect := range []struct{ what, of, service, query string }{
		{"folder of a client", "sync.v1.client_created", "documents",
			`SELECT count(*), count(*) - count(DISTINCT client) FROM folders WHERE client <> ''`},
		{"line in a client's history", "documents.v1.document_filed", "sync",
			`SELECT count(*), count(*) - count(DISTINCT (client, resource)) FROM history WHERE kind = 'DOCUMENT_FILED'`},
		{"entry of the ledger", "audit.v1.audit_recorded", "auth",
			`SELECT count(*), count(*) - count(DISTINCT entry_id) FROM ledger_entries`},
	} {
		conn := connect(t, suite, effect.service)
		var causes, there, doubles int
		defer func() {
			if t.Failed() {
				t.Logf("%d of %q, where events say %d", there, effect.what, causes)
			}
		}()
		// What was looked at last enters the ledger up to a second later, and may do so between the two counts.
		story.Eventually(t, "there are as many as events say: "+effect.what, func() bool {
			causes = caused(t, suite, effect.of)
			require.NoError(t, conn.QueryRow(t.Context(), effect.query).Scan(&there, &doubles))
			return there == causes
		})
		require.NoError(t, conn.Close(t.Context()))
		rows = append(rows, []string{effect.what, fmt.Sprint(causes), fmt.Sprint(there), fmt.Sprint(doubles)})
		twice += doubles
	}
	table(rows)
	require.Zero(t, twice)
}

// caused counts what the events of a subject should have made, each thing once.
func caused(t *testing.T, suite *topology.Replicas, subject string) int {
	t.Helper()
	things := map[string]bool{}
	for service := range suite.Databases {
		conn := connect(t, suite, service)
		rows, err := conn.Query(t.Context(), `SELECT id, payload FROM events_outbox WHERE subject = $1`, subject)
		require.NoError(t, err)
		var id string
		var payload []byte
		_, err = pgx.ForEachRow(rows, []any{&id, &payload}, func() error {
			if subject != "audit.v1.audit_recorded" {
				things[id] = true
				return nil
			}
			audit := new(auditeventsv1.AuditRecorded)
			if err := proto.Unmarshal(payload, audit); err != nil {
				return err
			}
			for _, e := range audit.GetEntries() {
				things[e.GetEntryId()] = true
			}
			return nil
		})
		require.NoError(t, err)
		require.NoError(t, conn.Close(t.Context()))
	}
	return len(things)
}
