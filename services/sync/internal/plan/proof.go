package plan

import "fmt"

// Listing is what the pages of one complete listing said, taken together.
type Listing struct {
	// Pages is how many were read, Complete whether the last said that it was the last.
	Pages    int64
	Complete bool
	// Drifted is true when a page showed that the listing moved under the reader.
	Drifted bool
	// Records counts what the pages held, Distinct the different ids among them.
	Records, Distinct int64
	// AnnouncedMin and AnnouncedMax are the totals the pages announced, -1 for none.
	AnnouncedMin, AnnouncedMax int64
	// Tenants is how many tenants the pages came from; Tenant is one of them.
	Tenants int64
	Tenant  string
	// WantTenant is the tenant the run began with, NowTenant the connection's when the listing was read.
	WantTenant, NowTenant string
	// SelectionMoved is true when the options that decide what is listed changed while it was read.
	SelectionMoved bool
}

// Unproven says in words why a listing proves nobody's absence; "" when it does.
func (l Listing) Unproven() string {
	switch {
	case l.Pages == 0 || !l.Complete:
		return "the listing was not read to its end"
	case l.Tenants > 1:
		return "the pages came from more than one tenant"
	case l.Tenant != l.WantTenant:
		return "the listing came from another tenant than the connection's"
	case l.NowTenant != l.WantTenant:
		return "the connection was moved to another tenant while the listing was read"
	case l.SelectionMoved:
		return "the chosen contact types changed while the listing was read"
	case l.Records == 0:
		return "the listing was empty"
	case l.Drifted:
		return "the listing moved while it was read"
	case l.Distinct != l.Records:
		return fmt.Sprintf("the listing repeated records: %d lines, %d different records", l.Records, l.Distinct)
	case l.AnnouncedMin != l.AnnouncedMax:
		return fmt.Sprintf("the provider announced %d records on one page and %d on another", l.AnnouncedMin, l.AnnouncedMax)
	case l.AnnouncedMax >= 0 && l.AnnouncedMax != l.Records:
		return fmt.Sprintf("the provider announced %d records and listed %d", l.AnnouncedMax, l.Records)
	}
	return ""
}
