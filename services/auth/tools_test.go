package auth_test

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/events/eventstest"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	auditeventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/audit/v1"
	"github.com/concord-suite/concord/services/auth"
)

func (s *suite) deps() auth.Deps {
	s.t.Helper()
	ring, err := s.keyring.Open()
	require.NoError(s.t, err)
	return auth.Deps{DB: s.db, Vault: ring, Now: s.clock.Now}
}

type copiedLine struct {
	Chain    string
	Sequence int64
	Hash     string
	Entry    struct{ Action, ID string }
}

func copiedLines(t *testing.T, path string) (all []copiedLine) {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var l copiedLine
		require.NoError(t, json.Unmarshal(lines.Bytes(), &l), lines.Text())
		all = append(all, l)
	}
	return all
}

// Entries are copied to another system as they come: each chain in its order, none left out, none forgotten by a copier that
// was killed.
func TestN45_EntriesAreCopiedToASeparateSystem(t *testing.T) {
	eachOnBus(t, func(t *testing.T, s *suite, js jetstream.JetStream) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
		firm := strings.TrimPrefix(admin.firm, "firms/")
		documents := newPeer(t, js, "documents")
		emit := func(n int) {
			for range n {
				documents.emit(firm, "", 0, &auditeventsv1.AuditRecorded{Entries: []*auditeventsv1.AuditEntry{entryOf(firm, uuid.NewString(), "documents.test")}})
			}
		}
		arrived := func(n int) {
			eventstest.Until(t, "the entries are in the ledger", func() bool {
				return len(s.entries(admin, &authv1.ListAuditEntriesRequest{Action: "documents.test"})) == n
			})
		}
		emit(20)
		arrived(20)
		dir := t.TempDir()
		follow := auth.LedgerFollow{Out: filepath.Join(dir, "copy.jsonl"), State: filepath.Join(dir, "state.json"), Once: true}
		require.NoError(t, follow.Check())
		require.NoError(t, follow.Run(t.Context(), s.deps(), io.Discard))
		emit(5)
		arrived(25)
		eventstest.Until(t, "something outside every firm is in the ledger", func() bool {
			var told strings.Builder
			_, err := auth.LedgerCheck{Firm: auth.Installation}.Run(t.Context(), s.deps(), &told)
			return err == nil && strings.Contains(told.String(), "whole: the installation")
		})
		require.NoError(t, follow.Run(t.Context(), s.deps(), io.Discard))

		next := map[string]int64{}
		tests := 0
		for _, l := range copiedLines(t, follow.Out) {
			require.Equal(t, next[l.Chain]+1, l.Sequence, "in order, without gaps, once")
			next[l.Chain] = l.Sequence
			if l.Entry.Action == "documents.test" {
				tests++
			}
		}
		require.Equal(t, 25, tests)
		require.Contains(t, next, "", "and what happened outside every firm")

		// Killed before it remembered: what it had written is written again.
		require.NoError(t, os.WriteFile(follow.State, []byte(`{"`+firm+`":1}`), 0o600))
		require.NoError(t, follow.Run(t.Context(), s.deps(), io.Discard))
		again := map[string]bool{}
		for _, l := range copiedLines(t, follow.Out) {
			again[l.Chain+l.Hash] = true
		}
		require.GreaterOrEqual(t, len(again), int(next[firm]+next[""]))

		require.NoError(t, os.WriteFile(follow.State, []byte(`{"broken`), 0o600))
		require.ErrorContains(t, follow.Run(t.Context(), s.deps(), io.Discard), "copy everything again")
		var out strings.Builder
		one := auth.LedgerFollow{Firm: "harbour tax", State: filepath.Join(dir, "one.json"), Once: true}
		require.NoError(t, one.Run(t.Context(), s.deps(), &out))
		require.Contains(t, out.String(), `"chain":"`+firm+`"`)
		require.NotContains(t, out.String(), `"chain":""`)
	})
}

func TestTheCommandsAboutTheLedger(t *testing.T) {
	eachOnBus(t, func(t *testing.T, s *suite, _ jetstream.JetStream) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
		eventstest.Until(t, "something is in the ledger", func() bool {
			return len(s.entries(admin, &authv1.ListAuditEntriesRequest{Action: "session.opened"})) == 1
		})
		file := filepath.Join(t.TempDir(), "ledger.jsonl")
		require.NoError(t, auth.LedgerExport{Firm: "Harbour Tax", Out: file}.Run(t.Context(), s.deps(), io.Discard))
		verify := func(c auth.LedgerCheck, deps auth.Deps) (bool, string) {
			t.Helper()
			require.NoError(t, c.Check())
			var out strings.Builder
			well, err := c.Run(t.Context(), deps, &out)
			require.NoError(t, err)
			return well, out.String()
		}
		well, told := verify(auth.LedgerCheck{File: file}, auth.Deps{})
		require.True(t, well, told)
		key := told[strings.Index(told, "by the key ")+len("by the key "):][:22]
		well, told = verify(auth.LedgerCheck{File: file, Key: key, Firm: strings.TrimPrefix(admin.firm, "firms/")}, auth.Deps{})
		require.True(t, well, told)
		well, told = verify(auth.LedgerCheck{File: file, Key: "AAAAAAAAAAAAAAAAAAAAAA"}, auth.Deps{})
		require.False(t, well)
		require.Contains(t, told, "wrong trailer")
		well, told = verify(auth.LedgerCheck{File: file, Firm: uuid.NewString()}, auth.Deps{})
		require.False(t, well)
		require.Contains(t, told, "other chain")

		eventstest.Until(t, "so is something outside every firm", func() bool {
			well, told = verify(auth.LedgerCheck{}, s.deps())
			return strings.Contains(told, "whole: the installation")
		})
		require.True(t, well)
		require.Contains(t, told, "whole: "+admin.firm)
		well, told = verify(auth.LedgerCheck{Firm: "harbour tax"}, s.deps())
		require.True(t, well)
		require.NotContains(t, told, "installation")

		var out strings.Builder
		require.NoError(t, auth.LedgerExport{Firm: auth.Installation, Out: "-"}.Run(t.Context(), s.deps(), &out))
		require.Contains(t, out.String(), `"chain":""`)
		missing := filepath.Join(t.TempDir(), "none.jsonl")
		require.Error(t, auth.LedgerExport{Firm: "Harbour Tax", Out: missing, From: 1_000_000}.Run(t.Context(), s.deps(), io.Discard))
		require.NoFileExists(t, missing, "whole or not at all")
	})
}

func TestTheFlagsOfTheLedger(t *testing.T) {
	for _, e := range []auth.LedgerExport{{}, {Firm: "x"}, {Out: "f"}, {Firm: "x", Out: "f", From: -1}} {
		require.Error(t, e.Check())
	}
	require.Error(t, auth.LedgerCheck{Key: "k"}.Check())
	require.Error(t, auth.LedgerCheck{File: "f", Firm: "Harbour Tax"}.Check())
	require.Error(t, auth.LedgerFollow{}.Check())
}
