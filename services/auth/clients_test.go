package auth_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/dial"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/serve"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/services/auth"
)

// contactList answers auth's question to sync as sync does, behind the same rules: it has every contact but those that are
// gone. How the two services work together is tested end to end.
type contactList struct {
	syncv1.UnimplementedContactServiceServer
	server *serve.Server
	conn   *grpc.ClientConn

	mu    sync.Mutex
	gone  map[string]bool
	asked []access.Principal
}

// startContactList serves it, and connects to it as auth does.
func startContactList(t testing.TB, s *suite, logger *slog.Logger) *contactList {
	t.Helper()
	l := &contactList{gone: map[string]bool{}}
	signer := s.mint.Signer(auth.Name)
	lis := dial.Listen()
	var err error
	l.server, err = serve.New(serve.Config{Listener: lis}, serve.Deps{
		Name: "sync", Verifier: s.mint.Verifier("sync"), Audit: unrecorded{}, Logger: logger, Now: s.clock.Now,
	})
	require.NoError(t, err)
	syncv1.RegisterContactServiceServer(l.server, l)
	require.NoError(t, l.server.Start(t.Context()))
	l.conn, err = dial.New("sync", dial.Options{Audience: "sync", Signer: signer, Listener: lis})
	require.NoError(t, err)
	t.Cleanup(func() { l.conn.Close(); l.server.Stop() })
	return l
}

// unrecorded keeps no ledger: sync's is no matter here.
type unrecorded struct{}

// Begin implements serve.Auditor.
func (unrecorded) Begin(ctx context.Context, _ *access.Call) (context.Context, func(error)) {
	return ctx, func(error) {}
}

// Denied implements serve.Auditor.
func (unrecorded) Denied(context.Context, *access.Call, error) {}

// GetContact implements syncv1.ContactServiceServer.
func (l *contactList) GetContact(ctx context.Context, req *syncv1.GetContactRequest) (*syncv1.GetContactResponse, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = append(l.asked, access.From(ctx))
	if l.gone[req.GetName()] {
		return nil, rpcerr.Default(codes.NotFound)
	}
	return &syncv1.GetContactResponse{Contact: &syncv1.Contact{Name: req.GetName()}}, nil
}

// lose makes a contact one that never was, or is no more: sync answers the same for both.
func (l *contactList) lose(contact string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone[contact] = true
}

// last is who asked last.
func (l *contactList) last() access.Principal {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked[len(l.asked)-1]
}
