package xpm

import "github.com/concord-suite/concord/services/connector/internal/provider"

// Dialect is what differs between the practice systems that share these resources and documents: how lists come in pages,
// which header names the tenant, and what a person must be allowed. Everything else is read and written alike.
type Dialect struct {
	// TenantHeader is the header of every call that names the tenant.
	TenantHeader string
	// Clients is how the list of clients comes in pages.
	Clients Paging
	// Contacts is how the list of contacts does. Without a path there is no such list, and contacts are taken from the
	// clients they stand in.
	Contacts Paging
	// Requirement is what to look to before consent is given; Privilege is what a person lacks whom the system refuses, in
	// the words that stand there, and how to get it.
	Requirement, Privilege string
}

// Paging is how a list comes in pages.
type Paging struct {
	// Path is relative to the API's address.
	Path string
	// Size is how many records a page has: the most that is given, or that is known to be given.
	Size int
	// SizeName and PlaceName are the parameters that say how large a page is to be and where it begins.
	SizeName, PlaceName string
	// Numbered is set for pages that are counted from 1 and say how many records there are in all. Otherwise a page links
	// to the next.
	Numbered bool
}

// XPM is Xero Practice Manager. Its paged list of clients has neither archived ones nor contacts nor groups.
var XPM = Dialect{
	TenantHeader: "xero-tenant-id",
	Clients:      Paging{Path: "client.api/paged-list", Size: 500, SizeName: "pageSize", PlaceName: "pageToken"},
	Contacts:     Paging{Path: "client.api/contacts", Size: 500, SizeName: "pageSize", PlaceName: "pageToken"},
	Requirement: `Whoever signs in at Xero needs the privilege "Authorise 3rd Party Full Access" in Xero Practice Manager ` +
		`(Business > Staff > (the staff member) > Privileges).`,
	Privilege: `The staff member who authorised needs "Authorise 3rd Party Full Access" in Xero Practice Manager: ` +
		`an administrator of the practice sets it under Business > Staff > (the staff member) > Privileges. Then connect again.`,
}

// WorkflowMax is WorkflowMax by BlueRock, as its API is described. It has one list of clients, archived ones and contacts
// in it, and none of contacts. That pages may be larger than the 100 they have when nothing is asked for is not known.
//
// No provider is made of it yet: its sign-in is another one than Xero's.
var WorkflowMax = Dialect{
	TenantHeader: "account_id",
	Clients:      Paging{Path: "client.api/list", Size: 100, SizeName: "pagesize", PlaceName: "page", Numbered: true},
	Requirement:  `Whoever signs in at WorkflowMax needs the privilege to authorise third parties with full access there.`,
	Privilege: `The staff member who authorised needs the privilege to authorise third parties with full access in WorkflowMax: ` +
		`an administrator of the account gives it to the staff member there. Then connect again.`,
}

// Costs says how many calls things take. The list of contacts does not say whose they are, so it needs one call more for
// all; what changed, and the ids from before OAuth 2, come in one answer. A client's own fields take a second call; the
// definitions of such fields, which are remembered, take one for many clients.
func (a Adapter) Costs() provider.Costs {
	contacts := provider.ListingCost{Page: a.dialect.Contacts.Size, OfContacts: true, Ahead: 1}
	if a.dialect.Contacts.Path == "" {
		contacts = provider.ListingCost{Page: a.dialect.Clients.Size}
	}
	return provider.Costs{
		Listings: map[provider.Listing]provider.ListingCost{
			provider.Clients:        {Page: a.dialect.Clients.Size},
			provider.Contacts:       contacts,
			provider.ChangedClients: {},
			provider.LegacyIDs:      {},
		},
		Read: 1, Detail: 2, DetailsAhead: 1,
	}
}
