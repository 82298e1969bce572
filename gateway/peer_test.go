package gateway_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/concord-suite/concord/gateway"
	"github.com/concord-suite/concord/platform/dial"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
)

const (
	firm  = "firms/018f0000-0000-7000-8000-000000000001"
	other = "018f0000-0000-7000-8000-0000000000aa"
	token = "opaque-session-token-of-a-person"
)

// peer answers the gateway's calls and remembers what they carried. It scripts the far side of the wire; how the real
// services answer is proven end to end.
type peer struct {
	authv1.UnimplementedSignInServiceServer
	authv1.UnimplementedSessionServiceServer
	authv1.UnimplementedKeyServiceServer
	authv1.UnimplementedFirmServiceServer
	authv1.UnimplementedLedgerServiceServer
	addInPeer
	connectorv1.UnimplementedConnectionServiceServer
	connectorv1.UnimplementedWebhookServiceServer
	syncv1.UnimplementedClientServiceServer
	syncv1.UnimplementedRunServiceServer
	documentsv1.UnimplementedDocumentServiceServer

	resolved  atomic.Int32
	mu        sync.Mutex
	seen      map[string]metadata.MD
	complete  *connectorv1.CompleteConnectAttemptRequest
	listErr   error
	uploads   []*documentsv1.InitiateUploadRequest
	created   *syncv1.CreateClientRequest
	run       *syncv1.StartRunRequest
	notices   []*connectorv1.ReceiveWebhookRequest
	unlock    *authv1.UnlockSessionRequest
	discarded []string
	texts     *textPeer
	receive   func(context.Context) error
	// locks is when the session is locked; with it, a watched run goes on until its reader is gone.
	locks time.Time
}

func (p *peer) note(ctx context.Context, method string) {
	md, _ := metadata.FromIncomingContext(ctx)
	p.mu.Lock()
	p.seen[method] = md
	p.mu.Unlock()
}

func (p *peer) authorization(method string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.seen[method].Get("authorization"), ",")
}

func (p *peer) ResolveSession(_ context.Context, r *authv1.ResolveSessionRequest) (*authv1.ResolveSessionResponse, error) {
	if r.GetSessionToken() == lockedToken {
		return nil, errLocked()
	}
	if r.GetSessionToken() != token {
		return nil, status.Error(codes.Unauthenticated, "the session has ended")
	}
	p.resolved.Add(1)
	internal := "internal-for-" + r.GetAudience()
	if r.GetAddress() != "127.0.0.1" {
		internal += "-from-" + r.GetAddress()
	}
	return &authv1.ResolveSessionResponse{
		InternalToken: internal, ExpireTime: timestamppb.New(time.Now().Add(2 * time.Minute)),
		Session: &authv1.Session{Name: "sessions/" + other, LockTime: p.lockTime()},
	}, nil
}

func (p *peer) lockTime() *timestamppb.Timestamp {
	if p.locks.IsZero() {
		return nil
	}
	return timestamppb.New(p.locks)
}

func (p *peer) VerifyPin(ctx context.Context, _ *authv1.VerifyPinRequest) (*authv1.VerifyPinResponse, error) {
	p.note(ctx, "VerifyPin")
	return &authv1.VerifyPinResponse{SessionToken: token, Session: &authv1.Session{
		Name: "sessions/" + other, ExpireTime: timestamppb.New(time.Now().Add(time.Hour)),
	}}, nil
}

func (p *peer) DiscardSession(ctx context.Context, r *authv1.DiscardSessionRequest) (*authv1.DiscardSessionResponse, error) {
	p.note(ctx, "DiscardSession")
	p.mu.Lock()
	defer p.mu.Unlock()
	p.discarded = append(p.discarded, r.GetSessionToken())
	return &authv1.DiscardSessionResponse{}, nil
}

func (p *peer) SignOut(ctx context.Context, _ *authv1.SignOutRequest) (*authv1.SignOutResponse, error) {
	p.note(ctx, "SignOut")
	return &authv1.SignOutResponse{}, nil
}

func (p *peer) GetKeys(context.Context, *authv1.GetKeysRequest) (*authv1.GetKeysResponse, error) {
	return &authv1.GetKeysResponse{}, nil
}

func (p *peer) GetFirm(ctx context.Context, r *authv1.GetFirmRequest) (*authv1.GetFirmResponse, error) {
	p.note(ctx, "GetFirm")
	return &authv1.GetFirmResponse{Firm: &authv1.Firm{Name: r.GetName()}}, nil
}

func (p *peer) ListClients(ctx context.Context, _ *syncv1.ListClientsRequest) (*syncv1.ListClientsResponse, error) {
	p.note(ctx, "ListClients")
	p.mu.Lock()
	defer p.mu.Unlock()
	return &syncv1.ListClientsResponse{TotalSize: 3}, p.listErr
}

func (p *peer) CreateClient(_ context.Context, r *syncv1.CreateClientRequest) (*syncv1.CreateClientResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.created = r
	return &syncv1.CreateClientResponse{Client: r.GetClient()}, p.listErr
}

func (p *peer) GetClient(_ context.Context, r *syncv1.GetClientRequest) (*syncv1.GetClientResponse, error) {
	return &syncv1.GetClientResponse{Client: &syncv1.Client{Name: r.GetName(), DisplayName: "Zoë \"the\" Baker/Sons"}}, nil
}

func (p *peer) StartRun(_ context.Context, r *syncv1.StartRunRequest) (*syncv1.StartRunResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.run = r
	return &syncv1.StartRunResponse{Run: &syncv1.Run{}}, nil
}

func (p *peer) ExportAuditEntries(r *authv1.ExportAuditEntriesRequest, s grpc.ServerStreamingServer[authv1.ExportAuditEntriesResponse]) error {
	if r.GetFirstSequence() > 2 {
		return status.Error(codes.InvalidArgument, "there are two")
	}
	for _, line := range []string{"{\"first\":true}\n", fmt.Sprintf("{\"from\":%d}\n", r.GetFirstSequence())} {
		if err := s.Send(&authv1.ExportAuditEntriesResponse{Content: []byte(line)}); err != nil {
			return err
		}
	}
	if r.GetFirstSequence() == 2 {
		return status.Error(codes.Unavailable, "the database went away")
	}
	return nil
}

func (p *peer) ExportClientHistory(r *syncv1.ExportClientHistoryRequest, s grpc.ServerStreamingServer[syncv1.ExportClientHistoryResponse]) error {
	for _, piece := range []string{"sequence,summary\r\n", "1," + r.GetKind() + "\r\n"} {
		if err := s.Send(&syncv1.ExportClientHistoryResponse{Data: []byte(piece)}); err != nil {
			return err
		}
	}
	return nil
}

func (p *peer) WatchRun(r *syncv1.WatchRunRequest, s grpc.ServerStreamingServer[syncv1.WatchRunResponse]) error {
	for _, done := range []int64{1, 2} {
		if err := s.Send(&syncv1.WatchRunResponse{Run: &syncv1.Run{Name: r.GetName(), Done: done}}); err != nil {
			return err
		}
	}
	if !p.locks.IsZero() {
		<-s.Context().Done()
		return s.Context().Err()
	}
	return nil
}

func (p *peer) StartConnectAttempt(context.Context, *connectorv1.StartConnectAttemptRequest) (*connectorv1.StartConnectAttemptResponse, error) {
	return &connectorv1.StartConnectAttemptResponse{
		BrowserBinding: "bound", AuthorizeUrl: "https://login.example/",
		Attempt: &connectorv1.ConnectAttempt{ExpireTime: timestamppb.New(time.Now().Add(5 * time.Minute))},
	}, nil
}

func (p *peer) CompleteConnectAttempt(ctx context.Context, r *connectorv1.CompleteConnectAttemptRequest) (*connectorv1.CompleteConnectAttemptResponse, error) {
	p.note(ctx, "CompleteConnectAttempt")
	p.mu.Lock()
	defer p.mu.Unlock()
	p.complete = r
	return &connectorv1.CompleteConnectAttemptResponse{State: connectorv1.AttemptState_ATTEMPT_STATE_AUTHORISED}, nil
}

func (p *peer) ReceiveWebhook(ctx context.Context, r *connectorv1.ReceiveWebhookRequest) (*connectorv1.ReceiveWebhookResponse, error) {
	p.note(ctx, "ReceiveWebhook")
	p.mu.Lock()
	p.notices = append(p.notices, r)
	receive := p.receive
	p.mu.Unlock()
	if receive == nil {
		return &connectorv1.ReceiveWebhookResponse{}, nil
	}
	return &connectorv1.ReceiveWebhookResponse{}, receive(ctx)
}

func (p *peer) InitiateUpload(_ context.Context, r *documentsv1.InitiateUploadRequest) (*documentsv1.InitiateUploadResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.uploads = append(p.uploads, r)
	return &documentsv1.InitiateUploadResponse{UploadPath: "/v1/bytes/up"}, nil
}

func (p *peer) InitiateDownload(context.Context, *documentsv1.InitiateDownloadRequest) (*documentsv1.InitiateDownloadResponse, error) {
	return &documentsv1.InitiateDownloadResponse{DownloadPath: "/v1/bytes/down"}, nil
}

// suite is a gateway in front of a peer.
type suite struct {
	*peer
	url   string
	bytes *http.Request
	body  string
}

func start(t testing.TB, change func(*gateway.Config)) *suite {
	t.Helper()
	s := &suite{peer: &peer{seen: map[string]metadata.MD{}}}
	conn := s.peer.listen(t)
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		s.bytes, s.body = r, string(b)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "private, no-store")
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader("0123456789"))
	}))
	t.Cleanup(store.Close)

	cfg := gateway.Config{PublicURL: "http://127.0.0.1", RequestsPerMinute: 10_000, SignInsPerMinute: 10_000}
	if change != nil {
		change(&cfg)
	}
	svc, err := gateway.New(t.Context(), cfg, gateway.Deps{
		Auth: conn, Connector: conn, Sync: conn, Documents: conn,
		Bytes: http.DefaultTransport, BytesHost: strings.TrimPrefix(store.URL, "http://"),
		Now: time.Now, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	front := httptest.NewServer(svc.Handler())
	t.Cleanup(front.Close)
	s.url = front.URL
	return s
}

// listen serves the peer on loopback and dials it as the gateway does, identity included.
func (p *peer) listen(t testing.TB) grpc.ClientConnInterface {
	t.Helper()
	srv := grpc.NewServer(grpc.Creds(insecure.NewCredentials()))
	authv1.RegisterSignInServiceServer(srv, p)
	authv1.RegisterSessionServiceServer(srv, p)
	authv1.RegisterKeyServiceServer(srv, p)
	authv1.RegisterFirmServiceServer(srv, p)
	authv1.RegisterLedgerServiceServer(srv, p)
	authv1.RegisterAddInServiceServer(srv, p)
	p.texts = &textPeer{peer: p}
	authv1.RegisterDeliveryServiceServer(srv, p.texts)
	connectorv1.RegisterConnectionServiceServer(srv, p)
	connectorv1.RegisterWebhookServiceServer(srv, p)
	syncv1.RegisterClientServiceServer(srv, p)
	syncv1.RegisterRunServiceServer(srv, p)
	documentsv1.RegisterDocumentServiceServer(srv, p)
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = srv.Serve(lis) }()
	t.Cleanup(srv.Stop)
	conn, err := dial.New(lis.Addr().String(), dial.Options{Audience: "peer", Insecure: true, Signer: signer(t)})
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// do makes a request; headers are pairs.
func (s *suite) do(t *testing.T, method, path, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	c := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := c.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp, string(b)
}
