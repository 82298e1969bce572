package connection

import (
	"fmt"
	"strings"
)

// LegacyReason is why a legacy connection can do nothing.
const LegacyReason = "Imported from before OAuth 2. It waits until an administrator upgrades it."

// SameName reports whether two names of a practice are the same to people, who do not look at case and spaces.
func SameName(a, b string) bool {
	return strings.EqualFold(strings.Join(strings.Fields(a), " "), strings.Join(strings.Fields(b), " "))
}

// Differs reports whether a tenant is another than the connection was to. Of a legacy connection only the name is known, so
// one that was renamed looks like another.
func (c Connection) Differs(t Tenant) bool {
	if c.State == Legacy {
		return !SameName(c.TenantName, t.Name)
	}
	return c.TenantID != t.ID
}

// LegacyWarning is what to tell somebody who makes a new connection while one from before OAuth 2 waits for its upgrade.
func LegacyWarning(waiting Connection) string {
	return fmt.Sprintf("%q was imported from before OAuth 2 and waits for its upgrade. Upgrade that connection instead: "+
		"a new one knows none of its clients.", waiting.TenantName)
}
