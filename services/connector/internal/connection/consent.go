package connection

import "fmt"

// Consent is whose consent a connection uses.
type Consent struct {
	// Tenant is the id of the connection's tenant.
	Tenant string
	// Subject is who consented, as the provider names the person; Person is a name to show, empty when it is not known.
	Subject, Person string
}

// Replaces returns the consent that the attempt's would take the place of, were this tenant chosen: somebody else's. nil
// when there is none.
func (a Attempt) Replaces(tenant string, present []Consent) *Consent {
	for i, one := range present {
		if one.Tenant == tenant && one.Subject != "" && a.Subject != "" && one.Subject != a.Subject {
			return &present[i]
		}
	}
	return nil
}

// replacements says of every tenant to choose from whose consent would be used from then on, when that is another's than
// before.
func (a Attempt) replacements(present []Consent) (all []string) {
	for _, t := range a.Tenants {
		if before := a.Replaces(t.ID, present); before != nil {
			all = append(all, fmt.Sprintf("So far the connection to %q uses the consent of %s. Once you confirm it, it uses the consent "+
				"of %s, and what that person is allowed to do there.", t.Name, named(before.Person, "somebody else"),
				named(a.ConsentedBy, "the person who has just given it")))
		}
	}
	return all
}

func named(person, unknown string) string {
	if person == "" {
		return unknown
	}
	return person
}
