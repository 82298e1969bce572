package cli

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/allinone/internal/datadir"
	"github.com/concord-suite/concord/allinone/internal/node"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/auth"
)

// suiteDir is a data directory as a suite leaves it, with one event put aside by documents.
func suiteDir(t *testing.T) string {
	dir := filepath.Join(t.TempDir(), "data")
	d, err := datadir.Open(dir)
	require.NoError(t, err)
	for _, service := range node.Services() {
		db, err := sqldb.Open(t.Context(), sqldb.Config{URL: d.Database(service)})
		require.NoError(t, err)
		require.NoError(t, sqldb.Migrate(t.Context(), db, auth.Migrations)) // any service's: the tables of events are in all
		if service == "documents" {
			require.NoError(t, db.Tx(t.Context(), func(tx *sqldb.Tx) error {
				_, err := tx.Exec(`INSERT INTO events_parked (consumer, event_id, state, attempts, reason, source, stream, subject, firm,
					entity, sequence, event_time, traceparent, payload, due_at)
					VALUES ('documents', 'event-1', 'PARKED', 7, 'the handler failed', 'sync', 'SYNC', 'sync.v1.client_archived',
					'f', 'e', 1, 0, '', $1, 0)`, []byte("hush"))
				return err
			}))
		}
		require.NoError(t, db.Close())
	}
	t.Cleanup(func() { require.NoError(t, d.Close()) }) // held, as by a suite that runs
	return dir
}

func command(t *testing.T, args ...string) (code int, out, errs string) {
	return commandWith(t, nil, args...)
}

func commandWith(t *testing.T, environ []string, args ...string) (code int, out, errs string) {
	var stdout, stderr bytes.Buffer
	code = Run(t.Context(), args, environ, &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

func TestEventsThatWerePutAside(t *testing.T) {
	dir := suiteDir(t)
	code, out, errs := command(t, "events", "list", "--data-dir", dir)
	require.Equal(t, exitOK, code, errs)
	require.Regexp(t, `event-1 +documents +PARKED +7 +sync\.v1\.client_archived`, out)
	require.NotContains(t, out, "hush", "who runs an installation sees no firm's data")

	who := []string{"--data-dir", dir, "--service", "documents", "--by", "ann", "--reason", "fixed"}
	code, _, errs = command(t, append([]string{"events", "retry", "event-1"}, who...)...)
	require.Equal(t, exitOK, code, errs)
	_, out, _ = command(t, "events", "list", "--data-dir", dir)
	require.Regexp(t, `event-1 +documents +WAITING`, out)
	code, _, errs = command(t, append([]string{"events", "discard", "event-1"}, who...)...)
	require.Equal(t, exitOK, code, errs)
	_, out, _ = command(t, "events", "list", "--data-dir", dir)
	require.Regexp(t, `event-1 +documents +DISCARDED`, out)
	code, _, _ = command(t, append([]string{"events", "retry", "event-1"}, who...)...)
	require.Equal(t, exitFailed, code, "what was discarded is not tried again")
}

func TestEventsCommandMistakes(t *testing.T) {
	dir := suiteDir(t)
	for name, args := range map[string][]string{
		"no data directory":      {"list"},
		"another directory":      {"list", "--data-dir", filepath.Join(dir, "nats")},
		"no command":             {"--data-dir", dir},
		"an unknown command":     {"drop", "--data-dir", dir},
		"nobody who decides":     {"retry", "event-1", "--data-dir", dir, "--service", "documents", "--reason", "x"},
		"no reason":              {"retry", "event-1", "--data-dir", dir, "--service", "documents", "--by", "ann"},
		"no event":               {"discard", "--data-dir", dir, "--service", "documents", "--by", "ann", "--reason", "x"},
		"a service out of paths": {"retry", "event-1", "--data-dir", dir, "--service", "../x", "--by", "ann", "--reason", "x"},
	} {
		code, out, errs := command(t, append([]string{"events"}, args...)...)
		require.Equal(t, exitSettings, code, "%s: %s", name, out)
		require.NotEmpty(t, errs, name)
	}
}
