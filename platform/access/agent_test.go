package access

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhatAProgramCallsItselfFitsOnALine(t *testing.T) {
	for said, kept := range map[string]string{
		"":                                     "",
		" Firefox/128.0 ":                      "Firefox/128.0",
		"a\nlevel=ERROR msg=forged\x1b[31m":    "alevel=ERROR msg=forged[31m",
		"Bücher 1.0":                           "Bcher 1.0",
		strings.Repeat("x", 10_000):            strings.Repeat("x", 200),
		strings.Repeat("\xff", 5000) + "later": "",
	} {
		require.Equal(t, kept, AgentOf(WithAgent(t.Context(), said)))
	}
	require.Empty(t, AgentOf(t.Context()))
}
