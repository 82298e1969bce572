package wire

import (
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"

	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/record"
)

// Listing reads a listing.
func Listing(l connectorv1.Listing) provider.Listing {
	switch l {
	case connectorv1.Listing_LISTING_CONTACTS:
		return provider.Contacts
	case connectorv1.Listing_LISTING_CHANGED_CLIENTS:
		return provider.ChangedClients
	case connectorv1.Listing_LISTING_LEGACY_IDS:
		return provider.LegacyIDs
	default:
		return provider.Clients
	}
}

var recordStates = map[record.State]connectorv1.RecordState{
	record.Active:   connectorv1.RecordState_RECORD_STATE_ACTIVE,
	record.Archived: connectorv1.RecordState_RECORD_STATE_ARCHIVED,
	record.Deleted:  connectorv1.RecordState_RECORD_STATE_DELETED,
}

// ToRecord writes a record with its hash.
func ToRecord(r record.Record) *connectorv1.Record {
	w := &connectorv1.Record{RecordId: r.ID, State: recordStates[r.State], Hash: r.Hash(), LegacyId: r.LegacyID, OutOfScope: r.OutOfScope, MergedInto: r.MergedInto}
	switch {
	case r.Client != nil && r.Outline:
		w.Kind = &connectorv1.Record_Client{Client: &connectorv1.ClientFields{Name: r.Client.Name, Code: r.Client.Code, Unread: outline}}
	case r.Client != nil:
		w.Kind = &connectorv1.Record_Client{Client: toClient(r.Client)}
	case r.Contact != nil:
		w.Kind = &connectorv1.Record_Contact{Contact: toContact(r.Contact)}
	}
	return w
}

func toClient(c *record.Client) *connectorv1.ClientFields {
	w := &connectorv1.ClientFields{
		Name: c.Name, Code: c.Code, EntityType: c.EntityType, FirstName: c.FirstName, LastName: c.LastName, Email: c.Email,
		Phone: c.Phone, Mobile: c.Mobile, OtherPhone: c.OtherPhone, Website: c.Website,
		PostalAddress: toAddress(c.Postal), PhysicalAddress: toAddress(c.Physical),
		TaxNumber: c.TaxNumber, BusinessNumber: c.BusinessNumber, CompanyNumber: c.CompanyNumber, BirthDate: c.BirthDate,
		Groups: c.Groups,
	}
	for _, f := range c.CustomFields {
		w.CustomFields = append(w.CustomFields, &connectorv1.CustomField{FieldId: f.ID, Name: f.Name, Value: f.Value})
	}
	for _, r := range c.Relationships {
		w.Relationships = append(w.Relationships, &connectorv1.Relationship{Type: r.Type, RelatedRecordId: r.Related, RelatedName: r.RelatedName,
			Shares: r.Shares, Percentage: r.Percentage, StartDate: r.Start, EndDate: r.End})
	}
	for _, f := range []struct {
		name string
		read bool
	}{{"groups", c.GroupsRead}, {"custom_fields", c.CustomFieldsRead}, {"relationships", c.RelationshipsRead}} {
		if !f.read {
			w.Unread = append(w.Unread, f.name)
		}
	}
	return w
}

// outline is what an outline of a client does not carry: every field but its name and code.
var outline = func() (unread []string) {
	fields := (*connectorv1.ClientFields)(nil).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		switch name := string(fields.Get(i).Name()); name {
		case "name", "code", "unread":
		default:
			unread = append(unread, name)
		}
	}
	return unread
}()

// toAddress writes an address, or nothing for an empty one.
func toAddress(a record.Address) *connectorv1.Address {
	if a == (record.Address{}) {
		return nil
	}
	return &connectorv1.Address{Street: a.Street, City: a.City, Region: a.Region, PostalCode: a.PostalCode, Country: a.Country}
}

func toContact(c *record.Contact) *connectorv1.ContactFields {
	w := &connectorv1.ContactFields{Name: c.Name, Email: c.Email, Phone: c.Phone, Mobile: c.Mobile, Salutation: c.Salutation}
	for _, l := range c.Links {
		w.Links = append(w.Links, &connectorv1.ContactLink{ClientRecordId: l.Client, Position: l.Position, Primary: l.Primary})
	}
	return w
}
