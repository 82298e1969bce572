package accounting

import "github.com/concord-suite/concord/services/connector/internal/provider"

// Costs says how many calls things take. Every listing comes from the same pages of contacts, which are clients here; their
// people come with them, and there is nothing that a client keeps apart.
func (Adapter) Costs() provider.Costs {
	paged := provider.ListingCost{Page: pageSize}
	return provider.Costs{
		Listings: map[provider.Listing]provider.ListingCost{
			provider.Clients: paged, provider.Contacts: paged, provider.ChangedClients: {},
		},
		Read: 1, Detail: 1,
	}
}
