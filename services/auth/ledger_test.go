package auth_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/dial"
	"github.com/concord-suite/concord/platform/events/eventstest"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
)

// Every sign-in is in the ledger of the firm with what was shown, from where, with what program, in which session; and so
// is every refused one, with what was tried.
func TestN45_EveryAuthenticationIsLoggedWithItsFactors(t *testing.T) {
	eachOnBus(t, func(t *testing.T, s *suite, _ jetstream.JetStream) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
		_, err := s.require2FA(admin.firm, admin.firm+"/connections/"+uuid.NewString())
		require.NoError(t, err)
		s.inbox.seen()
		s.signInAs(admin)
		ctx := access.WithAgent(dial.AsNobody(t.Context(), "203.0.113.9"), "Firefox/128.0")
		_, err = s.signIn.StartSignIn(ctx, &authv1.StartSignInRequest{Email: admin.email, Password: "wrong", Firm: admin.firm})
		require.Error(t, err)
		eventstest.Until(t, "both are in the ledger", func() bool {
			return len(s.entries(admin, &authv1.ListAuditEntriesRequest{Action: "session.opened"})) > 1 &&
				len(s.entries(admin, &authv1.ListAuditEntriesRequest{Action: "sign_in.password"})) == 1
		})
		opened := s.entries(admin, &authv1.ListAuditEntriesRequest{Action: "session.opened"})[0].GetEntry()
		require.Equal(t, "pwd otp email", opened.GetMethods())
		require.Equal(t, access.Administrator, opened.GetActorKind(), "privileged people are told from others")
		require.NotEmpty(t, opened.GetSession())
		require.Equal(t, "192.0.2.7", opened.GetAddress())
		refused := s.entries(admin, &authv1.ListAuditEntriesRequest{Action: "sign_in.password"})[0].GetEntry()
		require.Equal(t, "pwd", refused.GetMethods())
		require.False(t, refused.GetSuccess())
		require.Equal(t, admin.account, refused.GetResource(), "whose account it was tried at")
		require.Equal(t, "203.0.113.9", refused.GetAddress())
		require.Equal(t, "Firefox/128.0", refused.GetUserAgent())
		for _, e := range s.entries(admin, &authv1.ListAuditEntriesRequest{}) {
			require.NotContains(t, e.String(), passphrase)
			require.Equal(t, strings.TrimPrefix(admin.firm, "firms/"), e.GetEntry().GetFirm())
		}
	})
}
