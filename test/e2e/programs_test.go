package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/test/story"
	"github.com/concord-suite/concord/test/topology"
)

// programWait bounds a program that is to end by itself.
const programWait = 2 * time.Minute

// output runs a program to its end and answers all it wrote; the error says how it ended.
func output(t *testing.T, path string, args ...string) (string, error) {
	t.Helper()
	return outputWith(t, nil, path, args...)
}

func outputWith(t *testing.T, env []string, path string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), programWait)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}, env...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, ctx.Err(), "%s %v does not end:\n%s", filepath.Base(path), args, out)
	return string(out), err
}

// exit is the exit code behind the error of a program.
func exit(err error) int {
	var e *exec.ExitError
	if errors.As(err, &e) {
		return e.ExitCode()
	}
	return 0
}

// TestWrongSettings: one line per mistake that names the key, exit 2, and nothing on the disk.
func TestWrongSettings(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	wrong := []string{
		"CONCORD_AUTH_MAIL_PORT=none", "CONCORD_SYNC_RUNS=0", "CONCORD_GATEWAY_NO_SUCH_KEY=1", "CONCORD_DOCUMENTS_SCOPE_LAG=1ms",
		"CONCORD_CONNECTOR_XERO_API_URL=:nonsense",
	}
	keys := []string{"mail.port", "runs", "CONCORD_GATEWAY_NO_SUCH_KEY", "scope_lag", "xero.api_url"}
	for _, command := range [][]string{{"serve", "--data-dir", dir}, {"run", "--exit", "--data-dir", dir}, {"config", "check"}, {"config", "print"}} {
		if len(command) > 2 {
			command = append(command, "--http-addr", "127.0.0.1:0")
		}
		out, err := outputWith(t, wrong, topology.Binary(t, "concord"), command...)
		lines := strings.Split(strings.TrimSpace(out), "\n")
		require.Len(t, lines, len(wrong), "concord %v: %s", command, out)
		require.Equal(t, 2, exit(err), "concord %v: %s", command, out)
		for _, key := range keys {
			require.Contains(t, out, key, "concord %v", command)
		}
		require.NoDirExists(t, dir, "concord %v", command)
	}
	for name, args := range map[string][]string{
		"unknown flag": {"serve", "--data-dir", dir, "--no-such-flag"}, "no data directory": {"serve"}, "unknown command": {"fly"},
		"an argument": {"run", "now"}, "no practice": {"run", "--practice", dir, "--data-dir", dir},
		"no settings file": {"config", "check", "--config", dir + ".yaml"},
	} {
		out, err := output(t, topology.Binary(t, "concord"), args...)
		require.Equal(t, 2, exit(err), "%s: %s", name, out)
		require.NotContains(t, out, "goroutine")
		require.NoDirExists(t, dir, name)
	}
}

// TestWrongSettingsOfEachProgram: the same for a process per service.
func TestWrongSettingsOfEachProgram(t *testing.T) {
	for _, name := range []string{"auth", "connector", "documents", "sync", "gateway"} {
		prefix := "CONCORD_" + strings.ToUpper(name) + "_"
		program := topology.Binary(t, "concord-"+name)
		out, err := output(t, program)
		require.Equal(t, 2, exit(err), out)
		for _, key := range []string{"nats_url", "identity_key_file", "trust_file"} {
			require.Contains(t, out, key, name)
		}
		if name != "gateway" {
			require.Contains(t, out, "database_url")
		}
		require.Contains(t, out, prefix, "the variable is named too")
		missing := len(strings.Split(strings.TrimSpace(out), "\n"))

		out, err = outputWith(t, []string{prefix + "NO_SUCH_KEY=1", prefix + "GRACE=never"}, program)
		require.Equal(t, 2, exit(err), out)
		require.Contains(t, out, prefix+"NO_SUCH_KEY")
		require.Contains(t, out, "grace")
		require.Len(t, strings.Split(strings.TrimSpace(out), "\n"), missing+2, out)

		out, err = output(t, program, "fly")
		require.Equal(t, 2, exit(err), out)
		out, err = output(t, program, "--no-such-flag")
		require.Equal(t, 2, exit(err), out)
	}
	out, err := output(t, topology.Binary(t, "concord-sim"), "-clients", "-1", "-no-such-flag")
	require.Equal(t, 2, exit(err), out)
}

// deliver is what serve asks for at least: a way to send PINs.
var deliver = []string{"CONCORD_AUTH_MAIL_HOST=127.0.0.1"}

// TestUnusablePlaces: what is wrong with an address or a directory is said plainly.
func TestUnusablePlaces(t *testing.T) {
	concord := topology.Binary(t, "concord")
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer lis.Close()
	serve := func(dir string, more ...string) []string {
		return append([]string{"serve", "--data-dir", dir, "--http-addr", "127.0.0.1:0", "--grpc-addr", ""}, more...)
	}
	dir := filepath.Join(t.TempDir(), "data")
	for _, flag := range []string{"--http-addr", "--grpc-addr"} {
		out, err := outputWith(t, deliver, concord, serve(dir, flag, lis.Addr().String())...)
		require.Equal(t, 1, exit(err), out)
		require.Contains(t, out, "another program listens there")
		require.Contains(t, out, flag)
		require.NoDirExists(t, dir)
	}
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for _, at := range []string{file, filepath.Join(file, "below"), "/proc/concord"} {
		out, err := outputWith(t, deliver, concord, serve(at)...)
		require.Equal(t, 1, exit(err), "%s: %s", at, out)
		require.Contains(t, out, "data directory "+at)
		require.Len(t, strings.Split(strings.TrimSpace(out), "\n"), 1, out)
	}
	full(t, concord, serve(filepath.Join(t.TempDir(), "full")))
	used(t, concord, serve)
}

// full: a limit on the size of files stands for a disk on which nothing more fits; the kernel refuses the write the same.
func full(t *testing.T, concord string, args []string) {
	out, err := outputWith(t, deliver, "/bin/sh", append([]string{"-c", `trap '' XFSZ; ulimit -f 1; exec "$0" "$@"`, concord}, args...)...)
	require.Equal(t, 1, exit(err), out)
	require.Contains(t, out, "data directory")
	require.NotContains(t, out, "goroutine")
}

// used: a second process on the same directory is refused, and the first one goes on.
func used(t *testing.T, concord string, serve func(string, ...string) []string) {
	dir := filepath.Join(t.TempDir(), "used")
	first := exec.CommandContext(t.Context(), concord, serve(dir)...)
	first.Env = append(os.Environ(), deliver...)
	first.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, first.Start())
	story.Eventually(t, "the first has the directory", func() bool {
		_, err := os.Stat(filepath.Join(dir, "sync.db"))
		return err == nil
	})
	out, err := outputWith(t, deliver, concord, serve(dir)...)
	require.Equal(t, 1, exit(err), out)
	require.Contains(t, out, "in use by another process")
	require.NoError(t, first.Process.Signal(syscall.SIGTERM))
	require.NoError(t, first.Wait(), "told to stop, it ends with 0")
}

// TestCommandLine: `concord run` does the main job, ends with 0, shows the same again, and goes on after SIGKILL.
func TestCommandLine(t *testing.T) {
	concord := topology.Binary(t, "concord")
	dir := filepath.Join(t.TempDir(), "run")
	args := []string{"run", "--exit", "--clients", "80", "--data-dir", dir, "--http-addr", "127.0.0.1:0"}
	killed := exec.CommandContext(t.Context(), concord, args...)
	seen := new(strings.Builder)
	killed.Stdout = seen
	killed.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, killed.Start())
	state := filepath.Join(dir, "demo.json")
	story.Eventually(t, "the job is half done", func() bool {
		b, err := os.ReadFile(state)
		return err == nil && strings.Contains(string(b), `"documents"`)
	})
	require.NoError(t, killed.Process.Kill())
	_ = killed.Wait()

	out, err := output(t, concord, args...)
	require.NoError(t, err, out)
	require.Contains(t, out, "done before")
	require.Contains(t, out, "came back, same id")
	again, err := output(t, concord, args...)
	require.NoError(t, err, again)
	require.Equal(t, 10, strings.Count(again, "done before"), again)
	require.Equal(t, summary(out), summary(again), "the same summary")
	fmt.Println("concord run: killed with SIGKILL, went on, shown again")
}

// summary is what stands after the last step.
func summary(out string) string {
	at := strings.LastIndex(out, "nothing changed")
	return out[at:]
}

// TestPracticeFromFile: the main job on a practice that somebody wrote down.
func TestPracticeFromFile(t *testing.T) {
	var b strings.Builder
	b.WriteString("name,code,structure,email,contacts\n")
	for n := range 30 {
		fmt.Fprintf(&b, "Client %02d Pty Ltd,C%02d,Company,c%02d@client.example,Person %02d <p%02d@client.example>; Partner <partner@client.example>\n", n, n, n, n, n)
	}
	path := filepath.Join(t.TempDir(), "practice.csv")
	require.NoError(t, os.WriteFile(path, []byte(b.String()), 0o600))
	args := []string{"run", "--exit", "--http-addr", "127.0.0.1:0", "--data-dir", filepath.Join(t.TempDir(), "run"), "--practice", path}
	out, err := output(t, topology.Binary(t, "concord"), args...)
	require.NoError(t, err, out)
	require.Contains(t, out, "30 created")

	require.NoError(t, os.WriteFile(path, []byte("name,colour\nX,red\n"), 0o600))
	args[len(args)-3] = filepath.Join(t.TempDir(), "other")
	out, err = output(t, topology.Binary(t, "concord"), args...)
	require.NotZero(t, exit(err), out)
	require.Contains(t, out, "colour")
}
