package world_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/concord-suite/concord/sim/world"
)

func clock() time.Time { return time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC) }

func open(t *testing.T, dir string) *world.Store {
	t.Helper()
	s, err := world.Open(dir, clock)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(id, name string) func(*world.Tx) error {
	return func(tx *world.Tx) error {
		tx.Clients.Put(tx, id, &world.Client{UUID: id, Tenant: "t", Name: name})
		return nil
	}
}

func names(s *world.Store) string {
	var list []string
	for _, c := range s.ClientsByName("t") {
		list = append(list, c.Name)
	}
	return strings.Join(list, ",")
}

func TestAWriteThatFailsLeavesNothing(t *testing.T) {
	s := open(t, t.TempDir())
	if err := s.Update(put("1", "first")); err != nil {
		t.Fatal(err)
	}
	boom := errors.New("boom")
	err := s.Update(func(tx *world.Tx) error {
		tx.Clients.Put(tx, "1", &world.Client{UUID: "1", Tenant: "t", Name: "changed"})
		tx.Clients.Put(tx, "2", &world.Client{UUID: "2", Tenant: "t", Name: "new"})
		tx.Clients.Delete(tx, "1")
		return boom
	})
	if !errors.Is(err, boom) || names(s) != "first" {
		t.Errorf("after %v there is %q", err, names(s))
	}
	s.Close()
	if err := s.Update(put("3", "too late")); err == nil || names(s) != "first" {
		t.Errorf("a write to a closed world: %v, %q", err, names(s))
	}
}

func TestARestartForgetsNothing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for i := range 20 {
		if err := s.Update(put(fmt.Sprint(i), fmt.Sprintf("client %02d", i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Note(func(tx *world.Tx) error { tx.Clients.Delete(tx, "7"); return nil }); err != nil {
		t.Fatal(err)
	}
	before := names(s)
	s.Close()
	s = open(t, dir)
	defer s.Close()
	if names(s) != before || strings.Contains(before, "07") {
		t.Errorf("after a restart: %s\nbefore: %s", names(s), before)
	}
}

// TestTheFileIsRewrittenWhenItHasOutgrownTheState changes one large row until the journal is many
// times its size, and expects it back at the size of the state with nothing lost.
func TestTheFileIsRewrittenWhenItHasOutgrownTheState(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if err := s.Update(put("1", "small")); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if err := s.Update(put("2", strings.Repeat("x", 1<<20)+fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	info, err := os.Stat(filepath.Join(dir, "world.journal"))
	if err != nil || info.Size() > 8<<20 {
		t.Errorf("20 MB were written and %d bytes are kept (%v)", info.Size(), err)
	}
	s = open(t, dir)
	defer s.Close()
	if got := names(s); !strings.HasPrefix(got, "small,x") || !strings.HasSuffix(got, "x19") {
		t.Errorf("after a restart: %.20s…%s", got, got[len(got)-5:])
	}
}

func TestReadersKeepWhatTheySaw(t *testing.T) {
	s := open(t, "")
	if err := s.Update(put("1", "old")); err != nil {
		t.Fatal(err)
	}
	seen := s.ClientsByName("t")
	var readers sync.WaitGroup
	for i := range 8 {
		readers.Go(func() {
			if err := s.Update(put("1", fmt.Sprint("new ", i))); err != nil {
				t.Error(err)
			}
			s.ClientsByName("t")
		})
	}
	readers.Wait()
	if seen[0].Name != "old" || !strings.HasPrefix(names(s), "new") {
		t.Errorf("seen %q, now %q", seen[0].Name, names(s))
	}
}

func TestSortedViewsIgnoreCaseAndPurgedClients(t *testing.T) {
	s := open(t, "")
	err := s.Update(func(tx *world.Tx) error {
		for i, name := range []string{"beta", "Alpha", "ALPHA 2", "gone"} {
			id := fmt.Sprint(i)
			tx.Clients.Put(tx, id, &world.Client{UUID: id, Tenant: "t", Name: name, Deleted: i == 0, Purged: name == "gone"})
		}
		tx.Clients.Put(tx, "x", &world.Client{UUID: "x", Tenant: "another", Name: "Aardvark"})
		return nil
	})
	if err != nil || names(s) != "Alpha,ALPHA 2,beta" {
		t.Errorf("%v: %s", err, names(s))
	}
}

func TestChangedWakesWaiters(t *testing.T) {
	s := open(t, "")
	changed := s.Changed()
	if err := s.Update(put("1", "a")); err != nil {
		t.Fatal(err)
	}
	<-changed
}

func TestANewWorldHasThePublishedLimits(t *testing.T) {
	s := open(t, "")
	if got := s.Rules(); got.PerMinute != 60 || got.PerDay != 5000 || got.Concurrent != 5 || got.AppPerMinute != 10000 {
		t.Errorf("limits without settings are %+v", got)
	}
}

func TestIDs(t *testing.T) {
	a, b := world.NewID(), world.NewID()
	if a == b || !world.IsID(a) || a[14] != '4' {
		t.Errorf("%s and %s", a, b)
	}
	for _, bad := range []string{"", "1234", a + "0", strings.Replace(a, "-", "0", 1), "g" + a[1:]} {
		if world.IsID(bad) {
			t.Errorf("%q passes for a UUID", bad)
		}
	}
}

func TestDurationsAreTextOrSeconds(t *testing.T) {
	for text, want := range map[string]time.Duration{`"30m"`: 30 * time.Minute, `90`: 90 * time.Second, `0.5`: time.Second / 2} {
		var d world.Duration
		if err := d.UnmarshalJSON([]byte(text)); err != nil || d.Duration() != want {
			t.Errorf("%s is %v (%v), want %v", text, d.Duration(), err, want)
		}
	}
	for _, text := range []string{`"soon"`, `{}`} {
		var d world.Duration
		if d.UnmarshalJSON([]byte(text)) == nil {
			t.Errorf("%s passes for a duration", text)
		}
	}
}
