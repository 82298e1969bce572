package plan_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/plan"
)

func TestClassify(t *testing.T) {
	base := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	gone := base.Add(time.Hour)
	early, later := base.Add(time.Minute), gone.Add(time.Minute)
	listed := plan.Held{Hash: "a", BaseAt: base, Presence: plan.Present, ClientState: client.Listed}
	left := plan.Held{Hash: "a", BaseAt: base, GoneAt: gone, Presence: plan.Gone, ClientState: client.Offboarded}
	leaving := plan.Held{Hash: "a", BaseAt: base, GoneAt: gone, Presence: plan.Gone, ClientState: client.Leaving, OpenHere: true}
	byHand := plan.Held{Hash: "a", BaseAt: base, Presence: plan.Present, ClientState: client.Offboarded, Hand: true}
	with := func(h plan.Held, change func(*plan.Held)) plan.Held { change(&h); return h }

	for _, c := range []struct {
		name string
		seen plan.Seen
		held plan.Held
		want plan.Verdict
	}{
		{"unchanged", plan.Seen{true, "a", early, "run-1", false}, listed, plan.Verdict{}},
		{"changed", plan.Seen{true, "b", early, "run-1", false}, listed, plan.Verdict{Update: true}},
		{"an older page than the base", plan.Seen{true, "b", base.Add(-time.Second), "run-1", false}, listed, plan.Verdict{}},
		{"listed as archived", plan.Seen{false, "b", early, "run-1", false}, listed, plan.Verdict{}},
		{"in scope again", plan.Seen{true, "a", early, "run-1", false}, with(listed, func(h *plan.Held) { h.OutOfScope = true }), plan.Verdict{Back: true}},
		{"un-archived", plan.Seen{true, "a", later, "run-1", false}, left, plan.Verdict{Back: true, Restore: true}},
		{"un-archived and changed", plan.Seen{true, "b", later, "run-1", false}, left, plan.Verdict{Update: true, Back: true, Restore: true}},
		{"a page from before it was archived", plan.Seen{true, "a", early, "run-1", false}, left, plan.Verdict{}},
		{"at the very moment it was archived", plan.Seen{true, "a", gone, "run-1", false}, left, plan.Verdict{}},
		{"at the very moment, by the run that was under way", plan.Seen{true, "a", gone, "run-1", false}, with(left, func(h *plan.Held) { h.GoneRun = "run-1" }), plan.Verdict{}},
		{"at the very moment, by a run that began later", plan.Seen{true, "a", gone, "run-2", false}, with(left, func(h *plan.Held) { h.GoneRun = "run-1" }), plan.Verdict{Back: true, Restore: true}},
		{"a moment before, by a run that began later", plan.Seen{true, "a", gone.Add(-time.Second), "run-2", false}, with(left, func(h *plan.Held) { h.GoneRun = "run-1" }), plan.Verdict{}},
		{"un-archived while leaving", plan.Seen{true, "a", later, "run-1", false}, leaving, plan.Verdict{Back: true, Cancel: true}},
		{"un-archived while a person off-boards it", plan.Seen{true, "a", later, "run-1", false}, with(leaving, func(h *plan.Held) { h.Hand = true }), plan.Verdict{Back: true}},
		{"un-archived out of scope while leaving", plan.Seen{false, "b", later, "run-1", true}, leaving, plan.Verdict{Back: true, Cancel: true}},
		{"out of scope, while a person off-boards it", plan.Seen{false, "a", later, "run-1", true}, with(leaving, func(h *plan.Held) { h.Hand = true }), plan.Verdict{}},
		{"out of scope, on a page from before it was archived", plan.Seen{false, "a", early, "run-1", true}, leaving, plan.Verdict{}},
		{"un-archived out of scope", plan.Seen{false, "a", later, "run-1", true}, left, plan.Verdict{}},
		{"changed out of scope", plan.Seen{false, "b", later, "run-1", true}, listed, plan.Verdict{}},
		{"off-boarded by hand, always there", plan.Seen{true, "a", later, "run-1", false}, byHand, plan.Verdict{}},
		{"kept by a person, there again", plan.Seen{true, "a", later, "run-1", false}, with(left, func(h *plan.Held) { h.Presence, h.ClientState = plan.Kept, client.Listed }), plan.Verdict{Back: true}},
		{"kept by a person, off-boarded by hand later, there again", plan.Seen{true, "a", later, "run-1", false}, with(left, func(h *plan.Held) { h.Presence = plan.Kept }), plan.Verdict{Back: true}},
	} {
		require.Equal(t, c.want, plan.Classify(c.seen, c.held), c.name)
		require.Equal(t, c.want == plan.Verdict{}, plan.Classify(c.seen, c.held).Nothing())
	}
}

func TestSameHash(t *testing.T) {
	for _, c := range []struct {
		seen, held string
		want       bool
	}{
		{"a", "a", true}, {"a:1", "a:1", true}, {"a", "a:1", true},
		{"a:1", "a:2", false}, {"b", "a:1", false}, {"b:1", "a:1", false}, {"a", "", false}, {"a:1", "", false},
		{"a:1", "a", false}, // groups that were not known before
	} {
		require.Equal(t, c.want, plan.SameHash(c.seen, c.held), c.seen+" "+c.held)
	}
}

func TestStale(t *testing.T) {
	c := plan.Change{Client: "c", LinkVersion: 3, ClientVersion: 5}
	good := plan.Held{Client: "c", LinkVersion: 3, ClientVersion: 5, ClientState: client.Listed, Presence: plan.Present}
	require.False(t, c.Stale(good))
	for name, move := range map[string]func(*plan.Held){
		"relinked":       func(h *plan.Held) { h.Client = "d" },
		"unlinked":       func(h *plan.Held) { *h = plan.Held{} },
		"seen again":     func(h *plan.Held) { h.LinkVersion++ },
		"client changed": func(h *plan.Held) { h.ClientVersion++ },
		"leaving":        func(h *plan.Held) { h.ClientState = client.Leaving },
		"gone already":   func(h *plan.Held) { h.Presence = plan.Gone },
	} {
		h := good
		move(&h)
		require.True(t, c.Stale(h), name)
	}
}
