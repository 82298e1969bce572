package connector_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/faults"
	"github.com/concord-suite/concord/sim/remote"
	"github.com/concord-suite/concord/sim/world"
)

func TestLegacyIDs(t *testing.T) {
	s := onSQLite(t, options{clients: 1200})
	c := s.connect(firmA, sim.Owner, sim.PracticeName)
	all, err := s.remote.Clients(t.Context(), "", "", 5000)
	require.NoError(t, err)
	_, err = s.remote.Archive(t.Context(), remote.UUIDs(all[0].UUID))
	require.NoError(t, err)
	require.NoError(t, s.remote.Do(t.Context(), "DELETE", "/control/calls", nil, nil))
	pages := s.list(c, legacyIDs)
	found := recordsOf(pages)
	require.GreaterOrEqual(t, len(found), 1200)
	for _, one := range all {
		r := found[one.UUID]
		require.Equal(t, strconv.Itoa(one.ID), r.GetLegacyId())
		require.Equal(t, one.Code, r.GetClient().GetCode())
		require.Equal(t, one.Name, r.GetClient().GetName())
		require.Contains(t, r.GetClient().GetUnread(), "email", "nothing else is told")
		require.Empty(t, r.GetHash())
	}
	require.Equal(t, connectorv1.RecordState_RECORD_STATE_ARCHIVED, found[all[0].UUID].GetState())
	calls, err := s.remote.Calls(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, calls[c.GetTenantId()].Calls)
	require.EqualValues(t, 1, pages[0].GetCalls())
	for i, p := range pages {
		require.Equal(t, i == len(pages)-1, p.GetComplete())
		require.False(t, p.GetDrifted())
	}
	again, err := s.stream(&connectorv1.StreamRecordsRequest{Connection: c.GetName(), Listing: legacyIDs, PageToken: pages[0].GetResumeToken()})
	require.NoError(t, err)
	require.Len(t, recordsOf(again), len(found), "resuming begins again")
	s.fault(world.Fault{Kind: faults.Cut, Path: "*/client.api/list", Bytes: 1_000_000, Count: 1})
	some, err := s.stream(&connectorv1.StreamRecordsRequest{Connection: c.GetName(), Listing: legacyIDs})
	requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_PROVIDER_UNAVAILABLE)
	require.NotEmpty(t, some)
	require.False(t, some[len(some)-1].GetComplete(), "what broke off proves nothing")
	s.fault(world.Fault{Kind: faults.Cut, Path: "*/client.api/list", Bytes: 5000, Count: 1})
	whole, err := s.stream(&connectorv1.StreamRecordsRequest{Connection: c.GetName(), Listing: legacyIDs})
	require.NoError(t, err, "asked again while nothing was handed on")
	require.Len(t, recordsOf(whole), len(found))
}

func TestDetail(t *testing.T) {
	s := onSQLite(t, options{clients: 300})
	c := s.connect(firmA, sim.Owner, sim.PracticeName)
	all, err := s.remote.Clients(t.Context(), "", "", 5000)
	require.NoError(t, err)
	require.NoError(t, s.remote.Do(t.Context(), "DELETE", "/control/calls", nil, nil))
	boxes, groups, ties := 0, 0, 0
	for _, one := range all[:40] {
		d := s.detail(c, one.UUID).GetClient()
		require.Empty(t, d.GetUnread())
		require.True(t, slices.IsSortedFunc(d.GetCustomFields(), func(a, b *connectorv1.CustomField) int { return strings.Compare(a.GetName(), b.GetName()) }))
		groups += len(d.GetGroups())
		for _, r := range d.GetRelationships() {
			require.NotEmpty(t, r.GetType())
			require.NotEmpty(t, r.GetRelatedName())
			require.NoError(t, uuid.Validate(r.GetRelatedRecordId()))
			ties++
		}
		for _, f := range d.GetCustomFields() {
			if f.GetValue() == "false" {
				boxes++
			}
		}
	}
	require.NotZero(t, groups)
	require.NotZero(t, ties)
	require.NotZero(t, boxes, "a box that is not ticked is told as such")
	calls, err := s.remote.Calls(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2*40+1, calls[c.GetTenantId()].Calls, "what boxes there are is asked once")
	s.clock.forward(61 * time.Minute)
	s.detail(c, all[0].UUID)
	calls, err = s.remote.Calls(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2*41+2, calls[c.GetTenantId()].Calls, "and again after an hour")

	// What the consent does not cover is left unread, and says nothing of the connection.
	s.fault(world.Fault{Kind: faults.Status, Path: "*/customfield", Status: 403})
	d := s.detail(c, all[0].UUID).GetClient()
	require.Equal(t, []string{"custom_fields"}, d.GetUnread())
	require.Equal(t, active, s.get(c.GetName()).GetState())

	// Nobody has details of what is not there.
	require.NoError(t, s.remote.Do(t.Context(), "POST", "/control/clients/delete", map[string]any{"uuids": []string{all[2].UUID}, "purge": true}, nil))
	require.Equal(t, connectorv1.RecordState_RECORD_STATE_DELETED, s.detail(c, all[2].UUID).GetState())
}

// TestAContactOfSeveralClients: position and "primary" belong to the link, not to the person.
func TestAContactOfSeveralClients(t *testing.T) {
	s := onSQLite(t, options{clients: 300})
	c := s.connect(firmA, sim.Owner, sim.PracticeName)
	shared := 0
	for id, r := range recordsOf(s.list(c, contacts)) {
		person, err := s.remote.Contact(t.Context(), id)
		require.NoError(t, err)
		links := r.GetContact().GetLinks() // those to archived clients too, which the world leaves out
		if len(person.Clients) > 1 {
			shared++
		}
		for _, client := range person.Clients {
			require.True(t, slices.ContainsFunc(links, func(l *connectorv1.ContactLink) bool { return l.GetClientRecordId() == client }))
		}
	}
	require.NotZero(t, shared)
}
