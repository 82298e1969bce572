package boot_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/boot"
	"github.com/concord-suite/concord/platform/kms"
	"github.com/concord-suite/concord/platform/rotation"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	"github.com/concord-suite/concord/platform/vault"
)

func TestCommands(t *testing.T) {
	m := newMachine(t, "things")
	environ := m.environ("things", "KEYRING_FILE="+m.path("keyring.json"))
	options := append(withDatabase, boot.Keyring(rotation.Inventory{}, nil))

	code, out, _ := once(nil, builds, options, "version")
	require.Equal(t, 0, code)
	require.Contains(t, out, "concord-things ")

	for _, help := range []string{"help", "-h", "--help"} {
		code, out, _ = once(nil, builds, options, help)
		require.Equal(t, 0, code)
		require.Contains(t, out, "usage: concord-things [--config FILE] [COMMAND]\n")
	}

	code, out, _ = once(nil, builds, options, "config", "doc")
	require.Equal(t, 0, code)
	require.Contains(t, out, "| `keyring_file` | `CONCORD_THINGS_KEYRING_FILE` |")

	code, out, stderr := once(environ, builds, options, "config", "check")
	require.Equal(t, 0, code, stderr)
	require.Equal(t, "the settings are right\n", out)
	require.Equal(t, "concord-things: warning: keyring_file (CONCORD_THINGS_KEYRING_FILE): "+m.path("keyring.json")+
		" cannot be read: no such file or directory\n", stderr, "they may be meant for another machine")
	missing := append(m.environ("things", "TRUST_FILE="+t.TempDir(), "NATS_CA_FILE=/does/not/exist"), environ[len(environ)-1])
	require.NoError(t, os.WriteFile(m.path("keyring.json"), nil, 0o600))
	code, _, stderr = once(missing, builds, options, "config", "check")
	require.Equal(t, 0, code)
	require.Equal(t, 2, strings.Count(stderr, "\n"), stderr)
	require.Contains(t, stderr, "warning: nats_ca_file (CONCORD_THINGS_NATS_CA_FILE): /does/not/exist cannot be read: no such file or directory\n")
	require.Regexp(t, `warning: trust_file \(CONCORD_THINGS_TRUST_FILE\): \S+ cannot be read: it is no file\n`, stderr)
	require.NoError(t, os.Remove(m.path("keyring.json")))
	code, _, stderr = once(nil, builds, options, "config", "check")
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "nats_url (CONCORD_THINGS_NATS_URL): is required\n")

	code, out, _ = once(environ, builds, options, "config", "print")
	require.Equal(t, 0, code)
	require.Contains(t, out, "database_url: '[redacted]'\n")
	require.Contains(t, out, "insecure: true\n")
	code, out, stderr = once(environ[1:], builds, options, "config", "print")
	require.Equal(t, 2, code, "incomplete settings are shown, and are wrong all the same")
	require.Contains(t, out, "nats_url: # is required\n")
	require.Contains(t, out, "insecure: true\n")
	require.Equal(t, "concord-things: nats_url (CONCORD_THINGS_NATS_URL): is required\n", stderr)

	for args, want := range map[string]string{
		"dance":                      `there is no command "dance"`,
		"keys":                       `there is no command "keys"`,
		"keys dance":                 `there is no command "keys dance"`,
		"identity create":            "identity create needs an argument: identity create FILE",
		"identity create a b":        `identity create takes one FILE, and no argument "b" beside it`,
		"identity trust":             "identity trust needs an argument: identity trust NAME=FILE …",
		"events retry --by me":       "events retry needs an argument: events retry ID",
		"bus permissions extra":      `bus permissions takes no argument "extra"`,
		"serve now":                  `serve takes no argument "now"`,
		"migrate --wait 5":           `--wait: must be a duration like 90s or 5m, not "5"`,
		"migrate --wait":             "--wait: needs a value",
		"--nonsense":                 "--nonsense: is not a flag",
		"keys retire --lose=perhaps": `--lose: must be true or false, not "perhaps"`,
	} {
		code, out, stderr = once(environ, builds, options, strings.Fields(args)...)
		require.Equal(t, 2, code, args)
		require.Empty(t, out)
		require.Equal(t, "concord-things: "+want+"; see concord-things help\n", stderr)
	}
	require.False(t, exists(m.path("things.db")), "none of these touches the database")
}

func TestMigrate(t *testing.T) {
	m := newMachine(t, "things")
	code, out, stderr := once(m.environ("things", "DATABASE_MIGRATE=false"), builds, withDatabase, "migrate")
	require.Equal(t, 0, code, stderr)
	require.Contains(t, out, "the database is up to date\nthe streams of the bus are up to date\n")
	db, err := sqldb.Open(t.Context(), sqldb.Config{URL: "sqlite:" + m.path("things.db")})
	require.NoError(t, err)
	defer db.Close()
	version, err := sqldb.SchemaVersion(t.Context(), db)
	require.NoError(t, err)
	require.Equal(t, 1, version)
	_, err = m.bus.Connect(t).Stream(t.Context(), "SYNC")
	require.NoError(t, err)
}

func TestMigrateWaitsForWhatIsNotThere(t *testing.T) {
	m := newMachine(t, "things")
	server := sqldbtest.Postgres(t)
	environ := m.environ("things", "DATABASE_URL="+server.URL(t))
	server.Kill(t)
	code, _, stderr := once(environ, builds, withDatabase, "migrate", "--wait", "1ms")
	require.Equal(t, 1, code)
	require.Regexp(t, `^concord-things: gave up after 1ms: no connection to the database at \S+/\.s\.PGSQL\.\d+ \([a-z ]+\): see that the server runs, and [a-z ]+\n$`, stderr)

	type result struct {
		code        int
		out, stderr string
	}
	ended := make(chan result, 2)
	for range 2 { // two at once take turns
		go func() {
			code, out, stderr := once(environ, builds, withDatabase, "migrate")
			ended <- result{code, out, stderr}
		}()
	}
	server.Restart(t)
	for range 2 {
		r := <-ended
		require.Equal(t, 0, r.code, r.stderr)
		require.Contains(t, r.out, "the database is up to date\nthe streams of the bus are up to date\n")
		require.LessOrEqual(t, strings.Count(r.out, "waiting for the database: no connection to the database at "), 1)
	}
}

// A bus that is away is waited for as long as was said, and no longer.
func TestMigrateWaitsForTheBusAsLongAsItIsTold(t *testing.T) {
	m := newMachine(t, "things")
	m.bus.Stop(t)
	begun := time.Now()
	code, out, stderr := once(m.environ("things"), builds, withDatabase, "migrate", "--wait", "1s")
	require.Less(t, time.Since(begun), 15*time.Second, "one attempt may last half a minute")
	require.Equal(t, 1, code)
	require.Equal(t, "the database is up to date\n", out)
	require.Contains(t, stderr, "concord-things: gave up after 1s: the bus: ")
	require.Equal(t, 1, strings.Count(stderr, "\n"), stderr)
}

func TestIdentityCommands(t *testing.T) {
	m := newMachine(t, "things")
	code, public, stderr := once(nil, builds, withDatabase, "identity", "create", m.path("new.key"))
	require.Equal(t, 0, code, stderr)
	require.Contains(t, public, "BEGIN PUBLIC KEY")
	code, _, stderr = once(nil, builds, withDatabase, "identity", "create", m.path("new.key"))
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "exists already")
	code, trust, stderr := once(nil, builds, withDatabase, "identity", "trust", "things="+m.path("new.key"), "others="+m.path("things.pem"))
	require.Equal(t, 0, code, stderr)
	require.NoError(t, os.WriteFile(m.path("trust.json"), []byte(trust), 0o644))
	r := start(t, "things", m.environ("things", "IDENTITY_KEY_FILE="+m.path("new.key")), &service{}, withDatabase...)
	r.awaitReady(t, 200)
	require.NoError(t, os.Chmod(m.path("new.key"), 0o604))
	code, _, stderr = once(m.environ("things", "IDENTITY_KEY_FILE="+m.path("new.key")), builds, withDatabase)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "has permissions 0604: others must not read it")
}

func TestKeysCommands(t *testing.T) {
	m := newMachine(t, "things")
	environ := m.environ("things", "KEYRING_FILE="+m.path("keyring.json"))
	options := []boot.Option{boot.GRPC(), boot.Database(sqldb.Join(rotation.Schema, migrations)), boot.Keyring(rotation.Inventory{}, kms.Open)}
	code, _, stderr := once(environ, builds, options)
	require.Equal(t, 1, code)
	require.Equal(t, "concord-things: keyring_file (CONCORD_THINGS_KEYRING_FILE): stat "+m.path("keyring.json")+": no such file or directory; "+
		"if there was one, restore it from a backup: what it sealed opens with no other; "+
		"for a first start make it: concord-things keys create\n", stderr, "a service does not make its keyring by itself")
	code, _, stderr = once(environ, builds, options, "migrate")
	require.Equal(t, 0, code, stderr)

	do := func(want int, words ...string) string {
		t.Helper()
		code, out, stderr := once(environ, builds, options, append([]string{"keys"}, words...)...)
		require.Equal(t, want, code, stderr)
		return out + stderr
	}
	do(0, "create")
	require.Equal(t, "concord-things: keyring_file (CONCORD_THINGS_KEYRING_FILE): the keyring file exists already: "+m.path("keyring.json")+"\n",
		do(1, "create"), "a keyring is never replaced")
	require.Contains(t, do(1, "promote"), "refused: no key was added")
	do(0, "add")
	require.Contains(t, do(1, "add"), "refused: a key was added already")
	require.Contains(t, do(0, "status"), "pending")
	do(0, "promote")
	require.NotContains(t, do(0, "status"), "pending")
	require.Contains(t, do(0, "status"), "old")
	do(0, "retire")
	require.NotContains(t, do(0, "status"), "old")
	out := do(0, "rotate")
	require.Contains(t, out, "adding a key\nthe new key seals\n")
	require.Contains(t, out, "sealing anew: 0 rows left of 0\nno row is under an old key")

	key := "base64key://smGbjm71Nxd1Ig5FS0wj9SlbzAIrnolCz9bQQ6uAhl4="
	require.Contains(t, do(1, "wrap"), "--kms URL")
	require.Contains(t, do(1, "wrap", "--kms", "ftp://x"), "must begin with one of awskms://")
	require.Contains(t, do(1, "wrap", "--kms", "base64key://hush"), "--kms: base64key")
	require.NotContains(t, do(1, "wrap", "--kms", "base64key://hush"), "hush")
	require.Contains(t, do(0, "wrap", "--kms", key), "is wrapped")
	require.Contains(t, do(1, "status"), "no KMS is set (keyring_kms)")
	other := "CONCORD_THINGS_KEYRING_KMS=base64key://ZL5wXCHf0KVWQRUCxSCLPNOvmTH1q-1NPvXTmOLqiuk="
	code, _, stderr = once(append(environ, other), builds, options)
	require.Equal(t, 1, code)
	require.Regexp(t, `^concord-things: keyring_file \(CONCORD_THINGS_KEYRING_FILE\): the KMS did not unwrap .*keyring\.json\): .+\n$`, stderr)
	require.Equal(t, 1, strings.Count(stderr, "\n"), stderr)
	environ = append(environ, "CONCORD_THINGS_KEYRING_KMS="+key)
	do(0, "rotate")
	code, out, stderr = once(environ, builds, options, "config", "print")
	require.Equal(t, 0, code, stderr)
	require.NotContains(t, out, "smGbjm71")
	do(0, "unwrap")
	_, err := vault.Open(m.path("keyring.json"))
	require.NoError(t, err)

	code, _, stderr = once(m.environ("things"), builds, withDatabase, "keys", "rotate")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "no keyring")
}

// TestKeysAreReplacedInASecret: where the keyring is a mounted Secret, each step prints what to put there, and changes nothing itself.
func TestKeysAreReplacedInASecret(t *testing.T) {
	m := newMachine(t, "things")
	secret := m.path("keyring.json")
	environ := m.environ("things", "KEYRING_FILE="+secret)
	options := []boot.Option{boot.GRPC(), boot.Database(sqldb.Join(rotation.Schema, migrations)), boot.Keyring(rotation.Inventory{}, kms.Open)}
	run := func(want int, words ...string) (out, stderr string) {
		t.Helper()
		code, out, stderr := once(environ, builds, options, words...)
		require.Equal(t, want, code, stderr)
		return out, stderr
	}
	run(0, "migrate")
	run(0, "keys", "create")
	for _, word := range []string{"create", "status", "rotate"} {
		out, stderr := run(1, "keys", word, "--print")
		require.Empty(t, out)
		require.Contains(t, stderr, "nothing to --print")
	}
	out, stderr := run(1, "keys", "retire", "--print")
	require.Empty(t, out)
	require.Contains(t, stderr, "there is nothing to print", "an empty file must not get into the Secret by mistake")
	for _, step := range []struct{ word, says, before, after string }{
		{"add", "give every replica the file, then promote", "primary", "pending"},
		{"promote", "the new keys seal", "pending", "old"},
		{"retire", "the old keys that seal are gone", "old", "primary"},
	} {
		status, _ := run(0, "keys", "status")
		require.Contains(t, status, step.before)
		before, err := os.ReadFile(secret)
		require.NoError(t, err)
		printed, stderr := run(0, "keys", step.word, "--print")
		require.Contains(t, stderr, step.says)
		now, err := os.ReadFile(secret)
		require.NoError(t, err)
		require.Equal(t, before, now, "%s: the file stays as it is", step.word)
		require.NoError(t, os.WriteFile(secret, []byte(printed), 0o600))
		status, _ = run(0, "keys", "status")
		require.Contains(t, status, step.after)
	}
	status, _ := run(0, "keys", "status")
	require.NotContains(t, status, "old")
	key := "base64key://smGbjm71Nxd1Ig5FS0wj9SlbzAIrnolCz9bQQ6uAhl4="
	wrapped, _ := run(0, "keys", "wrap", "--kms", key, "--print")
	require.Contains(t, wrapped, `"wrapped"`)
	run(0, "keys", "status")
}

func TestEventsThatWerePutAside(t *testing.T) {
	m := newMachine(t, "things")
	options := []boot.Option{boot.GRPC(), boot.Database(migrations)}
	environ := m.environ("things")
	code, _, stderr := once(environ, builds, options, "migrate")
	require.Equal(t, 0, code, stderr)
	db, err := sqldb.Open(t.Context(), sqldb.Config{URL: "sqlite:" + m.path("things.db")})
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, db.Tx(t.Context(), func(tx *sqldb.Tx) error {
		for _, id := range []string{"event-1", "event-2"} {
			if _, err := tx.Exec(`INSERT INTO events_parked (consumer, event_id, state, attempts, reason, source, stream, subject, firm,
				entity, sequence, event_time, traceparent, payload, due_at)
				VALUES ('things', $1, 'PARKED', 7, 'the handler failed', 'sync', 'SYNC', 'sync.v1.client_archived', 'f', 'e', 1, 0, '', $2, 0)`,
				id, []byte("hush")); err != nil {
				return err
			}
		}
		return nil
	}))

	code, out, stderr := once(environ, builds, options, "events", "list")
	require.Equal(t, 0, code, stderr)
	require.Regexp(t, `event-1 +things +PARKED +7 +sync\.v1\.client_archived +1970-01-01T00:00:00Z +the handler failed\n`, out)
	require.NotContains(t, out, "hush")

	code, _, stderr = once(environ, builds, options, "events", "retry", "event-1")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "--by NAME --reason TEXT")
	code, _, stderr = once(environ, builds, options, "events", "retry", "event-1", "--by", "ann", "--reason", "fixed")
	require.Equal(t, 0, code, stderr)
	code, _, stderr = once(environ, builds, options, "events", "discard", "--by", "ann", "--reason", "void", "event-2")
	require.Equal(t, 0, code, stderr)
	code, _, _ = once(environ, builds, options, "events", "discard", "event-9", "--by", "ann", "--reason", "void")
	require.Equal(t, 1, code)
	code, _, _ = once(environ, builds, options, "events", "retry")
	require.Equal(t, 2, code)

	_, out, _ = once(environ, builds, options, "events", "list")
	require.Regexp(t, `event-1 +things +WAITING`, out)
	require.Regexp(t, `event-2 +things +DISCARDED`, out)
}
