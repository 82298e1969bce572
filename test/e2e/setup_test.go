package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/test/story"
	"github.com/concord-suite/concord/test/topology"
)

// replica is a process of auth.
type replica struct {
	cmd  *exec.Cmd
	grpc string
	log  *lines
	gone chan struct{}
}

// replicas returns how to start one more process of auth on the same database, with the same keys.
func replicas(t *testing.T) (begin func() *replica) {
	t.Helper()
	dir, program := t.TempDir(), topology.Binary(t, "concord-auth")
	key, trust := filepath.Join(dir, "identity.key"), filepath.Join(dir, "trust.json")
	_, err := output(t, program, "identity", "create", key)
	require.NoError(t, err)
	keys, err := output(t, program, "identity", "trust", "auth="+key)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(trust, []byte(keys), 0o644))
	environ := []string{
		"CONCORD_AUTH_NATS_URL=nats://" + freePort(t), "CONCORD_AUTH_IDENTITY_KEY_FILE=" + key, "CONCORD_AUTH_TRUST_FILE=" + trust,
		"CONCORD_AUTH_INSECURE=true", "CONCORD_AUTH_PEERS=sync=127.0.0.1:1", "CONCORD_AUTH_DATABASE_URL=" + sqldbtest.Postgres(t).URL(t),
		"CONCORD_AUTH_KEYRING_FILE=" + filepath.Join(dir, "keyring"), "CONCORD_AUTH_MAIL_HOST=127.0.0.1",
	}
	out, err := outputWith(t, environ, program, "keys", "create")
	require.NoError(t, err, out)
	return func() *replica {
		r := &replica{cmd: exec.CommandContext(t.Context(), program), grpc: freePort(t), log: &lines{}, gone: make(chan struct{})}
		r.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "CONCORD_AUTH_GRPC_ADDR=" + r.grpc}, environ...)
		r.cmd.Stdout, r.cmd.Stderr = r.log, r.log
		r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		require.NoError(t, r.cmd.Start())
		go func() {
			_ = r.cmd.Wait() // it is killed
			close(r.gone)
		}()
		return r
	}
}

func (r *replica) kill(t *testing.T) {
	t.Helper()
	require.NoError(t, r.cmd.Process.Kill())
	<-r.gone
}

var printed = regexp.MustCompile(`setup code +(\S+)`)

// code is what the process has printed for whoever stands at its console.
func (r *replica) code(t *testing.T) (code string) {
	t.Helper()
	story.Eventually(t, "a setup code is printed", func() bool {
		for _, line := range r.log.with("setup code") {
			code = printed.FindStringSubmatch(line)[1]
		}
		return code != ""
	})
	return code
}

// claims uses a setup code.
func (r *replica) claims(t *testing.T, code string) codes.Code {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := authv1.NewSignInServiceClient(dial(t, r.grpc)).ClaimInstallation(ctx, &authv1.ClaimInstallationRequest{
		SetupCode: code, Email: "operator@concord.example", Password: story.Password, DisplayName: "Operator",
	}, grpc.WaitForReady(true))
	return status.Code(err)
}

// TestWhicheverReplicaSomebodyLooksAt: replicas that start at the same time each print a code. Any of them is right, also when
// the process that printed it is gone; once one was used none is, until a start prints another for want of an operator.
func TestWhicheverReplicaSomebodyLooksAt(t *testing.T) {
	begin := replicas(t)
	first, second := begin(), begin()
	ours, theirs := first.code(t), second.code(t)
	require.NotEqual(t, ours, theirs)
	first.kill(t)
	second.kill(t)

	third := begin()
	another := third.code(t)
	require.Equal(t, codes.OK, third.claims(t, ours))
	for _, code := range []string{ours, theirs, another} {
		require.Equal(t, codes.FailedPrecondition, third.claims(t, code))
	}
	third.kill(t)

	fourth := begin()
	again := fourth.code(t)
	for _, code := range []string{ours, theirs, another} {
		require.Equal(t, codes.FailedPrecondition, fourth.claims(t, code))
	}
	require.Equal(t, codes.OK, fourth.claims(t, again), "nobody has signed in with the first claim")
}
