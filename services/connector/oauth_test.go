package connector_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	optionsv1 "github.com/concord-suite/concord/proto/gen/concord/options/v1"
	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/remote"
)

// OAuth 1.0a signed each request; here there is a code, PKCE and a bearer, for each provider.
func TestS01_ProvidersAreConnectedByOAuth2Alone(t *testing.T) {
	s := onSQLite(t, options{})
	for _, p := range []connectorv1.Provider{xpmProvider, xeroProvider} {
		q := query(s.opened(firmA, p).GetAuthorizeUrl())
		require.Equal(t, "code", q.Get("response_type"))
		require.Equal(t, "S256", q.Get("code_challenge_method"))
		require.Len(t, q.Get("code_challenge"), 43)
		for name := range q {
			require.False(t, strings.HasPrefix(name, "oauth_"), name)
		}
	}
}

// What comes back is taken from the browser that asked, for the attempt it was asked for, and from the provider that was asked.
func TestN52_AnAnswerBelongsToOneBrowserOneAttemptAndOneIssuer(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		owner := remote.Choice{Person: sim.Owner, Tenant: sim.PracticeName}
		opened := s.start(firmA)
		answer := s.consent(opened, owner)
		stolen := proto.CloneOf(answer)
		stolen.BrowserBinding = s.start(firmB).GetBrowserBinding()
		_, err := s.complete(stolen)
		requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_BROWSER_MISMATCH)
		state, err := s.complete(answer)
		require.NoError(t, err)
		require.Equal(t, authorised, state)

		// A code that was given to another attempt: the verifier is not the one its challenge was made from.
		injected := s.consent(s.start(firmB), owner)
		mine := s.start(firmA)
		state, err = s.complete(&connectorv1.CompleteConnectAttemptRequest{
			State: query(mine.GetAuthorizeUrl()).Get("state"), Code: injected.GetCode(), BrowserBinding: mine.GetBrowserBinding(),
		})
		require.NoError(t, err)
		require.Equal(t, failed, state)

		// An answer that another provider's name stands on (RFC 9207): the code goes nowhere.
		mine = s.start(firmA)
		answer = s.consent(mine, owner)
		answer.Issuer = "https://identity.elsewhere.example"
		state, err = s.complete(answer)
		require.NoError(t, err)
		require.Equal(t, failed, state)
	})
}

// Each provider is asked for what its own calls need. A scope that is added here has to be needed by something.
func TestN53_ProvidersAreAskedForWhatIsNeeded(t *testing.T) {
	s := onSQLite(t, options{})
	person := []string{"openid", "profile", "email", "offline_access"} // who consented; tokens that last
	require.ElementsMatch(t, append(person, "practicemanager.client"), scopesOf(s.opened(firmA, xpmProvider)))
	require.ElementsMatch(t, append(person, "accounting.contacts", "accounting.settings.read"), scopesOf(s.opened(firmB, xeroProvider)))
}

// No call that a browser can make has an answer with room for a provider's token; the one secret it gets is the binding of
// its own attempt, which the gateway keeps in a cookie.
func TestN54_NoAnswerForABrowserHoldsAProvidersToken(t *testing.T) {
	s := onSQLite(t, options{})
	opened := s.start(firmA)
	_, err := s.complete(s.consent(opened, remote.Choice{Person: sim.Owner, Tenant: sim.PracticeName}))
	require.NoError(t, err)
	for _, m := range []proto.Message{opened, s.attempt(opened.GetAttempt().GetName())} {
		text, err := protojson.Marshal(m)
		require.NoError(t, err)
		require.NotEmpty(t, s.wire.secrets)
		for _, secret := range s.wire.secrets {
			require.NotContains(t, string(text), secret)
		}
	}
	services := connectorv1.File_concord_connector_v1_connection_service_proto.Services()
	for i := range services.Len() {
		methods := services.Get(i).Methods()
		for j := range methods.Len() {
			for _, field := range secretsIn(methods.Get(j).Output(), map[protoreflect.FullName]bool{}) {
				require.Equal(t, "concord.connector.v1.StartConnectAttemptResponse.browser_binding", string(field))
			}
		}
	}
}

// secretsIn lists the fields of a message, and of those in it, that the contract calls secret.
func secretsIn(m protoreflect.MessageDescriptor, seen map[protoreflect.FullName]bool) (found []protoreflect.FullName) {
	if seen[m.FullName()] {
		return nil
	}
	seen[m.FullName()] = true
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		if secret, _ := proto.GetExtension(f.Options(), optionsv1.E_Secret).(bool); secret {
			found = append(found, f.FullName())
		}
		if f.Message() != nil {
			found = append(found, secretsIn(f.Message(), seen)...)
		}
	}
	return found
}
