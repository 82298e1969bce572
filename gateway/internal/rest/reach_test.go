package rest

import (
	"context"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/concord-suite/concord/gateway/internal/request"
	"github.com/concord-suite/concord/gateway/internal/session"
)

// TestEveryAddressReachesItsRPC: of two addresses that a path fits, the one with a verb is meant. The mux takes the RPC that
// stands later in its service, so "{name=…/*}:diagnose" has to stand behind "{name=…/*}" in the contract.
func TestEveryAddressReachesItsRPC(t *testing.T) {
	reached := &reached{}
	cookies, err := session.NewCookies("http://127.0.0.1")
	require.NoError(t, err)
	api, err := New(Conns{reached, reached, reached, reached}, cookies, session.NewCache(nil, time.Now))
	require.NoError(t, err)
	parameter := regexp.MustCompile(`\{[a-z0-9_.]+=([^}]*)\}`)
	routes := request.Contract("concord.")
	require.Greater(t, len(routes), 80)
	for key, route := range routes {
		path := parameter.ReplaceAllString(strings.TrimPrefix(key, route.Verb+" "), "$1")
		path = strings.ReplaceAll(path, "*", "0198c0de-0000-7000-8000-000000000001")
		body := ""
		if route.Body != "" {
			body = "{}"
		}
		reached.method = ""
		api.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(route.Verb, path, strings.NewReader(body)))
		want := "/" + string(route.Method.Parent().FullName()) + "/" + string(route.Method.Name())
		if reached.method != want {
			t.Errorf("%s reaches %q instead of %s", key, reached.method, want)
		}
	}
}

// reached is a connection to services that notes which RPC was called and answers none.
type reached struct{ method string }

func (r *reached) Invoke(_ context.Context, method string, _, _ any, _ ...grpc.CallOption) error {
	r.method = method
	return status.Error(codes.Unavailable, "not answered")
}

func (r *reached) NewStream(_ context.Context, _ *grpc.StreamDesc, method string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	r.method = method
	return nil, status.Error(codes.Unavailable, "not answered")
}
