package api

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/history"
	"github.com/concord-suite/concord/services/sync/internal/legacy"
	"github.com/concord-suite/concord/services/sync/internal/offboard"
	"github.com/concord-suite/concord/services/sync/internal/plan"
	"github.com/concord-suite/concord/services/sync/internal/run"
)

// TestEveryFieldIsFilled converts domain values in which everything is set and wants no field of the messages empty: a
// field that is added to the contract and forgotten here fails.
func TestEveryFieldIsFilled(t *testing.T) {
	at := time.Date(2026, 5, 1, 9, 0, 0, 0, time.UTC)
	blockers := []client.Blocker{{Kind: "K", Description: "d", Resource: "r"}}
	c := client.Client{
		ID: "c", Firm: "f", Fields: client.Fields{Name: "n", Code: "c", EntityType: "e", Email: "m", Phone: "p"}, State: client.Listed,
		ListSource: "l", Synced: true, Offboarding: "o", Blockers: blockers, Version: 1, CreatedAt: at, UpdatedAt: at,
	}
	k := client.Contact{
		ID: "k", Firm: "f", Person: client.Person{Name: "n", Email: "e", Phone: "p", Mobile: "m"}, State: client.Released, HasLogin: true,
		Version: 1, Relations: []client.Relation{{Client: "c", ClientName: "n", Position: "p", Primary: true}},
	}
	r := run.Run{
		ID: "r", Firm: "f", Connection: "c", Kind: run.Full, State: run.Running, Step: run.Clients, Done: 1, Total: 3, StepAt: at,
		Pages: 1, Calls: 1, Plan: "p", HasPlan: true, Proven: true, UnprovenReason: "u", Message: "m", StartedBy: "s", CreatedAt: at,
		StartedAt: at, FirstVisibleAt: at, EndedAt: at, WaitUntil: at,
		Counts: run.Counts{
			ClientsCreated: 1, ClientsUpdated: 1, ClientsUnchanged: 1, ClientsRestored: 1, ContactsCreated: 1, ContactsUpdated: 1,
			Suggestions: 1, Candidates: 1, Confirmed: 1, Started: 1, Refuted: 1, Blocked: 1, OutOfScope: 1,
			LegacyMapped: 1, LegacySuggested: 1, LegacyUnmapped: 1,
		},
	}
	d := client.Details{
		Groups: []string{"g"}, CustomFields: []client.CustomField{{Name: "n", Value: "v"}}, ReadAt: at,
		Relationships: []client.Relationship{{Type: "t", Client: "c", Name: "n", Shares: "s", Percentage: "p", Start: "s", End: "e"}},
	}
	l := legacy.Link{
		ID: "l", Firm: "f", Connection: "c", Client: "c", Name: "n", LegacyID: "1", Code: "c", State: legacy.Mapped, Record: "r",
		Explanation: "e", DecidedAt: at, Candidates: []legacy.Candidate{{Record: "r", Name: "n", Code: "c", Evidence: []string{"e"}}},
	}
	o := offboard.Offboarding{
		ID: "o", Firm: "f", Client: "c", ClientName: "n", State: offboard.Done, Reason: "r", StartedBy: "s", Blockers: blockers,
		HistoryDocument: "d", Folder: "f", DocumentCount: 1, ContactsRemoved: 1, ContactsReleased: 1, ContactsKept: 1,
		Missing: []string{"m"}, LastError: "e", CreatedAt: at, ArchivedAt: at, EndedAt: at, Steps: []offboard.Line{{At: at, Text: "t"}},
	}
	p := plan.Plan{
		ID: "p", Firm: "f", Run: "r", Connection: "c", State: plan.Waiting, WithheldReason: "w", Message: "m", Waiting: 1, Linked: 1, Version: 1, CreatedAt: at,
	}
	ch := plan.Change{
		ID: "h", Plan: "p", Firm: "f", Kind: plan.Archive, State: plan.ChangeBlocked, Client: "c", DisplayName: "n", RecordID: "r",
		Evidence: []string{"e"}, Blockers: blockers, DecidedBy: "d", DecidedAt: at, Offboarding: "o",
	}
	e := history.Entry{Client: "c", Seq: 1, At: at, Kind: "k", Actor: "a", Summary: "s", Resource: "r"}
	for _, m := range []proto.Message{
		detailed(clientMessage(c), "f", d), legacyLinkMessage(l), contactMessage(k), runMessage(r, at.Add(time.Second)), offboardingMessage(o), planMessage(p), changeMessage(ch), historyMessage(e),
	} {
		filled(t, m.ProtoReflect(), "")
	}
}

func filled(t *testing.T, m protoreflect.Message, path string) {
	t.Helper()
	if m.Descriptor().FullName() == "google.protobuf.Timestamp" {
		return
	}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		at := path + string(m.Descriptor().Name()) + "." + string(f.Name())
		require.True(t, m.Has(f), "%s is empty", at)
		switch {
		case f.IsList() && f.Message() != nil:
			filled(t, m.Get(f).List().Get(0).Message(), at+"/")
		case !f.IsList() && f.Message() != nil:
			filled(t, m.Get(f).Message(), at+"/")
		}
	}
}

// TestEveryStateHasItsEnum wants every state of the domain to have a value of its own on the wire.
func TestEveryStateHasItsEnum(t *testing.T) {
	for _, s := range []client.State{client.Listed, client.Leaving, client.Offboarded} {
		require.NotZero(t, clientMessage(client.Client{State: s}).GetState(), s)
	}
	for _, s := range []run.State{run.Queued, run.Running, run.Parked, run.Succeeded, run.Withheld, run.Failed, run.Cancelled} {
		require.NotZero(t, runMessage(run.Run{State: s}, time.Time{}).GetState(), s)
	}
	for _, s := range []run.Step{
		run.Clients, run.Contacts, run.Changes, run.Planning, run.Writing, run.Previewing, run.Settling, run.Removing, run.Finishing,
		run.Legacy, run.Mapping,
	} {
		require.NotZero(t, runMessage(run.Run{State: run.Running, Step: s}, time.Time{}).GetPhase(), s)
	}
	for _, s := range []legacy.State{legacy.Pending, legacy.Mapped, legacy.Suggested, legacy.Unmapped, legacy.Dismissed} {
		require.NotZero(t, legacyLinkMessage(legacy.Link{State: s}).GetState(), s)
	}
	for _, k := range []run.Kind{run.Manual, run.Full, run.Upgrade} {
		require.NotZero(t, runMessage(run.Run{Kind: k}, time.Time{}).GetKind(), k)
	}
	for _, s := range []offboard.State{
		offboard.Preparing, offboard.Blocked, offboard.Securing, offboard.Done, offboard.Cancelled, offboard.Reversing, offboard.Reversed,
	} {
		require.NotZero(t, offboardingMessage(offboard.Offboarding{State: s}).GetState(), s)
	}
	for _, s := range []plan.State{plan.Settled, plan.Waiting, plan.Superseded} {
		require.NotZero(t, planMessage(plan.Plan{State: s}).GetState(), s)
	}
	for _, k := range []plan.Kind{plan.Create, plan.Update, plan.Link, plan.Archive, plan.Restore, plan.New} {
		require.NotZero(t, changeMessage(plan.Change{Kind: k}).GetKind(), k)
	}
	for _, s := range []plan.ChangeState{
		plan.ChangeWaiting, plan.ChangeApproved, plan.ChangeApplied, plan.ChangeRejected, plan.ChangeStale, plan.ChangeBlocked, plan.ChangeRefuted,
	} {
		require.NotZero(t, changeMessage(plan.Change{State: s}).GetState(), s)
	}
}
