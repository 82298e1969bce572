package journal_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/concord-suite/concord/sim/journal"
)

// open reads a journal into a map.
func open(t *testing.T, dir string) (*journal.Log, map[string]string) {
	t.Helper()
	state := map[string]string{}
	log, err := journal.Open(dir, func(r journal.Record) error {
		if r.Value == nil {
			delete(state, r.Kind+"/"+r.ID)
			return nil
		}
		state[r.Kind+"/"+r.ID] = string(r.Value)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return log, state
}

func record(id, value string) journal.Record {
	return journal.Record{Kind: "k", ID: id, Value: json.RawMessage(value)}
}

func commit(t *testing.T, log *journal.Log, records ...journal.Record) {
	t.Helper()
	mark, err := log.Append(records)
	if err == nil {
		err = log.Sync(mark)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, got map[string]string, want map[string]string) {
	t.Helper()
	if !maps.Equal(got, want) {
		t.Errorf("state is %v, want %v", got, want)
	}
}

func TestWhatWasWrittenIsReadBack(t *testing.T) {
	dir := t.TempDir()
	log, _ := open(t, dir)
	commit(t, log, record("a", `1`), record("b", `{"quoted":"\u003c\n"}`), record(`odd "id"`, `[]`))
	commit(t, log, record("a", `2`), journal.Record{Kind: "k", ID: "b"})
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	log, state := open(t, dir)
	defer log.Close()
	expect(t, state, map[string]string{"k/a": "2", `k/odd "id"`: "[]"})
}

func TestACommitCutShortIsDroppedWhole(t *testing.T) {
	dir := t.TempDir()
	log, _ := open(t, dir)
	commit(t, log, record("a", `1`))
	commit(t, log, record("a", `2`), record("b", `2`))
	log.Close()

	path := filepath.Join(dir, "world.journal")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	last := strings.Index(string(whole), "\n") + 1
	for cut := last; cut < len(whole); cut++ {
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		log, state := open(t, dir)
		expect(t, state, map[string]string{"k/a": "1"})
		commit(t, log, record("c", `3`)) // the journal goes on after the good part
		log.Close()
		log, state = open(t, dir)
		expect(t, state, map[string]string{"k/a": "1", "k/c": "3"})
		log.Close()
	}
}

func TestDamageInTheMiddleIsAnErrorThatNamesTheLine(t *testing.T) {
	dir := t.TempDir()
	log, _ := open(t, dir)
	for i := range 3 {
		commit(t, log, record("a", fmt.Sprint(i)))
	}
	log.Close()
	path := filepath.Join(dir, "world.journal")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	spoilt := strings.Replace(string(text), `"v":1`, `"v":7`, 1)
	if err := os.WriteFile(path, []byte(spoilt), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = journal.Open(dir, func(journal.Record) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "line 2 is damaged") {
		t.Errorf("error is %v", err)
	}
}

func TestAFolderBelongsToOneProcess(t *testing.T) {
	dir := t.TempDir()
	log, _ := open(t, dir)
	if _, err := journal.Open(dir, nil); !errors.Is(err, journal.ErrLocked) {
		t.Errorf("error is %v", err)
	}
	log.Close()
	log, _ = open(t, dir)
	log.Close()
}

func TestCompactionKeepsTheStateAndShrinksTheFile(t *testing.T) {
	dir := t.TempDir()
	log, _ := open(t, dir)
	filler := strings.Repeat("x", 1<<20)
	if log.Bloated() {
		t.Fatal("an empty journal is bloated")
	}
	for range 18 {
		commit(t, log, record("a", fmt.Sprintf("%q", filler)))
	}
	if !log.Bloated() {
		t.Fatal("18 MB for 1 MB of state is not bloated")
	}
	err := log.Compact(func(yield func(journal.Record) error) error {
		for i := range 1000 {
			if err := yield(record(fmt.Sprint(i), `"kept"`)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || log.Bloated() {
		t.Fatalf("after compaction: %v, bloated %v", err, log.Bloated())
	}
	commit(t, log, record("0", `"later"`))
	log.Close()
	info, err := os.Stat(filepath.Join(dir, "world.journal"))
	if err != nil || info.Size() > 1<<20 {
		t.Errorf("the file has %d bytes (%v)", info.Size(), err)
	}
	log, state := open(t, dir)
	defer log.Close()
	if len(state) != 1000 || state["k/0"] != `"later"` || state["k/999"] != `"kept"` {
		t.Errorf("%d values, first %s", len(state), state["k/0"])
	}
}

func TestAFailedCompactionLeavesTheOldFile(t *testing.T) {
	dir := t.TempDir()
	log, _ := open(t, dir)
	commit(t, log, record("a", `1`))
	boom := errors.New("boom")
	if err := log.Compact(func(func(journal.Record) error) error { return boom }); !errors.Is(err, boom) {
		t.Errorf("error is %v", err)
	}
	commit(t, log, record("b", `2`))
	log.Close()
	log, state := open(t, dir)
	defer log.Close()
	expect(t, state, map[string]string{"k/a": "1", "k/b": "2"})
}

func TestAClosedJournalTakesNothing(t *testing.T) {
	log, _ := open(t, t.TempDir())
	log.Close()
	if _, err := log.Append([]journal.Record{record("a", `1`)}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("error is %v", err)
	}
}
