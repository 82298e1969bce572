package flow

import "slices"

// union returns the scopes of both, in their order and each once. Consent is asked for all that the person has consented
// to before, besides what is needed now: the new tokens take the place of the old ones, and must not narrow what they
// were good for.
func union(needed, before []string) []string {
	all := slices.Clone(needed)
	for _, scope := range before {
		if !slices.Contains(all, scope) {
			all = append(all, scope)
		}
	}
	return all
}

// aboutThePerson are the scopes that no call to an API needs: who signs in, and the refresh token, whose absence shows by
// itself.
var aboutThePerson = []string{"openid", "profile", "email", "offline_access"}

// missing returns the scopes that are needed for calls and were not granted.
func missing(needed, granted []string) []string {
	return slices.DeleteFunc(slices.Clone(needed), func(scope string) bool {
		return slices.Contains(granted, scope) || slices.Contains(aboutThePerson, scope)
	})
}

// covers reports whether scopes are all that is wanted, and maybe more.
func covers(scopes, wanted []string) bool {
	return !slices.ContainsFunc(wanted, func(s string) bool { return !slices.Contains(scopes, s) })
}
