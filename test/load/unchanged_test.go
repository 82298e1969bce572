package load

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/test/story"
	"github.com/concord-suite/concord/test/topology"
)

// own are the tables of sync in which a run keeps its own account: itself and its pages, the request it answered, the
// events and audit entries about it. Everything else is about clients, and a run that finds nothing new writes none of it.
var own = []string{"runs", "run_pages", "events_outbox", "events_sequences", "events_inbox", "idem_requests"}

// BenchmarkNothingChanged counts what a full sync writes when nothing changed upstream, against what the first one wrote.
func BenchmarkNothingChanged(b *testing.B) {
	b.Run("postgresql", func(b *testing.B) {
		for b.Loop() {
			nothingChangedPostgres(b)
		}
	})
	b.Run("sqlite", func(b *testing.B) {
		for b.Loop() {
			nothingChangedSQLite(b)
		}
	})
}

func nothingChangedPostgres(b *testing.B) {
	p := connect(b, topology.ManyProcesses, topology.Options{Clients: size(b, "LOAD_UNCHANGED_CLIENTS", 2000)})
	p.settled(b)
	srv := p.server(b)
	prefix := srv.schemaWith("staged_contacts") + "."
	srv.awaitContacts(prefix)

	p.stop(b)
	first := srv.writes()
	p.start(b)
	p.stop(b)
	idle := srv.writes()
	p.start(b)
	run := p.full(b)
	require.Zero(b, run.GetCounts().GetClientsUpdated()+run.GetCounts().GetClientsCreated())
	p.stop(b)
	after := srv.writes()

	var foreign, mine, before, elsewhere int64
	others := [][]string{{"table of another service", "start and stop, no run", "start, full run, stop"}}
	rows := [][]string{{"table of sync", "first run and connecting", "start and stop, no run", "start, full run, stop"}}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		now := after[name].minus(idle[name])
		start := idle[name].minus(first[name])
		extra := now.all() - start.all()
		kept, ofSync := strings.CutPrefix(name, prefix)
		if !ofSync {
			if elsewhere += extra; extra != 0 {
				others = append(others, []string{name, start.String(), now.String()})
			}
			continue
		}
		before += first[name].all()
		if slices.Contains(own, kept) {
			mine += extra
		} else {
			foreign += extra
		}
		if now.all() > 0 || start.all() > 0 {
			rows = append(rows, []string{kept, first[name].String(), start.String(), now.String()})
		}
	}
	report(b, float64(foreign), "rows-about-clients")
	report(b, float64(mine), "rows-of-the-run")
	report(b, float64(foreign+mine)/float64(before), "of-first-run's-rows")
	report(b, float64(elsewhere), "rows-in-other-services")
	table(b, fmt.Sprintf("%d clients unchanged (+inserted ~updated -deleted)", run.GetCounts().GetClientsUnchanged()), rows)
	table(b, "elsewhere: that somebody started and watched a run, for the audit ledger", others)
}

func (w writes) String() string { return fmt.Sprintf("+%d ~%d -%d", w.inserted, w.updated, w.deleted) }

// nothingChangedSQLite compares the pages of the database file of sync; the process is stopped for each look, so that
// everything is in the file.
func nothingChangedSQLite(b *testing.B) {
	p := connect(b, topology.OneProcess, topology.Options{Clients: size(b, "LOAD_UNCHANGED_CLIENTS", 2000)})
	p.settled(b)
	p.stop(b)
	first := p.database(b)
	p.start(b)
	p.stop(b)
	idle := p.database(b)
	p.start(b)
	p.full(b)
	p.stop(b)
	after := p.database(b)

	started, changed := pagesDiffer(first, idle), pagesDiffer(idle, after)
	all := len(after) / sqlitePage
	report(b, float64(changed-started), "pages-changed")
	report(b, float64(changed-started)/float64(all), "of-all-pages")
	table(b, "pages of sync.db", [][]string{
		{"in all", fmt.Sprint(all)}, {"changed by start and stop", fmt.Sprint(started)}, {"changed by start, full run, stop", fmt.Sprint(changed)},
	})
}

// settled waits until what the first run told has reached everybody: each client has its folder.
func (p *practice) settled(b *testing.B) {
	b.Helper()
	story.Eventually(b, "every client has a folder", func() bool {
		return len(p.admin.Folders(b, "kind=FOLDER_KIND_CLIENT")) == int(p.first.GetCounts().GetClientsCreated())
	})
}

func (p *practice) stop(b *testing.B) {
	b.Helper()
	for _, name := range programs(p) {
		p.Processes[name].Stop(b)
	}
}

func (p *practice) start(b *testing.B) {
	b.Helper()
	for _, name := range programs(p) {
		p.Processes[name].Launch(b)
	}
	for _, name := range programs(p) {
		p.Processes[name].AwaitReady(b)
	}
}

// programs are the suite's own, without the broker.
func programs(p *practice) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(p.Processes)) {
		if name != "nats" {
			names = append(names, name)
		}
	}
	return names
}

// sqlitePage is SQLite's page size unless a database says otherwise.
const sqlitePage = 4096

func (p *practice) database(b *testing.B) []byte {
	b.Helper()
	path := filepath.Join(p.Dir, "data", "sync.db")
	wal, err := os.Stat(path + "-wal")
	require.True(b, os.IsNotExist(err) || wal.Size() == 0, "an orderly end leaves nothing in the log")
	content, err := os.ReadFile(path)
	require.NoError(b, err)
	return content
}

func pagesDiffer(x, y []byte) (n int) {
	for at := 0; at < max(len(x), len(y)); at += sqlitePage {
		if !bytes.Equal(x[min(at, len(x)):min(at+sqlitePage, len(x))], y[min(at, len(y)):min(at+sqlitePage, len(y))]) {
			n++
		}
	}
	return n
}
