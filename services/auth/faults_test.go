package auth_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/config"
	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/services/auth"
	"github.com/concord-suite/concord/services/auth/internal/store"
)

func TestParallelPasswordGuessesAreAllCounted(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
		var refused, waiting, busy atomic.Int32
		var wg sync.WaitGroup
		for i := range 60 {
			wg.Go(func() {
				_, err := s.signIn.StartSignIn(s.nobody("203.0.113.9"), &authv1.StartSignInRequest{
					Email: admin.email, Password: fmt.Sprintf("guess number %d", i),
				})
				switch rpcerr.Reason(err) {
				case "SIGN_IN_REFUSED":
					refused.Add(1)
				case "TOO_MANY_ATTEMPTS":
					waiting.Add(1)
				case "BUSY":
					busy.Add(1)
				default:
					t.Errorf("a guess is answered %v", err)
				}
			})
		}
		wg.Wait()
		require.LessOrEqual(t, refused.Load(), int32(5), "five are looked at")
		require.EqualValues(t, 60, refused.Load()+waiting.Load()+busy.Load())
	})
}

func TestAFloodIsToldToComeBackAndThePersonGetsIn(t *testing.T) {
	s := onSQLite(t, options{run: true, realHashes: true, environ: []string{"CONCORD_AUTH_PASSWORDS_AT_ONCE=1"}})
	admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
	var busy atomic.Int32
	var wg sync.WaitGroup
	for i := range 300 {
		wg.Go(func() {
			_, err := s.signIn.StartSignIn(s.nobody(fmt.Sprintf("2001:db8::%x", i+1)), &authv1.StartSignInRequest{
				Email: fmt.Sprintf("nobody%d@harbour.example", i), Password: passphrase,
			})
			if rpcerr.Has(err, authv1.ErrorReason_ERROR_REASON_BUSY) {
				busy.Add(1)
			} else if !rpcerr.Has(err, authv1.ErrorReason_ERROR_REASON_SIGN_IN_REFUSED) {
				t.Errorf("answered %v", err)
			}
		})
	}
	wg.Wait()
	require.NotZero(t, busy.Load())
	s.signInAs(admin)
}

func TestALostAnswerToCommitOpensNothingTwice(t *testing.T) {
	for _, engine := range sqldbtest.Engines() {
		t.Run(string(engine), func(t *testing.T) {
			broken := sqldbtest.NewFaults()
			db := sqldbtest.Open(t, sqldbtest.URL(t, engine), auth.Migrations, broken.Option())
			s := start(t, db, options{})
			operator := s.operator()
			c := s.begin(operator)
			pin := s.inbox.pin(operator.email)
			broken.CommitThenFail(1)
			_, err := s.verify(c.GetChallenge(), pin)
			require.Equal(t, codes.Unavailable, rpcerr.From(err).Code(), "%v", err)
			_, err = s.verify(c.GetChallenge(), pin)
			is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_CHALLENGE_EXPIRED)
			s.signInAs(operator)
			c = s.begin(operator)
			pin = s.inbox.pin(operator.email)
			broken.FailCommit(1)
			_, err = s.verify(c.GetChallenge(), pin)
			require.Equal(t, codes.Unavailable, rpcerr.From(err).Code(), "%v", err)
			_, err = s.verify(c.GetChallenge(), pin)
			require.NoError(t, err, "nothing had happened: the PIN is still good")
		})
	}
}

func TestReadyAnswersWhileTheDatabaseIsFrozen(t *testing.T) {
	broken := sqldbtest.NewFaults()
	db := sqldbtest.Open(t, sqldbtest.URL(t, sqldb.SQLite), auth.Migrations, broken.Option())
	s := start(t, db, options{})
	require.NoError(t, s.service.Ready(t.Context()))
	broken.Freeze()
	defer broken.Thaw()
	begun := time.Now()
	require.Error(t, s.service.Ready(t.Context()))
	require.Less(t, time.Since(begun), 2*time.Second)
	ctx, cancel := context.WithTimeout(s.nobody(""), time.Second)
	defer cancel()
	_, err := s.signIn.StartSignIn(ctx, &authv1.StartSignInRequest{Email: "ada@harbour.example", Password: passphrase})
	require.Contains(t, []codes.Code{codes.DeadlineExceeded, codes.Unavailable}, rpcerr.From(err).Code())
}

func TestErrorsCarryNoDriverText(t *testing.T) {
	broken := sqldbtest.NewFaults()
	db := sqldbtest.Open(t, sqldbtest.URL(t, sqldb.SQLite), auth.Migrations, broken.Option())
	s := start(t, db, options{})
	broken.FailExec("accounts", 100)
	_, err := s.signIn.StartSignIn(s.nobody(""), &authv1.StartSignInRequest{Email: "ada@harbour.example", Password: passphrase})
	require.Error(t, err)
	for _, word := range []string{"sql", "SELECT", "accounts", "fault"} {
		require.NotContains(t, err.Error(), word)
	}
}

func TestEndingNobodysSessionsEndsNone(t *testing.T) {
	s := onSQLite(t, options{})
	operator := s.operator()
	require.NoError(t, s.db.Tx(t.Context(), func(tx *sqldb.Tx) error {
		n, err := store.Ended(tx, store.End{}, s.clock.Now())
		require.Zero(t, n)
		return err
	}))
	_, err := s.resolve(operator.token, "auth")
	require.NoError(t, err)
}

func TestTidyingUpLeavesWhatStillCounts(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
		word := s.addIn(admin)
		sweep := func() {
			require.NoError(t, s.db.Tx(t.Context(), func(tx *sqldb.Tx) error { return store.Sweep(tx, s.clock.Now()) }))
		}
		sweep()
		for _, token := range []string{admin.token, word} {
			_, err := s.resolve(token, "auth")
			require.NoError(t, err)
		}
		s.clock.forward(60 * 24 * time.Hour)
		for _, table := range []string{"sessions", "challenges", "consents", "attempts", "invitations", "deliveries"} {
			// A message may be on its way at this moment; it is over soon.
			eventstest.Until(t, "nothing is left of "+table, func() bool {
				sweep()
				var n int
				require.NoError(t, s.db.Read(t.Context(), func(tx *sqldb.Tx) error {
					return tx.QueryRow(`SELECT count(*) FROM ` + table).Scan(&n)
				}))
				return n == 0
			})
		}
		s.signInAs(admin)
	})
}

func TestSettings(t *testing.T) {
	load := func(environ ...string) error {
		var cfg auth.Config
		return config.Load(config.Source{Service: "auth", Environ: environ}, &cfg)
	}
	require.NoError(t, load(), "the defaults start")
	for name, environ := range map[string][]string{
		"public_url":    {"CONCORD_AUTH_PUBLIC_URL=ftp://host"},
		"sms.token":     {"CONCORD_AUTH_SMS_ACCOUNT_SID=AC1", "CONCORD_AUTH_SMS_FROM=+61480000000"},
		"sms.from":      {"CONCORD_AUTH_SMS_ACCOUNT_SID=AC1", "CONCORD_AUTH_SMS_TOKEN=t"},
		"sms.url":       {"CONCORD_AUTH_SMS_ACCOUNT_SID=AC1", "CONCORD_AUTH_SMS_TOKEN=t", "CONCORD_AUTH_SMS_FROM=+1", "CONCORD_AUTH_SMS_URL=http://sms.example"},
		"sms.countries": {"CONCORD_AUTH_SMS_ACCOUNT_SID=AC1", "CONCORD_AUTH_SMS_TOKEN=t", "CONCORD_AUTH_SMS_FROM=+1", "CONCORD_AUTH_SMS_COUNTRIES=Australia"},
		"mail.security": {"CONCORD_AUTH_MAIL_HOST=mail.example", "CONCORD_AUTH_MAIL_SECURITY=plain"},
		"mail.from":     {"CONCORD_AUTH_MAIL_HOST=mail.example", "CONCORD_AUTH_MAIL_FROM=nobody"},
	} {
		err := load(environ...)
		var mistakes config.Mistakes
		require.True(t, errors.As(err, &mistakes), name)
		require.Len(t, mistakes, 1)
		require.Contains(t, err.Error(), name)
		require.NotContains(t, err.Error(), "TOKEN=t")
	}
}
