package load

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/test/topology"
)

const (
	// gatewayCalls are made at each gateway in each round; some hundreds come before, so that everything is warm.
	gatewayCalls, warming = 4000, 500
	// callers call at the same time.
	callers = 4
	// rounds are measured in turn, one gateway after the other, and the middle one counts.
	rounds = 5
)

// BenchmarkGateway compares the CPU that one GET costs the gateway's process with what it costs a process that has the
// generated gateway and nothing else: no session, no limits, no problem documents, no trace.
func BenchmarkGateway(b *testing.B) {
	for b.Loop() {
		s := topology.Start(b, topology.ManyProcesses, topology.Options{Clients: 10, Env: []string{
			"CONCORD_GATEWAY_REQUESTS_PER_MINUTE=100000000",
		}})
		admin := s.Firm(b, s.Claim(b), "harbour")
		made := new(syncv1.CreateClientResponse)
		require.NoError(b, admin.Call(b.Context(), "POST", "/v1/"+admin.Firm+"/clients", &syncv1.Client{
			DisplayName: "Harbour Lights", Code: "HL1", EntityType: "Company", Email: "office@harbour.example", Phone: "02 5550 0000",
		}, made))
		path := "/v1/" + made.GetClient().GetName()
		bareURL, barePID := startBareGateway(b, s.GRPC["sync"])
		suitePID := pidOf(b, "concord-gateway", s.Dir)
		getMany(b, s.URL+path, admin.Token, warming)
		getMany(b, bareURL+path, internalToken(b, s, admin.Token), warming)
		var suite, bare []time.Duration
		var ratios []float64
		for range rounds {
			suite = append(suite, cpuOf(b, suitePID, func() { getMany(b, s.URL+path, admin.Token, gatewayCalls) }))
			token := internalToken(b, s, admin.Token) // lives two minutes
			bare = append(bare, cpuOf(b, barePID, func() { getMany(b, bareURL+path, token, gatewayCalls) }))
			ratios = append(ratios, suite[len(suite)-1].Seconds()/bare[len(bare)-1].Seconds())
		}
		report(b, median(ratios), "of-bare-CPU")
		report(b, float64(median(suite).Microseconds())/gatewayCalls, "CPU-µs/call")
		report(b, float64(median(bare).Microseconds())/gatewayCalls, "bare-CPU-µs/call")
	}
}

// internalToken is what the gateway would attach to a call of the session on sync.
func internalToken(b *testing.B, s *topology.Suite, session string) string {
	b.Helper()
	conn, err := grpc.NewClient(s.GRPC["auth"], grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(b, err)
	defer conn.Close()
	ctx := metadata.AppendToOutgoingContext(b.Context(), "authorization", "Bearer "+s.ServiceToken(b, "gateway", "auth", ""))
	resolved, err := authv1.NewSessionServiceClient(conn).ResolveSession(ctx, &authv1.ResolveSessionRequest{
		SessionToken: session, Audience: "sync",
	})
	require.NoError(b, err)
	return resolved.GetInternalToken()
}

func cpuOf(b *testing.B, pid int, work func()) time.Duration {
	b.Helper()
	before := cpu(b, pid)
	work()
	return cpu(b, pid) - before
}

// getMany makes n calls on kept connections.
func getMany(b *testing.B, url, token string, n int) {
	b.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}}
	defer client.CloseIdleConnections()
	var group sync.WaitGroup
	failed := make(chan error, callers)
	for range callers {
		group.Go(func() {
			for range n / callers {
				if err := get(b.Context(), client, url, token); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	group.Wait()
	close(failed)
	require.NoError(b, <-failed)
}

func get(ctx context.Context, client *http.Client, url, token string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Status, body)
	}
	return err
}
