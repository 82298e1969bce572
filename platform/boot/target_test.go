package boot

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestInternalHTTPIsNamedAsGRPCIs(t *testing.T) {
	for target, ownNames := range map[string]bool{
		"documents:8081": false, "dns:///documents:8081": false, "dns://127.0.0.1:53/documents:8081": true,
	} {
		host, dialer, err := httpTarget(target)
		require.NoError(t, err, target)
		require.Equal(t, "documents:8081", host)
		require.Equal(t, ownNames, dialer.Resolver != nil, target)
		require.NotZero(t, dialer.Timeout)
	}
	for _, target := range []string{"https://documents:8081", "dns:///documents", "dns://documents:8081"} {
		_, _, err := httpTarget(target)
		require.ErrorContains(t, err, "peers: want", target)
	}
}
