package auth_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/services/auth"
)

// What the requirements say about refresh tokens, by their ids.

func TestN51_RefreshTokensRotateAndAReusedOneEndsEverything(t *testing.T) {
	eachOnBus(t, func(t *testing.T, s *suite, _ jetstream.JetStream) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
		s.inbox.seen()
		first := s.addInTokens(admin, "")
		other := s.addInTokens(admin, "")
		second, err := s.refresh(first.GetRefreshToken())
		require.NoError(t, err)
		require.NotEqual(t, first.GetRefreshToken(), second.GetRefreshToken())
		_, err = s.resolve(first.GetAccessToken(), "documents")
		require.NoError(t, err, "calls that are under way are not cut off")
		third, err := s.refresh(second.GetRefreshToken())
		require.NoError(t, err)

		_, err = s.issue(&authv1.IssueAddInTokenRequest{GrantType: "refresh_token", RefreshToken: third.GetRefreshToken(), ClientId: "excel"})
		grantRefused(t, err) // another Add-In's; nothing ends

		_, err = s.refresh(first.GetRefreshToken())
		grantRefused(t, err)
		for _, token := range []string{first.GetAccessToken(), second.GetAccessToken(), third.GetAccessToken()} {
			_, err = s.resolve(token, "documents")
			is(t, err, codes.Unauthenticated, ended)
		}
		_, err = s.refresh(third.GetRefreshToken())
		grantRefused(t, err)
		_, err = s.resolve(other.GetAccessToken(), "documents")
		require.NoError(t, err, "the family is one session")
		_, err = s.resolve(admin.token, "auth")
		require.NoError(t, err)
		require.Contains(t, s.inbox.next(admin.email).Text, "A sign-in of Concord for Word was used a second time", "the person is told")
		eventstest.Until(t, "the ledger names it", func() bool {
			found := s.entries(admin, &authv1.ListAuditEntriesRequest{Action: "add_in.refresh_token_reused"})
			return len(found) == 1 && found[0].GetEntry().GetResource() == admin.account && !found[0].GetEntry().GetSuccess()
		})
	})
}

func TestN51_RefreshingEndsTwelveHoursAfterTheSignIn(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
		signedIn := s.clock.Now()
		s.clock.forward(29 * time.Minute)
		tokens, err := s.addInTokens(admin, ""), error(nil)
		for s.clock.Now().Add(11 * time.Minute).Before(signedIn.Add(12 * time.Hour)) {
			require.Equal(t, signedIn.Add(12*time.Hour), tokens.GetSessionExpireTime().AsTime())
			s.clock.forward(11 * time.Minute)
			tokens, err = s.refresh(tokens.GetRefreshToken())
			require.NoError(t, err)
		}
		left := signedIn.Add(12 * time.Hour).Sub(s.clock.Now())
		require.Less(t, left, 10*time.Minute)
		require.EqualValues(t, min(left, 10*time.Minute)/time.Second, tokens.GetExpiresIn(), "the last one is shorter")
		s.clock.forward(left)
		_, err = s.refresh(tokens.GetRefreshToken())
		grantRefused(t, err)
	})
}

func TestN59_ALostAnswerIsGivenAgainAndTwoAtOnceHaveOneWinner(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
		first := s.addInTokens(admin, "openid offline_access")
		lost, err := s.refresh(first.GetRefreshToken())
		require.NoError(t, err)
		s.clock.forward(29 * time.Second)
		again, err := s.refresh(first.GetRefreshToken())
		require.NoError(t, err)
		require.Equal(t, lost.GetAccessToken(), again.GetAccessToken(), "nobody has a token more than before")
		require.Equal(t, lost.GetRefreshToken(), again.GetRefreshToken())
		require.EqualValues(t, 600-29, again.GetExpiresIn())
		require.NotEmpty(t, again.GetIdToken())
		_, err = s.issue(&authv1.IssueAddInTokenRequest{GrantType: "refresh_token", RefreshToken: first.GetRefreshToken(), Scope: "openid"})
		grantRefused(t, err) // another question

		// From its first use on the answer is known to have arrived: the old token gets nothing, and ends nothing yet.
		_, err = s.resolve(again.GetAccessToken(), "documents")
		require.NoError(t, err)
		_, err = s.refresh(first.GetRefreshToken())
		grantRefused(t, err)
		_, err = s.resolve(again.GetAccessToken(), "documents")
		require.NoError(t, err)
		s.clock.forward(time.Second)
		_, err = s.refresh(first.GetRefreshToken())
		grantRefused(t, err)
		_, err = s.refresh(again.GetRefreshToken())
		grantRefused(t, err) // half a minute later it is a stolen one

		token := s.addInTokens(admin, "").GetRefreshToken()
		var won atomic.Int32
		var answers sync.Map
		var work sync.WaitGroup
		for range 8 {
			work.Go(func() {
				if resp, err := s.refresh(token); err == nil {
					won.Add(1)
					answers.Store(resp.GetRefreshToken(), resp.GetAccessToken())
				}
			})
		}
		work.Wait()
		require.Positive(t, won.Load())
		count, next := 0, ""
		answers.Range(func(key, _ any) bool { count++; next = key.(string); return true })
		require.Equal(t, 1, count, "the family has not forked")
		_, err = s.refresh(next)
		require.NoError(t, err)
		_, err = s.refresh(token)
		grantRefused(t, err)
	})
}

func TestN59_ALostCommitCostsNobodyTheSession(t *testing.T) {
	for _, engine := range sqldbtest.Engines() {
		t.Run(string(engine), func(t *testing.T) {
			broken := sqldbtest.NewFaults()
			s := start(t, sqldbtest.Open(t, sqldbtest.URL(t, engine), auth.Migrations, broken.Option()), options{run: true})
			admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
			tokens := s.addInTokens(admin, "")
			lostOnce := func() error {
				t.Helper()
				for { // the fault may hit a commit of the relay or the clean-up first
					broken.CommitThenFail(1)
					got, err := s.refresh(tokens.GetRefreshToken())
					if err != nil {
						return err
					}
					tokens = got
				}
			}
			require.Equal(t, codes.Unavailable, rpcerr.From(lostOnce()).Code())
			again, err := s.refresh(tokens.GetRefreshToken())
			require.NoError(t, err)
			_, err = s.resolve(again.GetAccessToken(), "documents")
			require.NoError(t, err)
			_, err = s.refresh(again.GetRefreshToken())
			require.NoError(t, err)
		})
	}
}
