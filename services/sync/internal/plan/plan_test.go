package plan_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/services/sync/internal/plan"
)

func TestGuardLimit(t *testing.T) {
	for _, c := range []struct {
		guard         plan.Guard
		linked, limit int64
	}{
		{plan.Guard{}, 0, 5}, {plan.Guard{}, 49, 5}, {plan.Guard{}, 50, 5}, {plan.Guard{}, 60, 6}, {plan.Guard{}, 2000, 200},
		{plan.Guard{Permille: 10}, 2000, 20}, {plan.Guard{Permille: 10}, 99, 0}, {plan.Guard{Permille: 10, Floor: 5}, 99, 5},
		{plan.Guard{Floor: 3}, 100000, 3}, {plan.Guard{Permille: 1000}, 7, 7}, {plan.Guard{Permille: 1}, 999, 0},
		{plan.Guard{Permille: 1}, 1000, 1},
	} {
		require.Equal(t, c.limit, c.guard.Limit(c.linked), "%+v of %d", c.guard, c.linked)
	}
}

func TestWithheld(t *testing.T) {
	base := plan.Conditions{Guard: plan.Guard{Permille: 10}, Linked: 2000}
	require.Empty(t, base.Withheld(20))
	require.Equal(t, "21 of 2000 clients would leave, more than the 20 that may leave without a decision", base.Withheld(21))
	for _, c := range []plan.Conditions{{Linked: 100, Review: true}, {Linked: 100, Suspended: true}} {
		require.NotEmpty(t, c.Withheld(1))
		require.Empty(t, c.Withheld(0), "nobody leaves: nothing to ask")
	}
}

func TestUnproven(t *testing.T) {
	good := plan.Listing{
		Pages: 4, Complete: true, Records: 1800, Distinct: 1800, AnnouncedMin: 1800, AnnouncedMax: 1800,
		Tenants: 1, Tenant: "t", WantTenant: "t", NowTenant: "t",
	}
	require.Empty(t, good.Unproven())
	silent := good
	silent.AnnouncedMin, silent.AnnouncedMax = -1, -1
	require.Empty(t, silent.Unproven(), "a provider that announces nothing proves by its last page")
	for name, spoil := range map[string]func(*plan.Listing){
		"no page":                func(l *plan.Listing) { l.Pages = 0 },
		"cut off":                func(l *plan.Listing) { l.Complete = false },
		"drift":                  func(l *plan.Listing) { l.Drifted = true },
		"empty":                  func(l *plan.Listing) { l.Records, l.Distinct, l.AnnouncedMin, l.AnnouncedMax = 0, 0, 0, 0 },
		"a record twice":         func(l *plan.Listing) { l.Distinct-- },
		"announced moved":        func(l *plan.Listing) { l.AnnouncedMin-- },
		"fewer than announced":   func(l *plan.Listing) { l.AnnouncedMin, l.AnnouncedMax = 1801, 1801 },
		"two tenants":            func(l *plan.Listing) { l.Tenants = 2 },
		"wrong tenant":           func(l *plan.Listing) { l.Tenant = "u" },
		"tenant moved meanwhile": func(l *plan.Listing) { l.NowTenant = "u" },
		"selection moved":        func(l *plan.Listing) { l.SelectionMoved = true },
	} {
		l := good
		spoil(&l)
		require.NotEmpty(t, l.Unproven(), name)
	}
}
