package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/test/rest"
	"github.com/concord-suite/concord/test/story"
	"github.com/concord-suite/concord/test/topology"
)

// revocation: whoever ends a session, and however, it is refused everywhere within a moment: by the gateway, which holds
// tokens of it, and by each service, where a token of it that was made before is good by its signature for two minutes.
func revocation(t *testing.T, in *installation, adm *story.Person) {
	call := func(p *story.Person, path, body string) {
		t.Helper()
		_, err := p.Send(t.Context(), "POST", path, []byte(body), "application/json")
		require.NoError(t, err, path)
	}
	adm.StepUp(t)
	for _, way := range []struct {
		name string
		end  func(*story.Person, *authv1.Session)
	}{
		{"ended from elsewhere", func(_ *story.Person, s *authv1.Session) { call(adm, "/v1/"+s.GetName()+":revoke", "{}") }},
		{"signed out", func(p *story.Person, _ *authv1.Session) { call(p, "/v1/session:signOut", "{}") }},
		{"ended by an administrator", func(_ *story.Person, s *authv1.Session) {
			call(adm, "/v1/"+s.GetAccount()+":endSessions", `{"session":"`+s.GetName()+`"}`)
		}},
	} {
		victim := adm.Again(t)
		now := new(authv1.GetCurrentSessionResponse)
		require.NoError(t, victim.Call(t.Context(), "GET", "/v1/session", nil, now))
		probes := throughTheGateway(t, victim, adm.Firm)
		if in.Kind == topology.ManyProcesses {
			probes = append(probes, atTheServices(t, in, victim, adm.Firm)...)
		}
		for _, p := range probes {
			require.False(t, p.refused(), p.name)
		}
		began, words := time.Now(), []string{}
		way.end(victim, now.GetSession())
		for _, p := range probes {
			story.Eventually(t, p.name+" refuses the session", p.refused)
			words = append(words, fmt.Sprintf("%s %d ms", p.name, time.Since(began).Milliseconds()))
		}
		fmt.Printf("session %s (%s), refused by %s\n", way.name, in.Kind, strings.Join(words, ", "))
	}
}

// probe tells whether one place refuses a session.
type probe struct {
	name    string
	refused func() bool
}

func throughTheGateway(t *testing.T, p *story.Person, firm string) (out []probe) {
	for _, at := range [][2]string{
		{"auth", "/v1/session"}, {"connector", "/v1/" + firm + "/connections"},
		{"sync", "/v1/" + firm + "/clients?page_size=1"}, {"documents", "/v1/" + firm + "/folders?page_size=1"},
	} {
		out = append(out, probe{"gateway for " + at[0], func() bool {
			refused := rest.ProblemOf(p.Call(t.Context(), "GET", at[1], nil, nil))
			return refused != nil && refused.Status == http.StatusUnauthorized
		}})
	}
	return out
}

// atTheServices holds tokens of the session that were made before, and shows them to the services themselves.
func atTheServices(t *testing.T, in *installation, p *story.Person, firm string) (out []probe) {
	auth := dial(t, in.GRPC["auth"])
	ask := map[string]func(*grpc.ClientConn, string) error{
		"auth": func(c *grpc.ClientConn, token string) error {
			_, err := authv1.NewFirmServiceClient(c).GetFirm(bearing(t.Context(), token), &authv1.GetFirmRequest{Name: firm})
			return err
		},
		"connector": func(c *grpc.ClientConn, token string) error {
			_, err := connectorv1.NewConnectionServiceClient(c).ListConnections(bearing(t.Context(), token), &connectorv1.ListConnectionsRequest{Parent: firm})
			return err
		},
		"sync": func(c *grpc.ClientConn, token string) error {
			_, err := syncv1.NewClientServiceClient(c).ListClients(bearing(t.Context(), token), &syncv1.ListClientsRequest{Parent: firm})
			return err
		},
		"documents": func(c *grpc.ClientConn, token string) error {
			_, err := documentsv1.NewFolderServiceClient(c).ListFolders(bearing(t.Context(), token), &documentsv1.ListFoldersRequest{Parent: firm})
			return err
		},
	}
	for _, name := range []string{"auth", "connector", "sync", "documents"} {
		resp, err := authv1.NewSessionServiceClient(auth).ResolveSession(
			bearing(t.Context(), in.ServiceToken(t, "gateway", "auth", "")),
			&authv1.ResolveSessionRequest{SessionToken: p.Token, Audience: name})
		require.NoError(t, err)
		conn := dial(t, in.GRPC[name])
		out = append(out, probe{name + " itself", func() bool {
			return status.Code(ask[name](conn, resp.GetInternalToken())) == codes.Unauthenticated
		}})
	}
	return out
}
