package provider_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/services/connector/internal/provider"
)

func TestBlame(t *testing.T) {
	for words, path := range map[string]string{
		"The contact name Smith is already assigned to another contact.":                   "name",
		"The contact name Email Marketing Ltd is already assigned to another contact.":     "name",
		"The contact name Mobile Tyres is already assigned to another contact.":            "name",
		"The Account Number 12 is already used by the contact name First Name Badges Ltd.": "code",
		"Email address must be valid.":                                                     "email",
		"The first name is too long.":                                                      "first_name",
		"The client name is required":                                                      "name",
		"Something else went wrong.":                                                       "",
	} {
		require.Equal(t, path, provider.Blame(words), words)
	}
}
