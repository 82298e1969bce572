package boot_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/boot"
	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/mtls/mtlstest"
)

func TestMain(m *testing.M) {
	if eventstest.ServeIfAsked() {
		return
	}
	os.Exit(m.Run())
}

// The users of the servers are printed without any settings, for the trust domain that is asked for.
func TestBusPermissionsArePrinted(t *testing.T) {
	code, out, _ := once(nil, builds, withDatabase, "bus", "permissions")
	require.Equal(t, 0, code)
	require.Contains(t, out, `user: "spiffe://concord/sync"`)
	code, out, _ = once(nil, builds, withDatabase, "bus", "permissions", "--trust-domain", "example.org")
	require.Equal(t, 0, code)
	require.Contains(t, out, `user: "spiffe://example.org/sync"`)
}

// A part prepares the bus as itself, by its own certificate: its streams and no other's. What keeps it from doing so is said.
func TestAPartPreparesItsOwnStreams(t *testing.T) {
	c := eventstest.NewCluster(t, 1)
	m := newMachine(t, "sync")
	f := c.Certificates["sync"].Files()
	environ := m.environ("sync", "NATS_URL="+c.URL(), "NATS_OWN_CERTIFICATE=true",
		"TLS_CERT_FILE="+f.Cert, "TLS_KEY_FILE="+f.Key, "TLS_CA_FILE="+f.CA)
	c.Launch(t)
	migrate := func(environ []string) (code int, out, stderr string) {
		var told, failed safeBuffer
		code = boot.Run(t.Context(), boot.Process{Args: []string{"migrate"}, Environ: environ, Stdout: &told, Stderr: &failed}, "sync",
			func(_ context.Context, rt *boot.Runtime, _ struct{}) (boot.Service, error) { return nil, builds(rt) }, boot.GRPC(), boot.Database(migrations))
		return code, told.String(), failed.String()
	}
	for _, want := range []string{"made, each event on 1 of the servers", "unchanged"} {
		code, out, stderr := migrate(environ)
		require.Equal(t, 0, code, stderr)
		require.Equal(t, "the database is up to date\nthe streams of the bus are up to date\nstream SYNC: "+want+"\n", out)
	}
	three := append(environ, "CONCORD_SYNC_NATS_REPLICAS=3")
	code, _, stderr := migrate(three)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "change stream SYNC (each event on 3 of the servers instead of 1)")
	require.Equal(t, 1, strings.Count(stderr, "\n"), stderr)

	// Files that cannot be read are not waited for, as serve does not.
	for setting, want := range map[string]string{
		"NATS_CA_FILE=/nowhere":          "concord-sync: nats_ca_file: mtls: authorities: open /nowhere: no such file or directory\n",
		"NATS_CREDENTIALS_FILE=/nowhere": "concord-sync: events: connect to the bus: nats: open /nowhere: no such file or directory\n",
	} {
		code, out, stderr := migrate(append(environ, "CONCORD_SYNC_"+setting))
		require.Equal(t, 1, code)
		require.Equal(t, want, stderr)
		require.NotContains(t, out, "waiting")
	}

	code, _, stderr = migrate(m.environ("sync", "NATS_OWN_CERTIFICATE=true"))
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "nats_own_certificate: needs tls.cert_file, key_file and ca_file\n")
}

// TestAPartWaitsForTheCertificateByWhichTheBusKnowsIt: with one that has expired it runs and is not ready, and says so once
// for itself and once for the bus; the renewed one is used without a restart, by both.
func TestAPartWaitsForTheCertificateByWhichTheBusKnowsIt(t *testing.T) {
	c := eventstest.NewCluster(t, 1)
	c.Launch(t)
	c.Prepare(t, 1)
	m, v := newMachine(t, "sync"), c.Certificates["sync"]
	v.Swap(c.Authority.Issue("sync", mtlstest.Valid(-2*time.Hour, -time.Hour)), c.Authority)
	f := v.Files()
	own := []string{"NATS_URL=" + c.URL(), "NATS_OWN_CERTIFICATE=true", "TLS_CERT_FILE=" + f.Cert, "TLS_KEY_FILE=" + f.Key, "TLS_CA_FILE=" + f.CA}
	r := start(t, "sync", m.environ("sync", own...), &service{}, withDatabase...)
	health := r.address(t, "health")
	eventstest.Until(t, "it says what is wrong and what to do", func() bool {
		status, body := get(t, "http://"+health+"/readyz")
		return status == 503 && strings.Contains(body, "certificate: the own certificate expired at ") && strings.Contains(body, "; renew it where it lies") &&
			strings.Contains(body, "bus: never reached since the start: the own certificate expired at ")
	})
	v.Swap(c.Authority.Issue("sync"), c.Authority)
	eventstest.Until(t, "it is ready", func() bool {
		status, _ := get(t, "http://"+health+"/readyz")
		return status == 200
	})
	require.Equal(t, 0, r.end())
	require.Contains(t, r.stderr.String(), "the certificate and its key were renewed")

	r = launch("sync", m.environ("sync", append(own, "NATS_CA_FILE="+f.CA+".old")...), &service{}, withDatabase...)
	require.Equal(t, 1, <-r.code)
	require.Equal(t, "concord-sync: nats_ca_file: mtls: authorities: open "+f.CA+".old: no such file or directory\n", r.stderr.String())
}
