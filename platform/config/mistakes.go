package config

import (
	"maps"
	"slices"
	"strings"
)

// Mistake is one wrong setting.
type Mistake struct {
	// Key is the setting's path in the file ("sms.url"); empty when only the environment knows it.
	Key string
	// Variable is the setting's full environment variable; empty for rules across settings.
	Variable string
	// Rule says which rule is broken, in words that follow the key: "is required". It never holds a secret's value.
	Rule string
}

// String returns the mistake as one line: "sms.url (CONCORD_AUTH_SMS_URL): is required".
func (m Mistake) String() string {
	rule := strings.ReplaceAll(m.Rule, "\n", " ")
	switch {
	case m.Key == "" && m.Variable == "":
		return rule
	case m.Key == "":
		return m.Variable + ": " + rule
	case m.Variable == "":
		return m.Key + ": " + rule
	default:
		return m.Key + " (" + m.Variable + "): " + rule
	}
}

// Mistakes is the error of Load when settings are wrong: all of them, in the order of the struct.
type Mistakes []Mistake

// Error returns one line per mistake.
func (m Mistakes) Error() string {
	lines := make([]string, len(m))
	for i, mistake := range m {
		lines[i] = mistake.String()
	}
	return strings.Join(lines, "\n")
}

// split takes joined errors apart.
func split(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, one := range joined.Unwrap() {
		all = append(all, split(one)...)
	}
	return all
}

func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}
