package config

import (
	"regexp"
	"slices"
	"strings"
)

// notSettings are variables that begin like settings and are none: the folder of provider data which the Makefile exports.
var notSettings = []string{"CONCORD_PROVIDER_DATA"}

// injected are the variables that Kubernetes puts into every container for each service of its namespace, here for one
// whose name begins with "concord-".
var injected = regexp.MustCompile(`_(SERVICE_HOST=|SERVICE_PORT(_[A-Z0-9_]+)?=|PORT=(tcp|udp|sctp)://|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?=)`)

// CheckParts refuses CONCORD_ variables that are of none of the named parts of the suite: Load looks at the variables of
// one part alone, and a misspelt part would be nobody's. The error is a Mistakes.
func CheckParts(environ []string, parts ...string) error {
	var mistakes Mistakes
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		known := func(part string) bool { return strings.HasPrefix(name, Prefix(part)) }
		if !strings.HasPrefix(name, "CONCORD_") || value == "" || slices.ContainsFunc(parts, known) ||
			slices.Contains(notSettings, name) || injected.MatchString(pair) {
			continue
		}
		mistakes = append(mistakes, Mistake{Variable: name, Rule: "is not a setting; there are those of " + strings.Join(parts, ", ")})
	}
	if len(mistakes) > 0 {
		slices.SortFunc(mistakes, func(a, b Mistake) int { return strings.Compare(a.Variable, b.Variable) })
		return mistakes
	}
	return nil
}
