package boot_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/boot"
	"github.com/concord-suite/concord/platform/dial"
	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/telemetry"
)

func TestAStrangerIsNoPeer(t *testing.T) {
	m := newMachine(t, "things")
	r := start(t, "things", m.environ("things"), &service{}, withDatabase...)
	require.ErrorContains(t, ping(t.Context(), r.rt.Dial("auth")), "auth is no peer of things")
	transport, host := r.rt.DialHTTP("auth")
	require.Nil(t, transport)
	require.Empty(t, host)
}

// keyServer is a bare server of auth's public keys.
func keyServer(t *testing.T, jwks []byte) *dial.Listener {
	t.Helper()
	lis := dial.Listen()
	server := grpc.NewServer()
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "concord.auth.v1.KeyService", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "GetKeys", Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			return wrapperspb.Bytes(jwks), decode(&emptypb.Empty{})
		}}},
	}, nil)
	go func() { _ = server.Serve(lis) }()
	t.Cleanup(server.Stop)
	return lis
}

// setup returns the Setup of a service that joins a process.
func setup(t *testing.T, name string) boot.Setup {
	t.Helper()
	tel, err := telemetry.Start(t.Context(), telemetry.Config{}, name, telemetry.Build{}, io.Discard)
	require.NoError(t, err)
	return boot.Setup{
		Name: name, Telemetry: tel, Grace: time.Second,
		Database: sqldb.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), name+".db")}, Migrations: migrations,
	}
}

// process holds services that meet in memory: what the one-machine product does.
type process struct {
	trust      *access.Trust
	grpc, http map[string]*dial.Listener
}

func newProcess(names ...string) *process {
	p := &process{trust: access.NewTrust(), grpc: map[string]*dial.Listener{}, http: map[string]*dial.Listener{}}
	for _, name := range names {
		p.grpc[name], p.http[name] = dial.Listen(), dial.Listen()
	}
	return p
}

// join opens a service in the process.
func (p *process) join(t *testing.T, s boot.Setup) *boot.Runtime {
	t.Helper()
	signer, err := p.trust.Issue(s.Name, time.Now)
	require.NoError(t, err)
	s.Now, s.Signer, s.Keys, s.HTTP = time.Now, signer, p.trust, p.http[s.Name]
	s.GRPC.Listener = p.grpc[s.Name]
	s.Peer = func(name string) (string, dial.Options, error) {
		return name, dial.Options{Listener: p.grpc[name]}, nil
	}
	s.HTTPPeer = func(name string) (string, func(context.Context) (net.Conn, error), error) {
		return name, p.http[name].DialContext, nil
	}
	rt, err := boot.Open(t.Context(), s)
	require.NoError(t, err)
	t.Cleanup(func() { _ = rt.Close() })
	return rt
}

// serve runs a service until the test ends.
func serve(t *testing.T, rt *boot.Runtime, svc boot.Service) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- rt.Serve(ctx, svc) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
}

func TestServicesOfOneProcess(t *testing.T) {
	p := newProcess("things", "callers")
	asking := setup(t, "callers")
	asking.Peers, asking.HTTPPeers = []string{"things"}, []string{"things"}
	caller := p.join(t, asking) // before the one it calls
	things := p.join(t, setup(t, "things"))
	serve(t, things, &service{handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "bytes") })})

	require.NoError(t, ping(t.Context(), caller.Dial("things")))
	require.NoError(t, call(t.Context(), caller.Dial("things"), "Look"))
	eventstest.Until(t, "the look is on its way to the ledger", func() bool {
		n := 0
		require.NoError(t, things.DB.Read(t.Context(), func(tx *sqldb.Tx) error {
			return tx.QueryRow(`SELECT count(*) FROM events_outbox WHERE subject = 'audit.v1.audit_recorded'`).Scan(&n)
		}))
		return n == 1
	})
	transport, host := caller.DialHTTP("things")
	answer, err := (&http.Client{Transport: transport}).Get("http://" + host + "/x")
	require.NoError(t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Equal(t, "bytes", string(body))
}

// TestTheKeysOfAuthAreFetched: a token that auth signed for a person is believed by a service whose peer auth is, and one
// signed by anybody else is not.
func TestTheKeysOfAuthAreFetched(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	_, foreign, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	jwks, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: public, KeyID: access.KeyID(public), Algorithm: "EdDSA", Use: "sig"},
	}})
	require.NoError(t, err)
	keys := keyServer(t, jwks)

	p := newProcess("things", "callers")
	p.grpc["auth"] = keys
	s := setup(t, "things")
	s.Peers = []string{"auth"}
	rt := p.join(t, s)
	seen := make(chan access.Principal, 1)
	serve(t, rt, &service{unary: func(ctx context.Context) error {
		seen <- access.From(ctx)
		return nil
	}})

	caller := setup(t, "callers")
	caller.Peers = []string{"things"}
	conn := p.join(t, caller).Dial("things")
	as := func(key ed25519.PrivateKey) context.Context {
		t.Helper()
		signer, err := access.NewSigner(access.AuthIssuer, key, time.Now)
		require.NoError(t, err)
		token, err := signer.Mint(access.Principal{Kind: access.Operator, ID: "operator-1"}, "things", time.Minute)
		require.NoError(t, err)
		return dial.WithToken(t.Context(), token)
	}
	require.NoError(t, ping(as(private), conn))
	require.Equal(t, "operator-1", (<-seen).ID)
	require.ErrorContains(t, ping(as(foreign), conn), "Unauthenticated")
}
