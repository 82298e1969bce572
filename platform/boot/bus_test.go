package boot_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/boot"
	"github.com/concord-suite/concord/platform/events/eventstest"
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

	code, _, stderr = migrate(m.environ("sync", "NATS_OWN_CERTIFICATE=true"))
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "nats_own_certificate: needs tls.cert_file, key_file and ca_file\n")
}
