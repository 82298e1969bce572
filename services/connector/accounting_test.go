package connector_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/concord-suite/concord/platform/rpcerr"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	connectoreventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/connector/v1"
	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/faults"
	"github.com/concord-suite/concord/sim/remote"
	"github.com/concord-suite/concord/sim/world"
)

const xero = connectorv1.Provider_PROVIDER_XERO

// books takes an attempt to connect an organisation to where it is to be confirmed.
func (s *suite) books(firm, organisation string) *connectorv1.ConnectAttempt {
	s.t.Helper()
	opened := s.startAt(firm, xero)
	state, err := s.complete(s.consent(opened, remote.Choice{Person: sim.Owner, Tenant: organisation}))
	require.NoError(s.t, err)
	require.Equal(s.t, authorised, state, s.troubles())
	return s.attempt(opened.GetAttempt().GetName())
}

// connectBooks connects an organisation with the contact types given.
func (s *suite) connectBooks(firm, organisation string, types ...string) *connectorv1.Connection {
	s.t.Helper()
	a := s.books(firm, organisation)
	a.SuggestedOptions.ContactTypes = types
	resp, err := s.confirm(a, a.GetPreselectedTenantId(), true)
	require.NoError(s.t, err)
	return resp.GetConnection()
}

// requireFields requires an error that names these fields, in their order.
func requireFields(t testing.TB, err error, fields ...string) {
	t.Helper()
	var named []string
	for _, v := range rpcerr.From(err).Violations() {
		named = append(named, v.Field)
	}
	require.Equal(t, fields, named, "%v", err)
}

func (s *suite) types(parent string) []*connectorv1.ContactType {
	s.t.Helper()
	resp, err := s.connections.GetContactTypes(s.admin(firmOf(parent)), &connectorv1.GetContactTypesRequest{Parent: parent})
	require.NoError(s.t, err)
	return resp.GetContactTypes()
}

func TestConnectAnOrganisation(t *testing.T) {
	each(t, options{contacts: 30}, func(t *testing.T, s *suite) {
		a := s.books(firmA, sim.OrganisationName)
		for _, tenant := range a.GetTenants() {
			require.Equal(t, "ORGANISATION", tenant.GetTenantType(), "practices are asked for in a consent of their own")
		}
		groups, err := s.remote.Books("").Groups(t.Context())
		require.NoError(t, err)
		offered := s.types(a.GetName())
		require.Len(t, offered, 2+len(groups))
		require.Equal(t, "CUSTOMERS", offered[0].GetContactType())
		require.Equal(t, "SUPPLIERS", offered[1].GetContactType())
		require.Equal(t, "GROUP:"+groups[0].ID, offered[2].GetContactType())
		require.Equal(t, groups[0].Name, offered[2].GetDisplayName())
		require.False(t, slices.ContainsFunc(offered, (*connectorv1.ContactType).GetSelected), "there was no last time")

		options := a.GetSuggestedOptions()
		options.ContactTypes = []string{"CUSTOMERS", "EMPLOYEES", "GROUP:" + uuid.NewString()}
		_, err = s.confirm(a, a.GetPreselectedTenantId(), false)
		requireFields(t, err, "options.contact_types[1]", "options.contact_types[2]")
		options.ContactTypes = []string{"CUSTOMERS", "GROUP:" + groups[0].ID}
		resp, err := s.confirm(a, a.GetPreselectedTenantId(), false)
		require.NoError(t, err)
		c := resp.GetConnection()
		require.Equal(t, xero, c.GetProvider())
		require.Len(t, told[*connectoreventsv1.ConnectionEstablished](s), 1)

		again := s.books(firmA, sim.OrganisationName)
		require.Equal(t, options.ContactTypes, again.GetSuggestedOptions().GetContactTypes())
		for _, parent := range []string{again.GetName(), c.GetName()} {
			var selected []string
			for _, one := range s.types(parent) {
				if one.GetSelected() {
					selected = append(selected, one.GetContactType())
				}
			}
			require.Equal(t, options.ContactTypes, selected, "what was chosen last is filled in")
		}
	})
}

func TestContactTypesOfAConnectionCanBeChanged(t *testing.T) {
	s := onSQLite(t, options{})
	c := s.connectBooks(firmA, sim.OrganisationName)
	group, err := s.remote.Books("").Group(t.Context(), remote.GroupChange{Name: "Retainers"})
	require.NoError(t, err)
	change := func(types ...string) error {
		c = s.get(c.GetName())
		c.Options.ContactTypes = types
		_, err := s.connections.UpdateConnection(s.admin(firmA), update(c, "options.contact_types"))
		return err
	}
	requireFields(t, change("SUPPLIERS", "GROUP:"+uuid.NewString()), "connection.options.contact_types[0]") // they are kept in order
	require.NoError(t, change("SUPPLIERS", "GROUP:"+group.ID))
	_, err = s.remote.Books("").Group(t.Context(), remote.GroupChange{Group: group.ID, Delete: true})
	require.NoError(t, err)
	require.NoError(t, change("CUSTOMERS", "GROUP:"+group.ID), "a group that was deleted since stands in nobody's way")
	list := s.types(c.GetName())
	last := list[len(list)-1]
	require.True(t, last.GetSelected())
	require.Contains(t, last.GetDisplayName(), "no longer there")

	s.fault(world.Fault{Kind: faults.Status, Status: 503, Path: "*/ContactGroups"})
	require.NoError(t, change("SUPPLIERS"), "nobody needs to be asked about these")
	requireReason(t, change("GROUP:"+uuid.NewString()), connectorv1.ErrorReason_ERROR_REASON_PROVIDER_UNAVAILABLE)
	_, err = s.connections.GetContactTypes(s.admin(firmA), &connectorv1.GetContactTypesRequest{Parent: c.GetName(), TenantId: "another"})
	requireFields(t, err, "tenant_id")
	practice := s.connect(firmA, sim.Owner, sim.PracticeName)
	require.Empty(t, s.types(practice.GetName()), "a provider without a choice answers none")
}

func TestListingsOfAnOrganisation(t *testing.T) {
	s := onSQLite(t, options{contacts: 2300})
	books := s.remote.Books("")
	all, err := books.Contacts(t.Context(), "all", "", 5000)
	require.NoError(t, err)
	archived, people := 0, map[string]bool{}
	for _, p := range all {
		if p.Status != world.PartyActive {
			archived++
		}
		for _, one := range p.People {
			people[p.ID+strings.ToLower(one.Email)+one.FirstName+one.LastName] = true
		}
	}
	require.NotZero(t, archived)
	c := s.connectBooks(firmA, sim.OrganisationName)

	pages := s.list(c, clients)
	records := recordsOf(pages)
	require.Len(t, records, len(all), "archived ones too")
	require.Len(t, pages, (len(all)+999)/1000)
	require.EqualValues(t, len(all), pages[0].GetAnnouncedTotal())
	require.False(t, drifted(pages))
	require.True(t, pages[len(pages)-1].GetComplete())
	inactive := 0
	for _, p := range all {
		r := records[p.ID]
		require.Equal(t, p.Name, r.GetClient().GetName())
		require.Equal(t, p.Account, r.GetClient().GetCode())
		require.Empty(t, r.GetClient().GetUnread(), "there is nothing left to read one by one")
		require.False(t, r.GetOutOfScope())
		if r.GetState() == connectorv1.RecordState_RECORD_STATE_ARCHIVED {
			inactive++
		}
		if p.ID == all[0].ID { // what a listing says is what reading that one says
			require.Equal(t, r.GetHash(), s.record(c, p.ID).GetHash())
		}
	}
	require.Equal(t, archived, inactive)

	pages = s.list(c, contacts)
	require.Len(t, recordsOf(pages), len(people))
	require.False(t, drifted(pages))
	calls, err := s.remote.Calls(t.Context())
	require.NoError(t, err)
	require.LessOrEqual(t, calls[c.GetTenantId()].Calls, 2*len(pages)+4, "a call per page, and those of connecting and reading")

	rest, err := s.stream(&connectorv1.StreamRecordsRequest{Connection: c.GetName(), Listing: clients, PageToken: s.list(c, clients)[0].GetResumeToken()})
	require.NoError(t, err)
	require.Len(t, recordsOf(rest), len(all)-1000)
	require.True(t, rest[len(rest)-1].GetComplete())
	require.False(t, drifted(rest))
}

func TestChangesOfAnOrganisation(t *testing.T) {
	for name, notModified := range map[string]bool{"answers nothing": true, "answers an empty list": false} {
		t.Run(name, func(t *testing.T) {
			s := onSQLite(t, options{contacts: 50})
			require.NoError(t, s.remote.Do(t.Context(), "POST", "/control/settings", map[string]any{"not_modified": notModified}, nil))
			c := s.connectBooks(firmA, sim.OrganisationName)
			first := s.list(c, clients)
			since := func(at time.Time) []*connectorv1.StreamRecordsResponse {
				pages, err := s.stream(&connectorv1.StreamRecordsRequest{Connection: c.GetName(), Listing: changed, ChangedSince: timestamppb.New(at)})
				require.NoError(t, err)
				require.True(t, pages[len(pages)-1].GetComplete())
				return pages
			}
			s.clock.forward(time.Hour)
			now := first[0].GetServerTime().AsTime().Add(30 * time.Minute)
			require.Empty(t, recordsOf(since(now)))
			books := s.remote.Books("")
			left, err := books.Archive(t.Context(), remote.PartySelector{N: 1, Seed: 4})
			require.NoError(t, err)
			edited, err := books.Edit(t.Context(), remote.PartySelector{N: 1, Seed: 9, Exclude: []string{left[0].ID}}, remote.PartyEdit{
				Fields: map[string]string{"AccountNumber": "NEW-1"}, People: &[]world.PartyPerson{{FirstName: "Ida", LastName: "Roe", Email: "ida@example.com"}}})
			require.NoError(t, err)
			found := recordsOf(since(now))
			require.Equal(t, connectorv1.RecordState_RECORD_STATE_ARCHIVED, found[left[0].ID].GetState())
			require.Equal(t, "NEW-1", found[edited[0].ID].GetClient().GetCode())
			var people []string
			for _, r := range found {
				if p := r.GetContact(); p != nil && p.GetLinks()[0].GetClientRecordId() == edited[0].ID {
					people = append(people, p.GetName()+" "+p.GetEmail())
				}
			}
			require.Equal(t, []string{"Ida Roe ida@example.com"}, people)
		})
	}
}

// TestWhatWasNotChosenIsOutOfScope: it is listed, and said not to be meant.
func TestWhatWasNotChosenIsOutOfScope(t *testing.T) {
	s := onSQLite(t, options{contacts: 60})
	books := s.remote.Books("")
	group, err := books.Group(t.Context(), remote.GroupChange{Name: "Chosen"})
	require.NoError(t, err)
	all, err := books.Contacts(t.Context(), "all", "", 1000)
	require.NoError(t, err)
	var alone *world.Party // in the group, and nothing else
	for i := range all {
		if p := &all[i]; p.Status == world.PartyActive && !p.Supplier {
			alone = p
			break
		}
	}
	_, err = books.Group(t.Context(), remote.GroupChange{Group: group.ID, Add: []string{alone.ID}})
	require.NoError(t, err)
	c := s.connectBooks(firmA, sim.OrganisationName, "SUPPLIERS", "GROUP:"+group.ID)
	records := recordsOf(s.list(c, clients))
	in, out := 0, 0
	for _, p := range all {
		r := records[p.ID]
		meant := p.Supplier || p.ID == alone.ID || p.Status != world.PartyActive
		require.Equal(t, !meant, r.GetOutOfScope(), p.Name)
		require.Equal(t, !meant, s.record(c, p.ID).GetOutOfScope() && p.Status == world.PartyActive)
		if meant {
			in++
		} else {
			out++
		}
		if in > 5 && out > 5 {
			break
		}
	}
	require.NotZero(t, out)
	for _, r := range recordsOf(s.list(c, contacts)) {
		require.Equal(t, records[r.GetContact().GetLinks()[0].GetClientRecordId()].GetOutOfScope(), r.GetOutOfScope(), "people are of their client's types")
	}
}

func TestSingleContactsOfAnOrganisation(t *testing.T) {
	s := onSQLite(t, options{})
	c := s.connectBooks(firmA, sim.OrganisationName)
	all, err := s.remote.Books("").Contacts(t.Context(), "", "", 10)
	require.NoError(t, err)
	require.Equal(t, connectorv1.RecordState_RECORD_STATE_ACTIVE, s.record(c, all[0].ID).GetState())
	_, err = s.remote.Books("").Archive(t.Context(), remote.PartyIDs(all[0].ID))
	require.NoError(t, err)
	require.Equal(t, connectorv1.RecordState_RECORD_STATE_ARCHIVED, s.record(c, all[0].ID).GetState())
	unknown := s.record(c, uuid.NewString())
	require.Equal(t, connectorv1.RecordState_RECORD_STATE_DELETED, unknown.GetState())
	require.Nil(t, unknown.GetKind())
	_, err = s.records.GetRecord(s.asService("sync", firmA), &connectorv1.GetRecordRequest{Connection: c.GetName(), RecordId: all[0].ID + "/0123"})
	requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_PROVIDER_REFUSED)

	// An address that has gone is answered like a contact that has: it is no proof.
	s.fault(world.Fault{Kind: faults.Status, Status: 404, Path: "*/Contacts/*"})
	require.Equal(t, connectorv1.RecordState_RECORD_STATE_ACTIVE, s.record(c, all[1].ID).GetState(), "the list has it")
	s.fault(world.Fault{Kind: faults.Status, Status: 404, Path: "*/Contacts"})
	_, err = s.records.GetRecord(s.asService("sync", firmA), &connectorv1.GetRecordRequest{Connection: c.GetName(), RecordId: all[1].ID})
	requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_PROVIDER_ANSWER_INVALID)
}

func TestListingsOfAnOrganisationThatCannotBeTrusted(t *testing.T) {
	s := onSQLite(t, options{contacts: 2300})
	c := s.connectBooks(firmA, sim.OrganisationName)
	try := func(f world.Fault) ([]*connectorv1.StreamRecordsResponse, error) {
		t.Helper()
		f.Path = "*/Contacts"
		id := s.fault(f)
		defer func() { require.NoError(t, s.remote.RemoveFault(t.Context(), id)) }()
		return s.stream(&connectorv1.StreamRecordsRequest{Connection: c.GetName(), Listing: clients})
	}
	pages, err := try(world.Fault{Kind: faults.HalfXML, After: 1, Count: 1})
	requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_PROVIDER_ANSWER_INVALID)
	require.Len(t, pages, 1, "the page before stands, nothing of the half one")
	pages, err = try(world.Fault{Kind: faults.Cut, Bytes: 5000, Count: 1})
	require.NoError(t, err, "asked again")
	require.False(t, drifted(pages))
	for _, order := range []string{"skip", "repeat", "insert"} {
		pages, err = try(world.Fault{Kind: faults.Drift, Order: order, After: 1, Count: 1})
		require.NoError(t, err, order)
		require.True(t, drifted(pages), order)
	}
	require.Equal(t, connectorv1.ConnectionState_CONNECTION_STATE_ACTIVE, s.get(c.GetName()).GetState())
}
