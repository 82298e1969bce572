package connection

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func TestOptionsAreCompletedWithDefaults(t *testing.T) {
	require.Equal(t, Options{NewRecords: Create, Removals: Apply, GuardPermille: 100, GuardFloor: 5}, Options{}.Complete())
	own := Options{NewRecords: Review, Removals: Review, GuardPermille: 10, FullSyncEveryDays: 7}
	require.Equal(t, own, own.Complete(), "a floor of zero beside a share is a choice")
	require.Equal(t, DefaultOptions(), DefaultOptions().Complete())
	require.True(t, own.Equal(own.Complete()))
	require.False(t, own.Equal(DefaultOptions()))
}

func TestAnAttemptDiesOfAgeWithoutAWorker(t *testing.T) {
	a := Attempt{Expires: noon}
	for _, s := range []AttemptState{Waiting, Exchanging, Listing, Authorised} {
		a.State = s
		require.Equal(t, s, a.StateAt(noon.Add(-time.Microsecond)))
		require.Equal(t, Expired, a.StateAt(noon), "at the very end")
	}
	for _, s := range []AttemptState{Confirming, Confirmed, Failed, Superseded, Expired} {
		a.State = s
		require.Equal(t, s, a.StateAt(noon.Add(time.Hour)))
	}
}

func TestPreselect(t *testing.T) {
	old := Tenant{ID: "old", AuthEvent: "e1", Updated: noon.Add(-time.Hour)}
	young := Tenant{ID: "young", AuthEvent: "e2", Updated: noon}
	require.Equal(t, "old", Preselect([]Tenant{young, old}, "E1"), "the event decides")
	require.Equal(t, "young", Preselect([]Tenant{old, young}, "unknown"), "else the one renewed last")
	require.Equal(t, "young", Preselect([]Tenant{young, old}, ""))
	both := Tenant{ID: "both", AuthEvent: "e1", Updated: noon.Add(time.Minute)}
	require.Equal(t, "both", Preselect([]Tenant{young, old, both}, "e1"))
	require.Empty(t, Preselect(nil, "e1"))
	require.Empty(t, Preselect([]Tenant{{}}, ""), "a tenant without id or event")
}

func TestOfType(t *testing.T) {
	all := []Tenant{{ID: "1", Name: "b", Type: "PRACTICEMANAGER"}, {ID: "2", Type: "ORGANISATION"}, {ID: "3", Name: "A", Type: "PracticeManager"}}
	fit := OfType(all, "PRACTICEMANAGER")
	require.Len(t, fit, 2)
	require.Equal(t, "3", fit[0].ID)
	require.Equal(t, "1", all[0].ID, "the argument stays as it is")
}

func TestWarnings(t *testing.T) {
	a := Attempt{Subject: "anna", Preselected: "t2", Tenants: []Tenant{{ID: "t1", Name: "One"}, {ID: "t2", Name: "Two"}}}
	require.Empty(t, a.Warnings(nil, nil), "a first connection")
	require.Empty(t, a.Warnings(&Connection{TenantID: "t2"}, []Consent{{Tenant: "t2", Subject: "anna"}}))
	w := a.Warnings(&Connection{TenantID: "t1", TenantName: "One"}, []Consent{{Tenant: "t2", Subject: "bert", Person: "Bert B"}})
	require.Len(t, w, 2)
	require.Contains(t, w[0], `"One"`)
	require.Contains(t, w[0], `"Two"`)
	require.Contains(t, w[1], "uses the consent of Bert B")
	a.Tenants[1].Privilege = "cannot"
	require.Equal(t, []string{"cannot"}, a.Warnings(nil, nil))
}
