package peer

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"

	"github.com/concord-suite/concord/platform/names"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/plan"
	"github.com/concord-suite/concord/services/sync/internal/run"
)

// ClientOf turns a record's fields into a client's.
func ClientOf(f *connectorv1.ClientFields) client.Fields {
	return client.Fields{
		Name: f.GetName(), Code: f.GetCode(), EntityType: f.GetEntityType(), FirstName: f.GetFirstName(),
		LastName: f.GetLastName(), Email: f.GetEmail(), Phone: f.GetPhone(), Mobile: f.GetMobile(),
		OtherPhone: f.GetOtherPhone(), Website: f.GetWebsite(), Postal: addressOf(f.GetPostalAddress()),
		Physical: addressOf(f.GetPhysicalAddress()), TaxNumber: f.GetTaxNumber(), BusinessNumber: f.GetBusinessNumber(),
		CompanyNumber: f.GetCompanyNumber(), BirthDate: f.GetBirthDate(), Groups: slices.Clone(f.GetGroups()),
	}.Clean()
}

// HashOf is what tells a client's record from what it was. Connector's hash leaves groups out, which one listing of a provider
// carries and another does not; where this one does, they follow it, as plan.SameHash compares them. An outline has none.
func HashOf(r *connectorv1.Record) string {
	f := r.GetClient()
	if r.GetHash() == "" || !saysGroups(f) {
		return r.GetHash()
	}
	if len(f.GetGroups()) == 0 {
		return r.GetHash() + plan.GroupsFollow
	}
	sum := fnv.New64a()
	for _, g := range (client.Fields{Groups: f.GetGroups()}).Clean().Groups {
		_, _ = sum.Write([]byte(g + "\x00"))
	}
	return fmt.Sprintf("%s%s%x", r.GetHash(), plan.GroupsFollow, sum.Sum64())
}

func saysGroups(f *connectorv1.ClientFields) bool { return !slices.Contains(f.GetUnread(), "groups") }

// Over returns a record's fields as they take the place of a client's: what the record says nothing of stays.
func Over(f *connectorv1.ClientFields, was client.Fields) client.Fields {
	out := ClientOf(f)
	if !saysGroups(f) {
		out.Groups = was.Groups
	}
	return out
}

func addressOf(a *connectorv1.Address) client.Address {
	return client.Address{
		Street: a.GetStreet(), City: a.GetCity(), Region: a.GetRegion(), PostalCode: a.GetPostalCode(), Country: a.GetCountry(),
	}
}

// DetailsOf takes what listings leave out from a record's fields.
func DetailsOf(f *connectorv1.ClientFields) client.Details {
	d := client.Details{Groups: f.GetGroups()}
	for _, c := range f.GetCustomFields() {
		d.CustomFields = append(d.CustomFields, client.CustomField{Name: c.GetName(), Value: c.GetValue()})
	}
	for _, r := range f.GetRelationships() {
		d.Relationships = append(d.Relationships, client.Relationship{
			Type: r.GetType(), Record: r.GetRelatedRecordId(), Name: r.GetRelatedName(), Shares: r.GetShares(),
			Percentage: r.GetPercentage(), Start: r.GetStartDate(), End: r.GetEndDate(),
		})
	}
	return d.Clean()
}

// ContactOf turns a record's fields into a contact's.
func ContactOf(f *connectorv1.ContactFields) client.RecordContact {
	out := client.RecordContact{Person: client.Person{
		Name: f.GetName(), Email: f.GetEmail(), Phone: f.GetPhone(), Mobile: f.GetMobile(), Salutation: f.GetSalutation(),
	}}
	for _, l := range f.GetLinks() {
		out.Links = append(out.Links, client.RecordLink{
			ClientRecord: l.GetClientRecordId(), Position: l.GetPosition(), Primary: l.GetPrimary(),
		})
	}
	return out.Clean()
}

var states = map[connectorv1.ConnectionState]run.ConnectionState{
	connectorv1.ConnectionState_CONNECTION_STATE_ACTIVE:       run.ConnectionActive,
	connectorv1.ConnectionState_CONNECTION_STATE_DEGRADED:     run.ConnectionDegraded,
	connectorv1.ConnectionState_CONNECTION_STATE_NEEDS_REAUTH: run.ConnectionNeedsReauth,
	connectorv1.ConnectionState_CONNECTION_STATE_DISCONNECTED: run.ConnectionDisconnected,
	connectorv1.ConnectionState_CONNECTION_STATE_LEGACY:       run.ConnectionLegacy,
}

// ConnectionOf takes what bears on runs from a connection. It reports false when the name or the state is none.
func ConnectionOf(c *connectorv1.Connection) (run.Connection, bool) {
	ids, err := names.Parse("firms/{firm}/connections/{connection}", c.GetName())
	state, known := states[c.GetState()]
	if err != nil || !known {
		return run.Connection{}, false
	}
	o := c.GetOptions()
	out := run.Connection{
		Firm: ids[0], ID: ids[1], Provider: c.GetProvider().String(), Tenant: c.GetTenantId(), State: state,
		StateReason: c.GetStateReason(), Selection: selectionOf(o),
		ReviewNew:      o.GetNewRecordPolicy() == connectorv1.NewRecordPolicy_NEW_RECORD_POLICY_REVIEW,
		ReviewRemovals: o.GetRemovalPolicy() == connectorv1.RemovalPolicy_REMOVAL_POLICY_REVIEW,
		FullEveryDays:  int64(o.GetFullSyncEveryDays()), RemovalsSuspended: c.GetRemovalsSuspended(),
		EstablishedAt: c.GetCreateTime().AsTime(),
	}
	out.Guard.Permille, out.Guard.Floor = int64(o.GetRemovalGuardPermille()), int64(o.GetRemovalGuardFloor())
	return out, true
}

// selectionOf stands for the options that decide what is listed. Their order means nothing.
func selectionOf(o *connectorv1.ConnectionOptions) string {
	types := slices.Clone(o.GetContactTypes())
	slices.Sort(types)
	text, err := json.Marshal(slices.Compact(types))
	if err != nil || len(types) == 0 {
		return ""
	}
	return string(text)
}
