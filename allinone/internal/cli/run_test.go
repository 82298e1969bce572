package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// practiceFile is a CSV of so many clients, each with a contact of its own.
func practiceFile(t *testing.T, clients int) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("name,code,contacts\n")
	for n := range clients {
		fmt.Fprintf(&b, "Client %d Pty Ltd,C%d,Person %d <p%d@client.example>\n", n, n, n, n)
	}
	path := filepath.Join(t.TempDir(), "clients.csv")
	require.NoError(t, os.WriteFile(path, []byte(b.String()), 0o600))
	return path
}

// The job is done in a practice of any size; what a tiny one has nobody for is left out, with the reason.
func TestRunWithSmallPractices(t *testing.T) {
	for size, want := range map[int][]string{
		1: {"its only client can't leave", "1 document for signature", "1 unchanged, 0 created"},
		2: {"2 clients must leave, and 1 can", "1 removal, 0 of them blocked", "came back, same id", "2 unchanged, 0 created"},
		3: {"Person 1 is invited, and has not accepted", "2 removals, 0 of them blocked", "will be archived and the folder deleted", "came back, same id"},
		5: {"3 removals, 1 of them blocked", "will be archived and the folder deleted", "came back, same id"},
		8: {"3 removals, 1 of them blocked", "will be archived and the folder deleted", "came back, same id"},
	} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			code, out, errs := command(t, "run", "--exit", "--practice", practiceFile(t, size),
				"--data-dir", filepath.Join(t.TempDir(), "run"), "--http-addr", "127.0.0.1:0")
			require.Equal(t, exitOK, code, "%s\n%s", out, errs)
			for _, line := range want {
				require.Contains(t, out, line)
			}
			require.NotRegexp(t, ` -\d|of 0 |\b1 (documents|clients|calls|removals)\b`, out)
		})
	}
}

// A directory goes on with its practice, named again or not, and refuses another.
func TestRunAgain(t *testing.T) {
	dir, path := filepath.Join(t.TempDir(), "run"), practiceFile(t, 2)
	args := func(more ...string) []string {
		return append([]string{"run", "--exit", "--data-dir", dir, "--http-addr", "127.0.0.1:0"}, more...)
	}
	code, out, errs := command(t, args("--practice", path)...)
	require.Equal(t, exitOK, code, "%s\n%s", out, errs)
	for _, more := range [][]string{nil, {"--practice", path}} {
		code, out, errs = command(t, args(more...)...)
		require.Equal(t, exitOK, code, "%s\n%s", out, errs)
		require.Equal(t, 10, strings.Count(out, "done before"), "each step is done once, the left out ones too")
	}
	for flag, value := range map[string]string{"--practice": practiceFile(t, 3), "--clients": "77"} {
		code, out, errs := command(t, args(flag, value)...)
		require.Equal(t, exitSettings, code, out)
		require.Equal(t, "concord: "+flag+": the data directory "+dir+" belongs to another practice, the practice of "+path+
			" as it was then; choose another by --data-dir, or delete it to begin anew\n", errs)
	}
}

// Clients without a contact, and two that nobody can tell apart, stop nothing.
func TestRunWithPoorPractices(t *testing.T) {
	for want, text := range map[string]string{
		"no client of the practice has a contact who could sign": "name\nOne\nTwo\nThree\nFour\n",
		"no client of this practice can be told from the others": "name\nTwin\nTwin\n",
	} {
		path := filepath.Join(t.TempDir(), "clients.csv")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		code, out, errs := command(t, "run", "--exit", "--practice", path, "--data-dir", filepath.Join(t.TempDir(), "run"), "--http-addr", "127.0.0.1:0")
		require.Equal(t, exitOK, code, "%s\n%s", out, errs)
		require.Contains(t, out, want)
	}
}
