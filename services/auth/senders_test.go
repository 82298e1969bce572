package auth_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What can not be sent is said at the start, and only what is true.
func TestWaysToSendThatAreMissingAreSaid(t *testing.T) {
	const none, textsOnly = "nobody can be sent a PIN", "PINs go by text message only"
	for name, c := range map[string]struct {
		options options
		want    string
	}{
		"neither":        {options{noMail: true, noSMS: true}, none},
		"no mail server": {options{noMail: true}, textsOnly},
		"no texts":       {options{noSMS: true}, ""},
		"both":           {options{}, ""},
	} {
		logs := onSQLite(t, c.options).logs.String()
		for _, line := range []string{none, textsOnly} {
			require.Equal(t, line == c.want, strings.Contains(logs, line), "%s: %s", name, line)
		}
	}
}
