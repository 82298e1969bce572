package wire

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"

	"github.com/concord-suite/concord/services/connector/internal/connection"
	"github.com/concord-suite/concord/services/connector/internal/record"
)

// requireFull fails for every field of a message that is not set, so that one added to the contract and forgotten here
// shows. but names those that cannot be set at the same time.
func requireFull(t *testing.T, m proto.Message, but ...protoreflect.Name) {
	t.Helper()
	fields := m.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		excused := false
		for _, name := range but {
			excused = excused || name == f.Name()
		}
		if !excused {
			require.True(t, m.ProtoReflect().Has(f), "%s is not set", f.FullName())
		}
	}
}

var (
	noon    = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	options = connection.Options{ContactTypes: []string{"Customers"}, NewRecords: connection.Review, Removals: connection.Review,
		GuardPermille: 10, GuardFloor: 2, FullSyncEveryDays: 7}
	full = connection.Connection{
		Ref: connection.Ref{Firm: uuid.NewString(), ID: uuid.NewString()}, Provider: connection.XPM, TenantID: "t", TenantName: "n",
		State: connection.Degraded, Reason: "r", Options: options, Created: noon, ConnectedBy: "p", LastSuccess: noon, Version: 7,
		RemovalsSuspended: true, DayCallsLeft: 3,
	}
)

func TestConnection(t *testing.T) {
	m := ToConnection(full)
	requireFull(t, m)
	requireFull(t, m.GetOptions())
	require.Equal(t, options, Options(m.GetOptions()), "there and back")
	changed := full
	changed.Version++
	require.NotEqual(t, Etag(full), Etag(changed))
	require.LessOrEqual(t, len(Etag(connection.Connection{Version: 1 << 62})), 64)
	never := full
	never.LastSuccess = time.Time{}
	require.Nil(t, ToConnection(never).GetLastSuccessTime())
}

func TestAttempt(t *testing.T) {
	a := connection.Attempt{
		Ref: connection.Ref{Firm: uuid.NewString(), ID: uuid.NewString()}, Provider: connection.XPM, State: connection.Authorised, Expires: noon.Add(time.Minute),
		Error: "e", Subject: "s", Tenants: []connection.Tenant{{ID: "t", Name: "n", Type: "PRACTICEMANAGER"}, {ID: "u", Name: "m", Type: "x"}},
		Preselected: "u", Choice: connection.Choice{Connection: uuid.NewString()}, Upgrade: full.ID,
	}
	m := ToAttempt(a, noon, &full, []connection.Consent{{Tenant: "u", Subject: "somebody"}})
	requireFull(t, m, "connection")
	requireFull(t, m.GetTenants()[0])
	require.Len(t, m.GetWarnings(), 2)
	require.Equal(t, options, Options(m.GetSuggestedOptions()))
	require.Equal(t, connectorv1.AttemptState_ATTEMPT_STATE_EXPIRED, ToAttempt(a, noon.Add(time.Hour), nil, nil).GetState())
	require.Empty(t, ToAttempt(a, noon.Add(time.Hour), nil, nil).GetTenants(), "of an attempt that is over nothing is told")
	a.State = connection.Confirmed
	require.NotEmpty(t, ToAttempt(a, noon, nil, nil).GetConnection())
}

func TestEveryEnumValueHasACounterpart(t *testing.T) {
	each := func(e protoreflect.EnumType, known func(protoreflect.EnumNumber) bool) {
		values := e.Descriptor().Values()
		for i := range values.Len() {
			if n := values.Get(i).Number(); n != 0 {
				require.True(t, known(n), values.Get(i).FullName())
			}
		}
	}
	each(connectorv1.Provider(0).Type(), func(n protoreflect.EnumNumber) bool {
		p := Provider(connectorv1.Provider(n))
		return p != "" && ToProvider(p) == connectorv1.Provider(n)
	})
	each(connectorv1.ConnectionState(0).Type(), func(n protoreflect.EnumNumber) bool { return states[connectorv1.ConnectionState(n)] != "" })
	each(connectorv1.NewRecordPolicy(0).Type(), func(n protoreflect.EnumNumber) bool { return newRecords[connectorv1.NewRecordPolicy(n)] != "" })
	each(connectorv1.RemovalPolicy(0).Type(), func(n protoreflect.EnumNumber) bool { return removals[connectorv1.RemovalPolicy(n)] != "" })
	each(connectorv1.AttemptState(0).Type(), func(n protoreflect.EnumNumber) bool {
		for _, s := range attemptStates {
			if protoreflect.EnumNumber(s) == n {
				return true
			}
		}
		return false
	})
	each(connectorv1.Listing(0).Type(), func(n protoreflect.EnumNumber) bool { return int(Listing(connectorv1.Listing(n))) == int(n) })
	each(connectorv1.RecordState(0).Type(), func(n protoreflect.EnumNumber) bool { return int(recordStates[record.State(n)]) == int(n) })
}

func TestRecord(t *testing.T) {
	address := record.Address{Street: "a", City: "b", Region: "c", PostalCode: "d", Country: "e"}
	client := record.Record{ID: "1", State: record.Archived, LegacyID: "24", OutOfScope: true, MergedInto: "26", Client: &record.Client{
		Name: "1", Code: "2", EntityType: "3", FirstName: "4", LastName: "5", Email: "6", Phone: "7", Mobile: "8", OtherPhone: "9",
		Website: "10", Postal: address, Physical: address, TaxNumber: "11", BusinessNumber: "12", CompanyNumber: "13", BirthDate: "14",
		Groups: []string{"15"}, CustomFields: []record.CustomField{{ID: "16", Name: "17", Value: "18"}},
		Relationships: []record.Relationship{{Type: "19", Related: "20", RelatedName: "21", Shares: "22", Percentage: "23", Start: "24", End: "25"}},
	}}
	m := ToRecord(client)
	requireFull(t, m, "contact")
	requireFull(t, m.GetClient())
	requireFull(t, m.GetClient().GetPostalAddress())
	requireFull(t, m.GetClient().GetCustomFields()[0])
	requireFull(t, m.GetClient().GetRelationships()[0])
	require.Equal(t, client.Hash(), m.GetHash())
	require.Equal(t, []string{"groups", "custom_fields", "relationships"}, m.GetClient().GetUnread())
	client.Client.GroupsRead, client.Client.CustomFieldsRead, client.Client.RelationshipsRead = true, true, true
	require.Empty(t, ToRecord(client).GetClient().GetUnread())
	client.Outline = true
	m = ToRecord(client)
	require.Empty(t, m.GetHash())
	require.Equal(t, "1", m.GetClient().GetName())
	require.Len(t, m.GetClient().GetUnread(), m.GetClient().ProtoReflect().Descriptor().Fields().Len()-3)
	require.Nil(t, m.GetClient().GetPostalAddress())
	require.Nil(t, ToRecord(record.Record{ID: "1", State: record.Active, Client: &record.Client{Name: "a"}}).GetClient().GetPostalAddress())

	contact := ToRecord(record.Record{ID: "2", State: record.Active, Contact: &record.Contact{Name: "1", Email: "2", Phone: "3", Mobile: "4", Salutation: "5",
		Links: []record.Link{{Client: "1", Position: "2", Primary: true}}}})
	requireFull(t, contact, "client", "legacy_id", "out_of_scope", "merged_into")
	requireFull(t, contact.GetContact())
	requireFull(t, contact.GetContact().GetLinks()[0])
	require.Nil(t, ToRecord(record.Record{ID: "3", State: record.Deleted}).GetKind())
}
