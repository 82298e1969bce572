package e2e

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/mtls/mtlstest"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	synceventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/sync/v1"
	"github.com/concord-suite/concord/test/story"
	"github.com/concord-suite/concord/test/topology"
)

// pod is one part as a platform runs it: its own certificate, by which the bus knows it, a database whose password is in a
// file, and a schema that a job has brought.
type pod struct {
	bus         *eventstest.Cluster
	certificate *mtlstest.Volume
	as          func(password string) string
	uri, health string
	environ     []string
}

const rightPassword = "right"

func newPod(t *testing.T) *pod {
	t.Helper()
	p := &pod{bus: eventstest.NewCluster(t, 1), health: freePort(t), uri: filepath.Join(t.TempDir(), "uri")}
	p.certificate = p.bus.Certificates["sync"]
	p.as = sqldbtest.Postgres(t).Role(t, "sync", rightPassword)
	p.password(t, rightPassword)
	p.bus.Launch(t)
	p.bus.Prepare(t, 1)
	files := p.certificate.Files()
	settings := syncAlone(t, p.health)
	for _, without := range []string{"INSECURE", "DATABASE_URL"} {
		delete(settings, without)
	}
	for key, value := range map[string]string{
		"NATS_URL": p.bus.URL(), "NATS_OWN_CERTIFICATE": "true", "DATABASE_URL_FILE": p.uri, "DATABASE_MIGRATE": "false",
		"TLS_CERT_FILE": files.Cert, "TLS_KEY_FILE": files.Key, "TLS_CA_FILE": files.CA,
	} {
		settings[key] = value
	}
	p.environ = environOf(settings)
	out, err := outputWith(t, p.environ, topology.Binary(t, "concord-sync"), "migrate")
	require.NoError(t, err, out)
	return p
}

// password writes the URL as a mounted secret changes.
func (p *pod) password(t *testing.T, password string) {
	t.Helper()
	require.NoError(t, os.WriteFile(p.uri+".new", []byte(p.as(password)), 0o600))
	require.NoError(t, os.Rename(p.uri+".new", p.uri))
}

// broker starts the NATS server anew, with users as they are or edited.
func (p *pod) broker(t *testing.T, edit func(accounts string) string) {
	t.Helper()
	right := p.bus.Accounts
	p.bus.Nodes[0].Kill()
	p.bus.Accounts = edit(right)
	p.bus.Launch(t)
	p.bus.Accounts = right
}

// leave puts events into the outbox, as a pod leaves them that ended before the bus had taken them.
func (p *pod) leave(t *testing.T, n int) (ids []string) {
	t.Helper()
	conn := p.look(t)
	for range n {
		id := uuid.Must(uuid.NewV7()).String()
		client := "firms/" + uuid.NewString() + "/clients/" + uuid.NewString()
		payload, err := proto.Marshal(&synceventsv1.ClientCreated{Client: client})
		require.NoError(t, err)
		_, err = conn.Exec(t.Context(), `INSERT INTO events_outbox (id, stream, subject, type, firm, entity, sequence, traceparent, payload)
			VALUES ($1, 'SYNC', 'sync.v1.client_created', 'concord.events.sync.v1.ClientCreated', $2, $3, 1, '', $4)`,
			id, strings.Split(client, "/")[1], strings.SplitAfterN(client, "/", 3)[2], payload)
		require.NoError(t, err)
		ids = append(ids, id)
	}
	return ids
}

func (p *pod) look(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), p.as(rightPassword))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

// outbox answers the ids of the events that were published, or were not, in their order.
func (p *pod) outbox(t *testing.T, published bool) []string {
	t.Helper()
	rows, err := p.look(t).Query(t.Context(), `SELECT id FROM events_outbox WHERE (published_seq IS NOT NULL) = $1 ORDER BY position`, published)
	require.NoError(t, err)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return ids
}

// delivered answers the ids of what the bus has, in its order.
func (p *pod) delivered(t *testing.T) (ids []string) {
	t.Helper()
	stream, err := p.bus.Connect(t, "bus-operator").Stream(t.Context(), "SYNC")
	require.NoError(t, err)
	info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter("sync.v1.client_created"))
	require.NoError(t, err)
	if info.State.Subjects["sync.v1.client_created"] == 0 {
		return nil
	}
	for seq := info.State.FirstSeq; seq <= info.State.LastSeq; seq++ {
		m, err := stream.GetMsg(t.Context(), seq)
		require.NoError(t, err)
		if m.Subject == "sync.v1.client_created" {
			ids = append(ids, m.Header.Get(jetstream.MsgIDHeader))
		}
	}
	return ids
}

// lines collects what a program writes.
type lines struct {
	mu  sync.Mutex
	all strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

// with returns the lines that have a text.
func (l *lines) with(text string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.all.String()) {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}

// TestAPodThatIsGivenSomethingWrongWaitsAndLosesNothing: it lives, is not ready, says in one line what is wrong and what to
// do, keeps what is in its database and outbox, and goes on without a restart when what is wrong was mended.
func TestAPodThatIsGivenSomethingWrongWaitsAndLosesNothing(t *testing.T) {
	p := newPod(t)
	left := []string{}
	for _, c := range []struct {
		name        string
		spoil, mend func(t *testing.T)
		line        string // in the answer for the kubelet and in the log
	}{
		{"a password that the database refuses",
			func(t *testing.T) { p.password(t, "wrong") }, func(t *testing.T) { p.password(t, rightPassword) },
			"database: the server refuses the user or its password: correct them in the database's URL"},
		{"a certificate that has expired",
			func(t *testing.T) {
				p.certificate.Swap(p.bus.Authority.Issue("sync", mtlstest.Valid(-2*time.Hour, -time.Hour)), p.bus.Authority)
			},
			func(t *testing.T) { p.certificate.Swap(p.bus.Authority.Issue("sync"), p.bus.Authority) },
			"certificate: the own certificate expired at "},
		{"a user whom the bus does not know",
			func(t *testing.T) {
				p.broker(t, func(a string) string { return strings.ReplaceAll(a, "spiffe://concord/sync", "spiffe://concord/other") })
			},
			func(t *testing.T) { p.broker(t, func(a string) string { return a }) },
			"bus: never reached since the start: the NATS servers refuse this user (Authorization Violation): the URI of the certificate"},
		{"an account of the bus without streams",
			func(t *testing.T) {
				p.broker(t, func(a string) string { return strings.Replace(a, "jetstream: enabled", "jetstream: disabled", 1) })
			},
			func(t *testing.T) { p.broker(t, func(a string) string { return a }) },
			"bus: JetStream does not answer: this user's account has no `jetstream: enabled`"},
	} {
		t.Run(c.name, func(t *testing.T) {
			new := p.leave(t, 20)
			c.spoil(t)
			log, stop := p.run(t)
			story.Eventually(t, "it says what is wrong", func() bool {
				status, body := readiness(t.Context(), p.health)
				return status == http.StatusServiceUnavailable && strings.Contains(body, "\n"+c.line)
			})
			require.Equal(t, new, p.outbox(t, false), "what waits is there")
			require.Equal(t, left, p.outbox(t, true), "what went out is known")

			c.mend(t)
			story.Eventually(t, "it goes on by itself", func() bool {
				status, _ := readiness(t.Context(), p.health)
				return status == http.StatusOK
			})
			left = append(left, new...)
			story.Eventually(t, "what waited goes out", func() bool { return len(p.outbox(t, false)) == 0 })
			require.Equal(t, left, p.outbox(t, true))
			require.Equal(t, left, p.delivered(t), "each event once, in its order")
			said := log.with(c.line)
			require.Len(t, said, 1, "one line")
			stop()
			require.Empty(t, log.with("password="))
			for _, warning := range log.with(`"level":"WARN"`) {
				require.Contains(t, warning, `"msg":"not ready"`, "and nothing else is said")
			}
		})
	}
}

// run starts the part; stop ends it as a cluster does.
func (p *pod) run(t *testing.T) (log *lines, stop func()) {
	t.Helper()
	log = &lines{}
	cmd := exec.CommandContext(t.Context(), topology.Binary(t, "concord-sync"))
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, p.environ...)
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(strings.Join(log.with(""), ""))
		}
	})
	return log, func() {
		require.NoError(t, cmd.Process.Signal(os.Interrupt))
		require.NoError(t, <-ended)
	}
}
