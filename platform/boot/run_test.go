package boot_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/boot"
	"github.com/concord-suite/concord/platform/dial"
	"github.com/concord-suite/concord/platform/events/eventstest"
)

var withDatabase = []boot.Option{boot.GRPC(), boot.Database(migrations)}

func TestAProgramServesUntilItIsTold(t *testing.T) {
	m := newMachine(t, "things")
	var notReady atomic.Bool
	svc := &service{ready: func(context.Context) error {
		if notReady.Load() {
			return errors.New("hush: the reason stays in the log")
		}
		return nil
	}}
	r := start(t, "things", m.environ("things"), svc, withDatabase...)
	conn, err := dial.New(r.address(t, "grpc"), dial.Options{Audience: "things", Insecure: true})
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, ping(t.Context(), conn))
	require.NotNil(t, r.rt.Bus)
	require.NoError(t, r.rt.DB.Ping(t.Context()))

	health := "http://" + r.address(t, "health")
	status, body := get(t, health+"/livez")
	require.Equal(t, "200 ok", fmt.Sprint(status, " ", body))
	body = r.awaitReady(t, 200)
	require.Equal(t, "ready\ndatabase: ok\nschema: ok, at 1\nbus: ok\nthings: ok", body)
	notReady.Store(true)
	body = r.awaitReady(t, 503)
	require.Contains(t, body, "not ready\n")
	require.Contains(t, body, "things: not ready; the log says why")
	require.NotContains(t, body, "hush")
	require.Contains(t, r.stderr.String(), "things: hush: the reason stays in the log")
	_, body = get(t, health+"/version")
	require.NotEmpty(t, body)

	require.Equal(t, 0, r.end())
	require.Contains(t, r.stderr.String(), `"msg":"stopped"`)
	require.Error(t, ping(t.Context(), conn))
}

func TestAReadinessCheckThatHangsIsAnswered(t *testing.T) {
	m := newMachine(t, "things")
	r := start(t, "things", m.environ("things"), &service{ready: func(context.Context) error { select {} }}, withDatabase...)
	eventstest.Until(t, "it says that there is no answer", func() bool {
		status, body := get(t, "http://"+r.address(t, "health")+"/readyz")
		return status == 503 && strings.Contains(body, "things: does not answer")
	})
	status, _ := get(t, "http://"+r.address(t, "health")+"/livez")
	require.Equal(t, 200, status)
}

func TestRunningCallsEndBeforeTheServicesOwnWorkStops(t *testing.T) {
	m := newMachine(t, "things")
	arrived, release := make(chan struct{}), make(chan struct{})
	var order []string
	svc := &service{
		unary: func(context.Context) error {
			close(arrived)
			<-release
			order = append(order, "call ended")
			return nil
		},
		run: func(ctx context.Context) error {
			<-ctx.Done()
			order = append(order, "work ended")
			return nil
		},
	}
	r := start(t, "things", m.environ("things"), svc, withDatabase...)
	conn, err := dial.New(r.address(t, "grpc"), dial.Options{Audience: "things", Insecure: true})
	require.NoError(t, err)
	defer conn.Close()
	answered := make(chan error, 1)
	go func() { answered <- ping(context.Background(), conn) }()
	<-arrived
	r.stop()
	eventstest.Until(t, "it says that it is not ready", func() bool {
		status, _ := get(t, "http://"+r.address(t, "health")+"/readyz")
		return status == 503
	})
	close(release)
	require.NoError(t, <-answered, "the call that was running is answered")
	require.Equal(t, 0, <-r.code)
	require.Equal(t, []string{"call ended", "work ended"}, order)
}

func TestAServiceThatFailsEndsItsProcess(t *testing.T) {
	m := newMachine(t, "things")
	fail := make(chan error)
	r := start(t, "things", m.environ("things"), &service{run: func(context.Context) error { return <-fail }}, withDatabase...)
	fail <- errors.New("the lease is lost")
	require.Equal(t, 1, <-r.code)
	require.Contains(t, r.stderr.String(), "concord-things: things: the lease is lost")
}

func TestAServiceWithoutWorkOfItsOwnServesOn(t *testing.T) {
	m := newMachine(t, "things")
	r := start(t, "things", m.environ("things"), &service{run: func(context.Context) error { return nil }}, withDatabase...)
	conn, err := dial.New(r.address(t, "grpc"), dial.Options{Audience: "things", Insecure: true})
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, ping(t.Context(), conn))
	require.Equal(t, 0, r.end())
}

func TestHTTPRequestsEndBeforeTheProcessDoes(t *testing.T) {
	m := newMachine(t, "things")
	arrived, release := make(chan struct{}, 1), make(chan struct{})
	svc := &service{handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		if r.URL.Path == "/watch" { // lasts until it is ended
			<-r.Context().Done()
			return
		}
		<-release
		fmt.Fprint(w, "whole")
	})}
	environ := m.environ("things", "HTTP_ADDR=127.0.0.1:0", "GRACE=1s")
	r := start(t, "things", environ, svc, boot.PublicHTTP(), boot.GRPC(), boot.Database(migrations))
	url := "http://" + r.address(t, "http")
	answered := make(chan string, 1)
	go func() {
		answer, err := http.Get(url + "/short")
		if err != nil {
			answered <- err.Error()
			return
		}
		defer answer.Body.Close()
		body := make([]byte, 5)
		n, _ := answer.Body.Read(body)
		answered <- string(body[:n])
	}()
	<-arrived
	go func() { _, _ = http.Get(url + "/watch") }()
	<-arrived
	r.stop()
	close(release)
	require.Equal(t, "whole", <-answered)
	within(t, 30*time.Second, func() { require.Equal(t, 0, <-r.code) })
}

// Whoever keeps a connection is told to leave it while the process still answers: a request on its way into a connection
// that is closed meanwhile would be lost.
func TestAStoppingProcessEndsConnectionsWithAnAnswer(t *testing.T) {
	m := newMachine(t, "things")
	svc := &service{handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "whole") })}
	environ := m.environ("things", "HTTP_ADDR=127.0.0.1:0", "DRAIN_DELAY=2s")
	r := start(t, "things", environ, svc, boot.PublicHTTP(), boot.GRPC(), boot.Database(migrations))
	client := &http.Client{Transport: &http.Transport{}} // one connection of its own
	ask := func() (closes bool) {
		answer, err := client.Get("http://" + r.address(t, "http"))
		require.NoError(t, err)
		defer answer.Body.Close()
		_, err = io.Copy(io.Discard, answer.Body)
		require.NoError(t, err)
		return answer.Close
	}
	require.False(t, ask())
	r.stop()
	eventstest.Until(t, "it says that the connection ends", ask)
	require.Equal(t, 0, <-r.code)
}

func TestWrongSettingsEndWithOneLineEachAndCreateNothing(t *testing.T) {
	dir := t.TempDir()
	code, _, stderr := once([]string{
		"CONCORD_THINGS_NATS_REPLICAS=many", "CONCORD_THINGS_TRUST_FLIE=x", "CONCORD_THINGS_DATABASE_URL=sqlite:" + dir + "/things.db",
		"CONCORD_THINGS_LOG_LEVEL=loud", "CONCORD_THINSG_GRACE=1s", "CONCORD_AUTH_NO_SUCH=of another service", "CONCORD_PROVIDER_DATA=/data",
	}, builds, append(withDatabase, boot.Peers("auth")))
	require.Equal(t, 2, code)
	require.Equal(t, `concord-things: log_level (CONCORD_THINGS_LOG_LEVEL): must be one of debug, info, warn, error, not "loud"
concord-things: nats_url (CONCORD_THINGS_NATS_URL): is required
concord-things: nats_replicas (CONCORD_THINGS_NATS_REPLICAS): must be a whole number, not "many"
concord-things: identity_key_file (CONCORD_THINGS_IDENTITY_KEY_FILE): is required
concord-things: trust_file (CONCORD_THINGS_TRUST_FILE): is required
concord-things: CONCORD_THINGS_TRUST_FLIE: is not a setting
concord-things: peers (CONCORD_THINGS_PEERS): lacks auth=address
concord-things: CONCORD_THINSG_GRACE: is not a setting; there are those of things, auth, connector, documents, gateway, sync
`, stderr)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries)
}

// A settings file that can't be used is a mistake in what the program was told: one plain line, nothing else, and nothing
// created.
func TestASettingsFileThatCannotBeUsedIsNamed(t *testing.T) {
	m := newMachine(t, "things")
	write := func(name, text string) string {
		path := m.path(name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	missing, below := m.path("missing.yaml"), filepath.Join(write("file", ""), "below.yaml")
	broken := write("broken.yaml", "grace: 5s\n  health_addr: [\n")
	tabs := write("tabs.yaml", "\tgrace: 5s\n")
	for file, want := range map[string]string{
		missing:                             "concord-things: the configuration file " + missing + " does not exist\n",
		t.TempDir():                         "is a directory\n",
		below:                               "concord-things: the configuration file " + below + " does not exist\n",
		broken:                              "concord-things: configuration file " + broken + ": yaml: line 2: ",
		tabs:                                "concord-things: configuration file " + tabs + ": yaml: ",
		write("keys.yaml", "graec: 5s\n"):   "graec: is not a setting (line 1 of the file)\n",
		write("list.yaml", "- grace: 5s\n"): "line 1",
	} {
		for _, from := range []string{"flag", "environment"} {
			environ, args := m.environ("things"), []string{"--config", file}
			if from == "environment" {
				environ, args = append(environ, "CONCORD_THINGS_CONFIG_FILE="+file), nil
			}
			for _, words := range [][]string{nil, {"config", "check"}, {"migrate"}} {
				code, out, stderr := once(environ, builds, withDatabase, append(words, args...)...)
				require.Equal(t, 2, code, "%s %v: %s", file, words, stderr)
				require.Contains(t, stderr, want)
				require.Equal(t, 1, strings.Count(stderr, "\n"), stderr)
				require.Empty(t, out)
			}
		}
	}
	// Without anything else set, the file is still what is said: what it would have held is not missing.
	code, _, stderr := once(nil, builds, append(withDatabase, boot.Peers("auth")), "--config", missing)
	require.Equal(t, 2, code)
	require.Equal(t, "concord-things: the configuration file "+missing+" does not exist\n", stderr)
	require.False(t, exists(m.path("things.db")))
}

func TestRulesAcrossSettings(t *testing.T) {
	m := newMachine(t, "things")
	for name, c := range map[string]struct {
		more    []string
		options []boot.Option
		want    string
	}{
		"no peer":                   {nil, []boot.Option{boot.GRPC(), boot.Database(migrations), boot.Peers("auth"), boot.HTTPPeers("documents")}, "concord-things: peers (CONCORD_THINGS_PEERS): lacks auth=address\nconcord-things: peers (CONCORD_THINGS_PEERS): lacks documents-http=address\n"},
		"wrong peer":                {[]string{"PEERS=auth"}, withDatabase, `concord-things: peers: want name=address, each name once, not "auth"` + "\n"},
		"no TLS":                    {[]string{"INSECURE=false"}, withDatabase, "concord-things: tls: cert_file, key_file and ca_file are required (or insecure, on loopback addresses)\n"},
		"half of TLS":               {[]string{"TLS_CERT_FILE=/x"}, withDatabase, "concord-things: tls: cert_file, key_file and ca_file go together\n"},
		"an address without a port": {[]string{"GRPC_ADDR=localhost"}, withDatabase, `concord-things: grpc_addr: want host:port, such as 127.0.0.1:9090 or :9090, not "localhost"` + "\n"},
		"a port that is none":       {[]string{"HEALTH_ADDR=:70000"}, withDatabase, `concord-things: health_addr: want host:port, such as 127.0.0.1:9090 or :9090, not ":70000"` + "\n"},
		"HTTP at no address":        {[]string{"HTTP_ADDR=web"}, append(withDatabase, boot.InternalHTTP()), `concord-things: http_addr: want host:port, such as 127.0.0.1:9090 or :9090, not "web"` + "\n"},
		"a bus of another kind":     {[]string{"NATS_URL=nats://a:4222,amqp://user:secret@b"}, withDatabase, "concord-things: nats_url: want nats://host:port or tls://host:port, several separated by commas\n"},
		"a bus without a host":      {[]string{"NATS_URL=nats://"}, withDatabase, "concord-things: nats_url: want nats://host:port or tls://host:port, several separated by commas\n"},
		"too few connections":       {[]string{"DATABASE_URL=postgres://h/d", "DATABASE_MAX_CONNS=5"}, withDatabase, "concord-things: database_max_conns: want 6 or more on PostgreSQL, or 0\n"},
		"unknown database":          {[]string{"DATABASE_URL=mysql://h"}, withDatabase, "concord-things: database_url: must begin with sqlite: or postgres://\n"},
	} {
		code, _, stderr := once(m.environ("things", c.more...), builds, c.options)
		require.Equal(t, 2, code, name)
		require.Equal(t, c.want, stderr, name)
	}
	require.False(t, exists(m.path("things.db")))
}

func TestTheCollectorMayComeFromOpenTelemetrysOwnVariable(t *testing.T) {
	m := newMachine(t, "things")
	for endpoint, want := range map[string]string{
		"http://127.0.0.1:4317": "otlp_endpoint: http://127.0.0.1:4317\n",
		"":                      "otlp_endpoint: \"\"\n",
	} {
		code, out, stderr := once(append(m.environ("things"), "OTEL_EXPORTER_OTLP_ENDPOINT="+endpoint), builds, withDatabase, "config", "print")
		require.Equal(t, 0, code, stderr)
		require.Contains(t, out, want)
	}
	code, _, stderr := once(append(m.environ("things"), "OTEL_EXPORTER_OTLP_ENDPOINT=collector"), builds, withDatabase)
	require.Equal(t, 2, code)
	require.Equal(t, "concord-things: OTEL_EXPORTER_OTLP_ENDPOINT: must be an http or https URL\n", stderr)
}

func TestATakenAddressIsSaidPlainlyBeforeAnythingIsTouched(t *testing.T) {
	m := newMachine(t, "things")
	taken := takenAddress(t)
	code, _, stderr := once(m.environ("things", "GRPC_ADDR="+taken), builds, withDatabase)
	require.Equal(t, 1, code)
	require.Equal(t, "concord-things: the address "+taken+" is taken by another program\n", stderr)
	require.False(t, exists(m.path("things.db")))
}

func TestPlainTextIsRefusedWhereOthersCouldListenIn(t *testing.T) {
	m := newMachine(t, "things")
	code, _, stderr := once(m.environ("things", "HTTP_ADDR=0.0.0.0:0"), builds, append(withDatabase, boot.InternalHTTP()))
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "plain text is for loopback addresses only")
}

func TestFilesThatAreMissingAreNamed(t *testing.T) {
	m := newMachine(t, "things")
	for name, more := range map[string]string{
		"identity_key_file": "IDENTITY_KEY_FILE=/does/not/exist.pem",
		"trust_file":        "TRUST_FILE=/does/not/exist.json",
		"not exist":         "DATABASE_URL=sqlite:/does/not/exist/things.db",
	} {
		code, _, stderr := once(m.environ("things", more), builds, withDatabase)
		require.Equal(t, 1, code, name)
		require.Contains(t, stderr, name)
		require.Contains(t, stderr, "/does/not/exist", name)
	}
}

func TestTheBusMayBeDownAtTheStart(t *testing.T) {
	m := newMachine(t, "things")
	environ := m.environ("things")
	m.bus.Stop(t)
	r := start(t, "things", environ, &service{}, withDatabase...)
	conn, err := dial.New(r.address(t, "grpc"), dial.Options{Audience: "things", Insecure: true})
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, ping(t.Context(), conn))
	require.Equal(t, 0, r.end())
	m.bus.Start(t)
}
