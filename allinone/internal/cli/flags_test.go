package cli

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// refused runs a command that must end with 2, one line for each mistake, nothing said besides and nothing made.
func refused(t *testing.T, environ []string, want string, args ...string) {
	t.Helper()
	t.Chdir(t.TempDir())
	code, out, errs := commandWith(t, environ, args...)
	require.Equal(t, want, errs, "%v", args)
	require.Equal(t, exitSettings, code, "%v", args)
	require.Empty(t, out, "%v", args)
	left, err := os.ReadDir(".")
	require.NoError(t, err)
	require.Empty(t, left, "%v", args)
}

// deliver is what serve asks for at least: a way to send PINs.
var deliver = []string{"CONCORD_AUTH_MAIL_HOST=127.0.0.1"}

func TestAllMistakesAtOnce(t *testing.T) {
	refused(t, []string{"CONCORD_FOO_BAR=1", "CONCORD_SYNC_RUNS=0", "CONCORD_PROVIDER_DATA=/known"},
		`concord: --colour: is not a flag; -h lists them
concord: serve takes no argument "now"
concord: --data-dir: needs a value
concord: --http-addr: must be host:port, not "nope"
concord: --grpc-addr: 0.0.0.0:9090 would be plain text to the network; choose a loopback address and put a TLS proxy in front
concord: --log-level: must be one of debug, info, warn, error, not "loud"
concord: CONCORD_FOO_BAR: is not a setting; there are those of auth, connector, sync, documents, gateway
concord: runs (CONCORD_SYNC_RUNS): must be at least 1, not "0"
`, "serve", "--colour", "red", "--http-addr", "nope", "--grpc-addr", "0.0.0.0:9090", "--log-level", "loud", "now", "--data-dir")
	refused(t, nil,
		`concord: --http-addr: must have a port from 0 to 65535, not "127.0.0.1:99999"
concord: --log-level: must be one of debug, info, warn, error, not "loud"
concord: --clients: must be 1 to 200000
`, "run", "--data-dir", "d", "--http-addr", "127.0.0.1:99999", "--log-level", "loud", "--clients", "-5")
	refused(t, nil, "concord: --clients: is the size of a generated practice, and --practice names another one; give one of them\n",
		"run", "--data-dir", "d", "--clients", "9", "--practice", practiceFile(t, 1))
}

func TestEachMistake(t *testing.T) {
	for want, args := range map[string][]string{
		"--data-dir: is required, the directory that keeps everything":                                                      {"serve"},
		"--clients: must be 1 to 200000":                                                                                    {"run", "--clients", "0"},
		`--clients: must be a whole number, not "many"`:                                                                     {"run", "--clients", "many"},
		"--practice: stat none.csv: no such file or directory":                                                              {"run", "--practice", "none.csv"},
		"--grpc-addr: must be host:port, not \"9090\"":                                                                      {"run", "--grpc-addr", "9090"},
		"--config: configuration file: open none.yaml: no such file or directory":                                           {"run", "--config", "none.yaml"},
		"no command \"fly\"; concord help lists them":                                                                       {"fly"},
		"config has no \"fly\"; it has check, print and doc":                                                                {"config", "fly"},
		"--no-such: is not a flag; -h lists them":                                                                           {"config", "check", "--no-such"},
		"events: needs list, retry ID or discard ID\nconcord: --data-dir: is required, the directory that keeps everything": {"events"},
	} {
		refused(t, deliver, "concord: "+want+"\n", args...)
	}
}

// A file without clients or with a mistake in it is named with the reason, before anything is made.
func TestPracticeFilesThatCannotBeUsed(t *testing.T) {
	for text, want := range map[string]string{
		"name,code\n":            "there is no client below the header",
		"name,colour\nOne,red\n": `unknown column "colour"; known are `,
		"":                       "the header cannot be read: EOF",
	} {
		path := filepath.Join(t.TempDir(), "clients.csv")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		dir := filepath.Join(t.TempDir(), "data")
		code, out, errs := command(t, "run", "--exit", "--practice", path, "--data-dir", dir, "--http-addr", "127.0.0.1:0")
		require.Equal(t, exitSettings, code)
		require.Empty(t, out)
		require.Contains(t, errs, "concord: --practice: "+path+": "+want)
		require.NoDirExists(t, dir)
	}
}

// Without mail and SMS nobody could sign in after claiming the installation: serve does not begin, and config check warns.
func TestServeNeedsAWayToDeliverPINs(t *testing.T) {
	missing := "sms.account_sid (CONCORD_AUTH_SMS_ACCOUNT_SID) or mail.host (CONCORD_AUTH_MAIL_HOST) is required, both are unset: " +
		"nobody could receive a PIN, and so nobody could sign in"
	refused(t, nil, "concord: "+missing+"\n", "serve", "--data-dir", "d")
	code, out, errs := command(t, "config", "check")
	require.Equal(t, exitOK, code, errs)
	require.Equal(t, "the settings are right\nwarning: serve will not start: "+missing+"\n", out)
	code, out, errs = commandWith(t, deliver, "config", "check")
	require.Equal(t, exitOK, code, errs)
	require.Equal(t, "the settings are right\n", out)
}

func TestHelpOfACommand(t *testing.T) {
	code, out, errs := command(t, "run", "--nonsense", "-h")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "usage: concord run [FLAGS]\n")
	require.Contains(t, out, "debug, info, warn, error")
	require.Empty(t, errs)
}

// A directory that others may write is refused before anything is put into it.
func TestRunLeavesAnOpenDirectoryAlone(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o777))
	code, _, errs := command(t, "run", "--exit", "--data-dir", dir, "--http-addr", "127.0.0.1:0")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "chmod 700")
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}
