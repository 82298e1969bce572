package auth_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/config"
	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/sqldb"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/services/auth"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/store"
)

var printedCode = regexp.MustCompile(`([0-9a-z]{4}-){3}[0-9a-z]{4}`)

// recoverOperator does what the command does, beside the service that runs.
func (s *suite) recoverOperator(email string) (told string, err error) {
	s.t.Helper()
	r := auth.OperatorRecovery{Email: email}
	require.NoError(s.t, r.Check())
	var cfg auth.Config
	require.NoError(s.t, config.Load(config.Source{Service: "auth", Environ: s.environ(options{})}, &cfg))
	var out strings.Builder
	err = r.Run(s.t.Context(), cfg, s.deps(), &out)
	return out.String(), err
}

// An operator has no administrator who could help. Whoever runs the machine can: by a code that stands beside the password, is
// good once and for a day, and is in the ledger.
func TestAnOperatorWhoLostEveryFactorComesBackByTheConsole(t *testing.T) {
	eachOnBus(t, func(t *testing.T, s *suite, _ jetstream.JetStream) {
		_, err := s.recoverOperator("")
		require.ErrorContains(t, err, "no operator yet")
		operator := s.operator()
		s.enrolTOTP(operator) // on a phone that is gone, as are the codes
		first, err := s.recoverOperator("")
		require.NoError(t, err)
		require.Contains(t, first, operator.email)
		second, err := s.recoverOperator(strings.ToUpper(operator.email))
		require.NoError(t, err)
		s.inbox.about(operator.email, "recovery code for your account was made")
		code := printedCode.FindString(second)
		_, err = s.signIn.StartSignIn(s.nobody("192.0.2.7"), &authv1.StartSignInRequest{Email: operator.email, Password: code})
		is(t, err, codes.Unauthenticated, refused)
		c := s.begin(operator).GetChallenge()
		_, err = s.showRecovery(c, printedCode.FindString(first))
		is(t, err, codes.Unauthenticated, refused)
		opened, err := s.showRecovery(c, code)
		require.NoError(t, err)
		operator.token = opened.GetSessionToken()
		s.enrolTOTP(operator)
		_, err = s.showRecovery(s.begin(operator).GetChallenge(), code)
		is(t, err, codes.Unauthenticated, refused)

		late, err := s.recoverOperator("")
		require.NoError(t, err)
		s.clock.forward(24 * time.Hour)
		_, err = s.showRecovery(s.begin(operator).GetChallenge(), printedCode.FindString(late))
		is(t, err, codes.Unauthenticated, refused)
		_, err = s.recoverOperator("nobody@host.example")
		require.ErrorContains(t, err, "no operator has the address")
		require.Error(t, auth.OperatorRecovery{Email: "nobody"}.Check())
		eventstest.Until(t, "the ledger of the installation has it", func() bool {
			var told strings.Builder
			require.NoError(t, auth.LedgerExport{Firm: auth.Installation, Out: "-"}.Run(t.Context(), s.deps(), &told))
			return strings.Count(told.String(), "operator.recovery_issued") == 3
		})
	})
}

func TestSeveralOperatorsAreToldApart(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		first := s.operator()
		const second = "otto@host.example"
		require.NoError(t, s.db.Tx(t.Context(), func(tx *sqldb.Tx) error {
			if _, err := store.Salt(tx, second, []byte("salt")); err != nil {
				return err
			}
			_, err := store.InsertAccount(tx, account.Account{
				ID: requestID(), Kind: account.Operator, Email: second, DisplayName: "Otto Operator", State: account.Active, Created: s.clock.Now(),
			})
			return err
		}))
		_, err := s.recoverOperator("")
		require.ErrorContains(t, err, "2 operators; say which one")
		told, err := s.recoverOperator(second)
		require.NoError(t, err)
		require.Contains(t, told, second)
		require.NotContains(t, told, first.email)
	})
}
