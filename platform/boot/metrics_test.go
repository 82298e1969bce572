package boot_test

import (
	"context"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/boot"
	"github.com/concord-suite/concord/platform/dial"
	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/sqldb"
)

// families returns the names of the metrics in an answer to a monitor, those of the process and of Go left out.
func families(body string) map[string]bool {
	found := map[string]bool{}
	for line := range strings.Lines(body) {
		if words := strings.Fields(line); len(words) > 2 && words[1] == "TYPE" {
			name := words[2]
			if !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") && !strings.HasPrefix(name, "promhttp_") {
				found[name] = true
			}
		}
	}
	return found
}

func TestAMonitorIsToldWhatTheDocumentSays(t *testing.T) {
	m := newMachine(t, "things")
	runtime := make(chan *boot.Runtime, 1)
	svc := &service{
		handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }),
		run: func(ctx context.Context) error {
			r := <-runtime
			meter := r.Telemetry.Meters.Meter("events")
			go func() { _ = events.NewConsumer(r.DB, r.Bus, "things", events.ConsumerOptions{Meter: meter}).Run(ctx) }()
			return events.NewRelay(r.DB, r.Bus, "things", events.RelayOptions{Meter: meter}).Run(ctx)
		},
	}
	options := append(slices.Clone(withDatabase), boot.PublicHTTP())
	environ := append(m.environ("things", "HTTP_ADDR=127.0.0.1:0"), "OTEL_RESOURCE_ATTRIBUTES=k8s.pod.name=things-0,k8s.node.name=a%20node,nonsense")
	r := start(t, "things", environ, svc, options...)
	runtime <- r.rt
	r.awaitReady(t, 200)
	conn, err := dial.New(r.address(t, "grpc"), dial.Options{Audience: "things", Insecure: true, Meter: r.rt.Telemetry.Meters})
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, call(t.Context(), conn, "Look")) // whose audit entry becomes an event
	_, err = http.Get("http://" + r.address(t, "http") + "/some/one's/name")
	require.NoError(t, err)
	require.NoError(t, r.rt.DB.Tx(t.Context(), func(tx *sqldb.Tx) error {
		_, err := tx.Exec(`INSERT INTO events_parked (consumer, event_id, state, attempts, reason, source, stream, subject, firm,
			entity, sequence, event_time, traceparent, payload, due_at)
			VALUES ('things', 'event-1', 'PARKED', 7, '', 'sync', 'SYNC', 's', 'f', 'e', 1, 0, '', $1, 0)`, []byte{})
		return err
	}))

	var body string
	eventstest.Until(t, "the event is published", func() bool {
		_, body = get(t, "http://"+r.address(t, "health")+"/metrics")
		// What waits is asked before what was counted is read, so that the two may be of different moments.
		return strings.Contains(body, "concord_events_published_total 1") && strings.Contains(body, "concord_events_outbox_backlog 0")
	})
	for _, want := range []string{
		"\nconcord_ready 1\n", `concord_ready_part{part="database"} 1`, `concord_ready_part{part="schema"} 1`, "concord_events_outbox_backlog 0",
		"concord_events_outbox_oldest_seconds 0", `concord_events_aside{state="PARKED"} 1`, `concord_events_aside{state="WAITING"} 0`,
		`http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="418"} 1`,
		`k8s_pod_name="things-0"`, `k8s_node_name="a node"`, `service_name="things"`, "go_goroutines ", "process_resident_memory_bytes ",
		`concord_build_info{`, `concord_database_connections{state="idle"}`,
	} {
		require.Contains(t, body, want)
	}
	require.NotContains(t, body, "one's")

	_ = os.Getenv("SOURCES_DIGEST") // the page lies outside this module (Makefile)
	doc, err := os.ReadFile("../../docs/metrics.md")
	require.NoError(t, err)
	documented := map[string]bool{}
	for _, found := range regexp.MustCompile("(?m)^\\| `([a-z_]+)`(?: \\| every part| \\| )").FindAllStringSubmatch(string(doc), -1) {
		documented[found[1]] = true
	}
	var unsaid []string
	for name := range families(body) {
		if !documented[name] {
			unsaid = append(unsaid, name)
		}
		delete(documented, name)
	}
	require.Empty(t, unsaid, "docs/metrics.md does not say what these are")
	// What only a certificate or one service brings.
	maps.DeleteFunc(documented, func(name string, _ bool) bool {
		return strings.HasPrefix(name, "concord_auth_") || strings.HasPrefix(name, "concord_certificate_") || rare[name]
	})
	require.Empty(t, documented, "docs/metrics.md names what is not there")
}

// rare are the counters that have no value before what they count happened.
var rare = map[string]bool{
	"concord_events_handled_total": true, "concord_events_republished_total": true, "concord_events_parked_total": true,
	"concord_events_bus_reconnects_total": true,
}

func TestADatabaseThatIsAwayDoesNotHideTheRest(t *testing.T) {
	m := newMachine(t, "things")
	r := start(t, "things", m.environ("things"), &service{}, withDatabase...)
	r.awaitReady(t, 200)
	require.NoError(t, r.rt.DB.Close())
	status, body := get(t, "http://"+r.address(t, "health")+"/metrics")
	require.Equal(t, 200, status)
	require.Contains(t, body, "concord_ready ")
	require.NotContains(t, body, "concord_events_outbox_backlog ")
}
