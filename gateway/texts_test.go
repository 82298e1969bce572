package gateway_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/rpcerr"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
)

// textPeer is auth as far as reports about text messages go.
type textPeer struct {
	authv1.UnimplementedDeliveryServiceServer
	peer    *peer
	reports []*authv1.ReceiveDeliveryReportRequest
	refusal error
}

func (p *textPeer) ReceiveDeliveryReport(ctx context.Context, r *authv1.ReceiveDeliveryReportRequest) (*authv1.ReceiveDeliveryReportResponse, error) {
	p.peer.note(ctx, "ReceiveDeliveryReport")
	p.peer.mu.Lock()
	defer p.peer.mu.Unlock()
	p.reports = append(p.reports, r)
	return &authv1.ReceiveDeliveryReportResponse{}, p.refusal
}

// TestReportsPassByteForByte: address, body and signature reach auth as they were sent, with nobody's session.
func TestReportsPassByteForByte(t *testing.T) {
	s := start(t, nil)
	body := "MessageSid=SM1&MessageStatus=undelivered&To=%2B61491570156&x=caf\xe9"
	resp, text := s.do(t, "POST", "/webhooks/sms/twilio?message=id-1&x=%2F", body, "X-Twilio-Signature", "c2lnbmF0dXJl", "Cookie", "concord_session="+token)
	require.Equal(t, 204, resp.StatusCode)
	require.Empty(t, text)
	require.Empty(t, resp.Cookies())
	require.Len(t, s.texts.reports, 1)
	got := s.texts.reports[0]
	require.Equal(t, []string{"twilio", "http://127.0.0.1/webhooks/sms/twilio?message=id-1&x=%2F", "c2lnbmF0dXJl", body},
		[]string{got.GetProvider(), got.GetUrl(), got.GetSignature(), string(got.GetBody())})
	require.Contains(t, s.authorization("ReceiveDeliveryReport"), "Bearer ey", "the gateway's own identity")
	require.Zero(t, s.resolved.Load())
	resp, _ = s.do(t, "POST", "/webhooks/sms/webhook", `{"id":"id-1"}`, "Concord-Signature", "t=1,v1=00")
	require.Equal(t, 204, resp.StatusCode)
	require.Equal(t, "t=1,v1=00", s.texts.reports[1].GetSignature())
}

func TestReportsThatAreNone(t *testing.T) {
	s := start(t, nil)
	for _, c := range []struct {
		want               int
		method, path, body string
		signature          string
	}{
		{403, "POST", "twilio", "a=b", ""},
		{403, "POST", "twilio", "a=b", strings.Repeat("x", 600)},
		{403, "POST", "twilio?x=" + strings.Repeat("x", 3000), "a=b", "x"},
		{404, "POST", "pigeon", "a=b", "x"},
		{404, "POST", "", "a=b", "x"},
		{405, "GET", "twilio", "", "x"},
		{413, "POST", "twilio", strings.Repeat("x", 64<<10+1), "x"},
	} {
		resp, body := s.do(t, c.method, "/webhooks/sms/"+c.path, c.body, "X-Twilio-Signature", c.signature)
		require.Equal(t, c.want, resp.StatusCode, c.path)
		require.Empty(t, body)
	}
	require.Empty(t, s.texts.reports, "auth is not asked about what can't be signed")
	for want, err := range map[int]*rpcerr.Error{
		403: rpcerr.New(codes.PermissionDenied, authv1.ErrorReason_ERROR_REASON_SIGNATURE_INVALID, "no"),
		404: rpcerr.New(codes.NotFound, authv1.ErrorReason_ERROR_REASON_NOT_FOUND, "no"),
		400: rpcerr.Default(codes.InvalidArgument), 503: rpcerr.Default(codes.Unavailable),
	} {
		s.mu.Lock()
		s.texts.refusal = err.GRPCStatus().Err()
		s.mu.Unlock()
		resp, _ := s.do(t, "POST", "/webhooks/sms/twilio", "a=b", "X-Twilio-Signature", "x")
		require.Equal(t, want, resp.StatusCode)
	}
}
