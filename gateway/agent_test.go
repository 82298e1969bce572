package gateway_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/access"
)

// The services that are called learn what program the person came with, for the ledger; nothing else of the request's
// headers goes on.
func TestS15_ServicesLearnTheEquipment(t *testing.T) {
	s := start(t, nil)
	resp, _ := s.do(t, "GET", "/v1/"+firm+"/clients", "", "Authorization", "Bearer "+token, "User-Agent", "Firefox/128.0 "+strings.Repeat("x", 900))
	require.Equal(t, 200, resp.StatusCode)
	s.mu.Lock()
	defer s.mu.Unlock()
	said := s.seen["ListClients"].Get(access.AgentHeader)
	require.Len(t, said, 1)
	require.True(t, strings.HasPrefix(said[0], "Firefox/128.0 xxx"))
	require.Len(t, said[0], 200)
	require.Empty(t, s.seen["ListClients"].Get("grpcgateway-user-agent"))
}
