package connection

import "slices"

// Policy is what happens with new records (Create, Review) or with proven removals (Apply, Review).
type Policy string

// The policies.
const (
	// Create makes a client of a new record.
	Create Policy = "CREATE"
	// Apply lets proven removals below the guard happen by themselves.
	Apply Policy = "APPLY"
	// Review lets it wait for a person.
	Review Policy = "REVIEW"
)

// Options are what an administrator chooses for a connection.
type Options struct {
	// ContactTypes are the contact types to take, in the provider's words; empty means all.
	ContactTypes []string `json:"contact_types,omitempty"`
	// NewRecords is Create or Review.
	NewRecords Policy `json:"new_records"`
	// Removals is Apply or Review.
	Removals Policy `json:"removals"`
	// GuardPermille and GuardFloor withhold a run that would remove more than the larger of this share (in thousandths of
	// the linked clients) and this number.
	GuardPermille int `json:"guard_permille"`
	GuardFloor    int `json:"guard_floor"`
	// FullSyncEveryDays is the schedule of full runs; 0 means none.
	FullSyncEveryDays int `json:"full_sync_every_days"`
}

// The defaults. A guard of max(5, 10 %) is what directory products ship with; 30 days is what practices are advised.
const (
	defaultGuardPermille = 100
	defaultGuardFloor    = 5
	defaultFullSyncDays  = 30
)

// DefaultOptions returns what a first connection is offered.
func DefaultOptions() Options {
	return Options{NewRecords: Create, Removals: Apply, GuardPermille: defaultGuardPermille,
		GuardFloor: defaultGuardFloor, FullSyncEveryDays: defaultFullSyncDays}
}

// Complete returns the options with defaults in the place of what was left out. A guard of zero and zero counts as left
// out: it would withhold every removal, which is what the review policy is for.
func (o Options) Complete() Options {
	if o.NewRecords == "" {
		o.NewRecords = Create
	}
	if o.Removals == "" {
		o.Removals = Apply
	}
	if o.GuardPermille == 0 && o.GuardFloor == 0 {
		o.GuardPermille, o.GuardFloor = defaultGuardPermille, defaultGuardFloor
	}
	o.ContactTypes = slices.Clone(o.ContactTypes)
	return o
}

// Equal reports whether two sets of options say the same.
func (o Options) Equal(other Options) bool {
	return slices.Equal(o.ContactTypes, other.ContactTypes) && o.NewRecords == other.NewRecords &&
		o.Removals == other.Removals && o.GuardPermille == other.GuardPermille && o.GuardFloor == other.GuardFloor &&
		o.FullSyncEveryDays == other.FullSyncEveryDays
}
