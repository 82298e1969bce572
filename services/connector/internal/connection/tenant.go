package connection

import (
	"slices"
	"strings"
	"time"
)

// Tenant is what can be connected: an organisation, a practice, an account.
type Tenant struct {
	// ID is the provider's id of the tenant.
	ID   string `json:"id"`
	Name string `json:"name"`
	// Type is the provider's word, for example PRACTICEMANAGER.
	Type string `json:"type"`
	// UpstreamID is the provider's id of the connection to it.
	UpstreamID string `json:"upstream_id"`
	// AuthEvent is the consent that added or renewed it.
	AuthEvent string    `json:"auth_event,omitempty"`
	Updated   time.Time `json:"updated,omitzero"`
	// Privilege says in words what the person who consented may not do there; empty when all is well or not known.
	Privilege string `json:"privilege,omitempty"`
}

// OfType returns the tenants of one type, by name. A provider lists everything the person ever connected.
func OfType(all []Tenant, kind string) []Tenant {
	fit := slices.DeleteFunc(slices.Clone(all), func(t Tenant) bool { return !strings.EqualFold(t.Type, kind) })
	slices.SortStableFunc(fit, func(a, b Tenant) int { return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) })
	return fit
}

// Preselect returns the id of the tenant a consent was for: the one its authentication event touched. When none carries
// the event it is the one renewed last; of several, again the last. "" for no tenants.
func Preselect(tenants []Tenant, event string) string {
	var best *Tenant
	ofEvent := func(t *Tenant) bool { return event != "" && strings.EqualFold(t.AuthEvent, event) }
	for i := range tenants {
		t := &tenants[i]
		switch {
		case best == nil,
			ofEvent(t) && !ofEvent(best),
			ofEvent(t) == ofEvent(best) && t.Updated.After(best.Updated):
			best = t
		}
	}
	if best == nil {
		return ""
	}
	return best.ID
}
