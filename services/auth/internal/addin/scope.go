package addin

import (
	"slices"
	"strings"
)

// The scopes there are. What an Add-In may do is the person's role; a scope says what it is handed.
const (
	// OpenID asks for an ID token: who signed in.
	OpenID = "openid"
	// Offline asks for refresh tokens: without them the Add-In has the ten minutes of one access token.
	Offline = "offline_access"
)

// Scopes lists the scopes there are.
func Scopes() []string { return []string{OpenID, Offline} }

// Scope is a set of scopes, sorted.
type Scope []string

// ParseScope reads scopes with spaces between them (RFC 6749 §3.3). It answers false for one that does not exist.
func ParseScope(text string) (Scope, bool) {
	s := Scope(strings.Fields(text))
	for _, one := range s {
		if !slices.Contains(Scopes(), one) {
			return nil, false
		}
	}
	slices.Sort(s)
	return slices.Compact(s), true
}

// OrDefault is what is granted to who asks for nothing: refreshing, and no ID token.
func (s Scope) OrDefault() Scope {
	if len(s) == 0 {
		return Scope{Offline}
	}
	return s
}

// Has tells whether a scope is in the set.
func (s Scope) Has(one string) bool { return slices.Contains(s, one) }

// Within tells whether the set asks for nothing that other does not hold.
func (s Scope) Within(other Scope) bool {
	return !slices.ContainsFunc(s, func(one string) bool { return !other.Has(one) })
}

// String is the set as it travels.
func (s Scope) String() string { return strings.Join(s, " ") }
