// Package who names accounts the way the rest of the suite knows them: as principals and as resources.
package who

import (
	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/store"
)

// Kind is the kind of principal an account acts as.
func Kind(kind account.Kind, role account.Role) access.Kind {
	switch {
	case kind == account.Operator:
		return access.Operator
	case kind == account.Contact:
		return access.Contact
	case role == account.Administrator:
		return access.Administrator
	case role == account.Member:
		return access.Staff
	}
	return access.ReadOnlyStaff // what is not known may do the least
}

// ID is the id of the principal: the contact's for a contact login, so that what a contact may see can be looked up by
// it, else the account's.
func ID(kind account.Kind, id, contact string) string {
	if kind == account.Contact {
		return contact
	}
	return id
}

// Name is the resource name of an account.
func Name(kind account.Kind, firm, id string) string {
	switch kind {
	case account.Operator:
		return names.Format(store.OperatorName, id)
	case account.Contact:
		return names.Format(store.ContactLoginName, firm, id)
	}
	return names.Format(store.StaffName, firm, id)
}
