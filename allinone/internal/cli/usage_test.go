package cli

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A command that has commands of its own lists them when it is asked for help.
func TestCommandsOfACommandAreListed(t *testing.T) {
	for group, parts := range map[string][]string{
		"audit": {"audit export", "audit verify [FILE]", "audit follow", "check such a file"}, "config": {"config check", "config print", "config doc"},
		"keys": {"keys status", "keys wrap", "in a KMS"}, "events": {"events list", "events retry ID"},
		"operator": {"operator recover", "lost every factor"}, "connections": {"connections doctor"},
	} {
		for _, asked := range []string{"-h", "--help", "help"} {
			code, out, errs := command(t, group, asked)
			require.Equal(t, exitOK, code, "%s %s: %s", group, asked, errs)
			for _, part := range parts {
				require.Contains(t, out, part)
			}
			require.NotContains(t, out, "  serve")
		}
	}
	code, out, _ := command(t, "audit", "verify", "-h")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "-key")
}
