package gateway_test

import (
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/concord-suite/concord/gateway"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
)

// The gateway waits for auth once. Were it to follow auth, a moment without auth would take every gateway out of service,
// and with them what needs no auth: sessions that are known, documents on their way.
func TestTheGatewayIsReadyOnceAuthHasAnswered(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := lis.Addr().String()
	lis.Close()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer conn.Close()
	svc, err := gateway.New(t.Context(), gateway.Config{PublicURL: "http://127.0.0.1", RequestsPerMinute: 10, SignInsPerMinute: 10}, gateway.Deps{
		Auth: conn, Connector: conn, Sync: conn, Documents: conn, Bytes: http.DefaultTransport, BytesHost: "127.0.0.1:1",
		Now: time.Now, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	require.Error(t, svc.Ready(t.Context()), "nobody has answered yet")

	lis, err = net.Listen("tcp", address)
	require.NoError(t, err)
	auth := grpc.NewServer()
	authv1.RegisterKeyServiceServer(auth, &peer{seen: map[string]metadata.MD{}})
	go func() { _ = auth.Serve(lis) }()
	require.Eventually(t, func() bool { return svc.Ready(t.Context()) == nil }, time.Minute, 50*time.Millisecond)
	auth.Stop()
	require.NoError(t, svc.Ready(t.Context()))
}
