package gateway_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/concord-suite/concord/gateway"
	"github.com/concord-suite/concord/platform/rpcerr"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
)

const notice = `{"events":[], "entropy":"caf` + "\xc3\xa9" + `\u0000",  "firstEventSequence":0}` + "\n"

// TestNoticesPassByteForByte: the signature is over the bytes, and the answer is a status and nothing else.
func TestNoticesPassByteForByte(t *testing.T) {
	s := start(t, nil)
	resp, body := s.do(t, "POST", "/webhooks/xero", notice, "X-Xero-Signature", "c2lnbmF0dXJl", "Cookie", "concord_session="+token)
	require.Equal(t, 200, resp.StatusCode)
	require.Empty(t, body)
	require.Empty(t, resp.Cookies())
	require.Len(t, s.notices, 1)
	require.Equal(t, notice, string(s.notices[0].GetBody()))
	require.Equal(t, "c2lnbmF0dXJl", s.notices[0].GetSignature())
	require.Equal(t, connectorv1.Provider_PROVIDER_XERO, s.notices[0].GetProvider())
	require.Contains(t, s.authorization("ReceiveWebhook"), "Bearer ey", "the gateway's own identity")
	require.Zero(t, s.resolved.Load(), "nobody's session")
}

func TestAnswersToNotices(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want int
	}{
		"forged":         {rpcerr.New(codes.PermissionDenied, connectorv1.ErrorReason_ERROR_REASON_SIGNATURE_INVALID, "no"), 401},
		"not configured": {rpcerr.New(codes.FailedPrecondition, connectorv1.ErrorReason_ERROR_REASON_PROVIDER_NOT_CONFIGURED, "no"), 404},
		"busy":           {rpcerr.Default(codes.Unavailable), 503},
		"ours":           {status.Error(codes.Internal, "broken"), 503},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, nil)
			s.receive = func(context.Context) error {
				if e, ok := c.err.(*rpcerr.Error); ok {
					return e.GRPCStatus().Err()
				}
				return c.err
			}
			resp, body := s.do(t, "POST", "/webhooks/xero", notice, "X-Xero-Signature", "x")
			require.Equal(t, c.want, resp.StatusCode)
			require.Empty(t, body)
			require.Empty(t, resp.Cookies())
		})
	}
}

func TestNoticesThatAreNone(t *testing.T) {
	s := start(t, nil)
	for want, send := range map[int][]string{
		401: {"POST", notice},
		405: {"GET", "", "X-Xero-Signature", "x"},
		413: {"POST", strings.Repeat("x", 1<<20+1), "X-Xero-Signature", "x"},
	} {
		resp, body := s.do(t, send[0], "/webhooks/xero", send[1], send[2:]...)
		require.Equal(t, want, resp.StatusCode)
		require.Empty(t, body)
	}
	resp, _ := s.do(t, "POST", "/webhooks/xero", notice, "X-Xero-Signature", strings.Repeat("x", 300))
	require.Equal(t, 401, resp.StatusCode)
	require.Empty(t, s.notices, "the connector is not asked about what can't be signed")
	resp, _ = s.do(t, "POST", "/webhooks/other", notice, "X-Xero-Signature", "x")
	require.Equal(t, 404, resp.StatusCode)
}

// TestABusyProviderIsNotTurnedAway: notices do not count among an address's requests, but only so many are worked on.
func TestABusyProviderIsNotTurnedAway(t *testing.T) {
	s := start(t, func(c *gateway.Config) { c.RequestsPerMinute = 2 })
	for range 10 {
		resp, _ := s.do(t, "POST", "/webhooks/xero", notice, "X-Xero-Signature", "x")
		require.Equal(t, 200, resp.StatusCode)
	}
	hold, busy := make(chan struct{}), make(chan struct{}, 64)
	s.mu.Lock()
	s.receive = func(context.Context) error {
		busy <- struct{}{}
		<-hold
		return nil
	}
	s.mu.Unlock()
	got := make(chan int, 64)
	for range 40 {
		go func() {
			r, _ := http.NewRequestWithContext(t.Context(), "POST", s.url+"/webhooks/xero", strings.NewReader(notice))
			r.Header.Set("X-Xero-Signature", "x")
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				got <- 0
				return
			}
			_ = resp.Body.Close()
			got <- resp.StatusCode
		}()
	}
	for range 8 {
		require.Equal(t, 503, <-got)
	}
	for range 32 {
		<-busy
	}
	close(hold)
	for range 32 {
		require.Equal(t, 200, <-got)
	}
}

// TestASlowConnectorIsNotWaitedFor: the sender gives up after five seconds and takes that for a failure.
func TestASlowConnectorIsNotWaitedFor(t *testing.T) {
	s := start(t, nil)
	s.receive = func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	began := time.Now()
	resp, _ := s.do(t, "POST", "/webhooks/xero", notice, "X-Xero-Signature", "x")
	require.Equal(t, 503, resp.StatusCode)
	require.Less(t, time.Since(began), 5*time.Second)
}

// TestWhoForgesTooOftenIsKeptOut: each refusal costs work and a line in the log. Whose notices are taken, and others, are not
// concerned.
func TestWhoForgesTooOftenIsKeptOut(t *testing.T) {
	s := start(t, func(c *gateway.Config) { c.RequestsPerMinute, c.TrustedProxies = 3, 1 })
	forged := true
	s.receive = func(context.Context) error {
		if forged {
			return rpcerr.New(codes.PermissionDenied, connectorv1.ErrorReason_ERROR_REASON_SIGNATURE_INVALID, "no").GRPCStatus().Err()
		}
		return nil
	}
	send := func(from string) *http.Response {
		resp, _ := s.do(t, "POST", "/webhooks/xero", notice, "X-Xero-Signature", "x", "X-Forwarded-For", from)
		return resp
	}
	for range 3 {
		require.Equal(t, 401, send("192.0.2.1").StatusCode)
	}
	asked := len(s.notices)
	out := send("192.0.2.1")
	require.Equal(t, 429, out.StatusCode)
	require.NotEmpty(t, out.Header.Get("Retry-After"))
	require.Len(t, s.notices, asked)
	forged = false
	for range 10 {
		require.Equal(t, 200, send("192.0.2.2").StatusCode)
	}
	require.Equal(t, 429, send("192.0.2.1").StatusCode)
}
