package names_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/rpcerr"
)

const pattern = "firms/{firm}/clients/{client}"

func TestParseTakesANameApart(t *testing.T) {
	ids, err := names.Parse(pattern, "firms/0192-a/clients/c.1~x_Y")
	require.NoError(t, err)
	require.Equal(t, []string{"0192-a", "c.1~x_Y"}, ids)

	ids, err = names.Parse("firms/{firm}/securityPolicy", "firms/f/securityPolicy")
	require.NoError(t, err)
	require.Equal(t, []string{"f"}, ids)
}

func TestParseRefusesWhatIsNotAName(t *testing.T) {
	for _, name := range []string{
		"", "firms", "firms/", "firms/f", "firms/f/clients", "firms/f/clients/", "firms//clients/c", "firms/f/clients/c/",
		"firms/f/clients/c/x", "/firms/f/clients/c", "firms/f/contacts/c", "firms/f/clients/..", "firms/f/clients/.",
		"firms/f/clients/a b", "firms/f/clients/a\x00", "firms/f/clients/ä", "firms/f/clients/a%2Fb", "FIRMS/f/clients/c",
		"firms/f/clients/" + strings.Repeat("x", 129),
	} {
		_, err := names.Parse(pattern, name)
		require.Error(t, err, "%q", name)
		require.NotContains(t, err.Error(), "\x00")
	}
}

func TestParseFieldNamesTheField(t *testing.T) {
	_, err := names.ParseField("client", pattern, "nonsense")
	e := rpcerr.From(err)
	require.Equal(t, codes.InvalidArgument, e.Code())
	require.Equal(t, "client", e.Violations()[0].Field)
	require.Contains(t, e.Violations()[0].Description, pattern)
}

func TestFormatIsTheInverseOfParse(t *testing.T) {
	name := names.Format(pattern, "f", "c")
	require.Equal(t, "firms/f/clients/c", name)
	_, err := names.Parse(pattern, names.Format(pattern, "f"))
	require.Error(t, err, "a missing id makes no name")
}

func TestFirmIsTheFirstPair(t *testing.T) {
	for name, want := range map[string]string{"firms/f": "f", "firms/f/clients/c": "f", "firms/f/clients/-/runs": "f"} {
		got, err := names.Firm(name)
		require.NoError(t, err, name)
		require.Equal(t, want, got)
	}
	for _, name := range []string{"", "f", "firms/", "firms/-", "firms/-/clients/c", "firms/f/", "firms/f//c", "clients/c", "firms/f/a b"} {
		_, err := names.Firm(name)
		require.Error(t, err, "%q", name)
	}
}
