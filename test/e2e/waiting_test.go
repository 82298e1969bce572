package e2e

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	"github.com/concord-suite/concord/test/topology"
)

// freePort returns an address on loopback on which nobody listens.
func freePort(t *testing.T) string {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer lis.Close()
	return lis.Addr().String()
}

// syncAlone are the settings of one program, on a database and a bus that need not be there.
func syncAlone(t *testing.T, health string) map[string]string {
	t.Helper()
	dir, program := t.TempDir(), topology.Binary(t, "concord-sync")
	_, err := output(t, program, "identity", "create", filepath.Join(dir, "identity.key"))
	require.NoError(t, err)
	trust, err := output(t, program, "identity", "trust", "sync="+filepath.Join(dir, "identity.key"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "trust.json"), []byte(trust), 0o644))
	return map[string]string{
		"NATS_URL": "nats://" + freePort(t), "IDENTITY_KEY_FILE": filepath.Join(dir, "identity.key"), "TRUST_FILE": filepath.Join(dir, "trust.json"),
		"INSECURE": "true", "PEERS": "auth=127.0.0.1:1,connector=127.0.0.1:1,documents=127.0.0.1:1", "GRPC_ADDR": "127.0.0.1:0",
		"HEALTH_ADDR": health, "DATABASE_URL": "sqlite:" + filepath.Join(dir, "sync.db"), "GRACE": "1s",
	}
}

func environOf(settings map[string]string) (environ []string) {
	for name, value := range settings {
		environ = append(environ, "CONCORD_SYNC_"+name+"="+value)
	}
	return environ
}

// TestMistakesEndAProgramWithALine: what does not heal by itself ends the program, with a line that says what to change.
func TestMistakesEndAProgramWithALine(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	for name, c := range map[string]struct {
		change map[string]string
		code   int
		line   string
	}{
		"a secret file that is missing": {map[string]string{"DATABASE_URL": "", "DATABASE_URL_FILE": "/does/not/exist"}, 2, "database_url (CONCORD_SYNC_DATABASE_URL): cannot be read: open /does/not/exist"},
		"a secret that is empty":        {map[string]string{"DATABASE_URL": "", "DATABASE_URL_FILE": empty}, 2, "database_url (CONCORD_SYNC_DATABASE_URL): is empty in the file " + empty},
		"an unknown key":                {map[string]string{"DATABSE_URL": "x"}, 2, "CONCORD_SYNC_DATABSE_URL: is not a setting"},
		"a key that is missing":         {map[string]string{"IDENTITY_KEY_FILE": "/does/not/exist"}, 1, "identity_key_file: stat /does/not/exist: no such file or directory"},
		"an empty key":                  {map[string]string{"IDENTITY_KEY_FILE": empty}, 1, "identity_key_file: " + empty + ": access: identity key: not a PEM file"},
		"no trust":                      {map[string]string{"TRUST_FILE": empty}, 1, "trust_file " + empty + ": access: trust file: unexpected end of JSON input"},
		"no certificate":                {map[string]string{"INSECURE": "false"}, 2, "tls: cert_file, key_file and ca_file are required"},
		"a database nobody knows":       {map[string]string{"DATABASE_URL": "mysql://h/d"}, 2, "database_url: must begin with sqlite: or postgres://"},
	} {
		settings := syncAlone(t, "127.0.0.1:0")
		for key, value := range c.change {
			settings[key] = value
		}
		out, err := outputWith(t, environOf(settings), topology.Binary(t, "concord-sync"))
		require.Equal(t, c.code, exit(err), "%s: %s", name, out)
		require.Contains(t, out, "concord-sync: "+c.line, name)
		require.Equal(t, 1, strings.Count(out, "\n"), "%s: %s", name, out)
	}
}

// TestWhatHealsIsWaitedFor: the program lives, is not ready, says in a line what it waits for, and can be stopped.
func TestWhatHealsIsWaitedFor(t *testing.T) {
	server := sqldbtest.Postgres(t)
	fresh, away := server.URL(t), "postgres://concord@"+freePort(t)+"/concord?sslmode=disable"
	for name, c := range map[string]struct {
		change map[string]string
		line   string
	}{
		"a database that is away":   {map[string]string{"DATABASE_URL": away}, "database: no connection to the database"},
		"a schema that is behind":   {map[string]string{"DATABASE_URL": fresh, "DATABASE_MIGRATE": "false"}, ": run `concord-sync migrate`"},
		"a bus that nobody reaches": {map[string]string{}, "bus: never reached since the start: check nats_url, and that the servers run"},
	} {
		health := freePort(t)
		settings := syncAlone(t, health)
		for key, value := range c.change {
			settings[key] = value
		}
		cmd := exec.CommandContext(t.Context(), topology.Binary(t, "concord-sync"))
		cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, environOf(settings)...)
		var log strings.Builder
		cmd.Stdout, cmd.Stderr = &log, &log
		require.NoError(t, cmd.Start())
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		require.Eventually(t, func() bool {
			status, body := readiness(t.Context(), health)
			return status == http.StatusServiceUnavailable && strings.Contains(body, c.line+"\n")
		}, programWait, 50*time.Millisecond, name)
		answer, err := http.Get("http://" + health + "/livez")
		require.NoError(t, err)
		answer.Body.Close()
		require.Equal(t, http.StatusOK, answer.StatusCode)
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		require.NoError(t, <-ended, name)
		require.Equal(t, 1, strings.Count(log.String(), c.line), "%s: %s", name, log.String())
	}
}

// readiness asks for readiness; status is 0 when nobody answers.
func readiness(ctx context.Context, address string) (status int, body string) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", nil)
	if err != nil {
		return 0, ""
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, ""
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	return answer.StatusCode, string(text)
}
