package auth_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/sqldb"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	auditeventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/audit/v1"
	autheventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/auth/v1"
)

var refused = authv1.ErrorReason_ERROR_REASON_SIGN_IN_REFUSED

// unlock enters a password at the lock of a session, from where everybody in these tests comes from.
func (s *suite) unlock(token, password string) (*authv1.UnlockSessionResponse, error) {
	return s.sessions.UnlockSession(s.nobody("192.0.2.7"), &authv1.UnlockSessionRequest{SessionToken: token, Password: password})
}

func TestC1_ALockedSessionOpensWithThePasswordAloneAndIsWorthNoMore(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
		opened := s.stepUp(admin)
		word, old, internal := s.addInTokens(admin, ""), admin.token, s.as(admin.token)
		s.clock.forward(25 * time.Minute)
		word, err := s.refresh(word.GetRefreshToken())
		require.NoError(t, err)
		s.clock.forward(5 * time.Minute)
		_, err = s.resolve(old, "documents")
		is(t, err, codes.Unauthenticated, locked)
		_, err = s.sessions.GetCurrentSession(internal, &authv1.GetCurrentSessionRequest{})
		require.Error(t, err)
		_, err = s.resolve(word.GetAccessToken(), "documents")
		require.NoError(t, err, "the Add-In works on: nobody looks at its screen")

		resp, err := s.unlock(old, passphrase)
		require.NoError(t, err)
		got := resp.GetSession()
		require.Equal(t, opened.GetName(), got.GetName(), "the same stay")
		require.Equal(t, opened.GetExpireTime().AsTime(), got.GetExpireTime().AsTime(), "with the same end")
		require.Equal(t, opened.GetStrength(), got.GetStrength())
		require.Equal(t, opened.GetMethods(), got.GetMethods())
		require.Nil(t, got.GetStepUpExpireTime())
		require.False(t, got.GetLocked())
		require.True(t, got.GetCurrent())
		require.Equal(t, s.clock.Now().Add(30*time.Minute), got.GetLockTime().AsTime())
		require.NotEqual(t, old, resp.GetSessionToken())
		_, err = s.resolve(old, "documents")
		is(t, err, codes.Unauthenticated, ended)
		_, err = s.unlock(old, passphrase)
		is(t, err, codes.Unauthenticated, ended)
		for _, token := range []string{resp.GetSessionToken(), word.GetAccessToken()} {
			_, err = s.resolve(token, "documents")
			require.NoError(t, err)
		}

		again, err := s.unlock(resp.GetSessionToken(), passphrase)
		require.NoError(t, err)
		require.Empty(t, again.GetSessionToken(), "one that is not locked keeps its token")
		_, err = s.resolve(resp.GetSessionToken(), "documents")
		require.NoError(t, err)

		s.clock.forward(12 * time.Hour)
		_, err = s.unlock(resp.GetSessionToken(), passphrase)
		is(t, err, codes.Unauthenticated, ended)
		found := 0
		for _, m := range s.events("audit.v1.audit_recorded", &auditeventsv1.AuditRecorded{}) {
			for _, e := range m.(*auditeventsv1.AuditRecorded).GetEntries() {
				if e.GetAction() == "session.unlocked" {
					found++
					require.Equal(t, opened.GetName(), "sessions/"+e.GetSession())
					require.Equal(t, "192.0.2.7", e.GetAddress())
				}
			}
		}
		require.Equal(t, 1, found)
	})
}

// A PIN is asked for at each sign-in, whatever the browser has shown before: nothing it holds stands in for one.
func TestC1_EachSignInAsksForAPIN(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
	s.stepUp(admin)
	_, err := s.require2FA(admin.firm, newConnection(admin.firm))
	require.NoError(t, err)
	for range 3 {
		resp, err := s.signIn.StartSignIn(s.nobody("192.0.2.7"), &authv1.StartSignInRequest{Email: admin.email, Password: passphrase})
		require.NoError(t, err)
		require.NotNil(t, resp.GetChallenge(), "from the very address of a moment ago")
		require.Empty(t, resp.GetSessionToken())
		s.clock.forward(time.Minute)
		s.signInAs(admin)
	}
}

func TestFiveWrongPasswordsAtTheLockEndTheSession(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		word := s.addInTokens(admin, "")
		s.clock.forward(29 * time.Minute)
		word, err := s.refresh(word.GetRefreshToken())
		require.NoError(t, err)
		s.clock.forward(time.Minute)
		for i := range 5 {
			_, err := s.unlock(admin.token, fmt.Sprintf("wrong %d", i))
			is(t, err, codes.Unauthenticated, refused)
		}
		_, err = s.unlock(admin.token, passphrase)
		is(t, err, codes.Unauthenticated, ended)
		_, err = s.resolve(word.GetAccessToken(), "documents")
		is(t, err, codes.Unauthenticated, ended)
		_, err = s.refresh(word.GetRefreshToken())
		grantRefused(t, err)
		require.Len(t, s.events("auth.v1.session_revoked", &autheventsv1.SessionRevoked{}), 3, "it, its Add-In, and the one it had stepped up from")
		// They were wrong passwords like any other: signing in waits for them, too.
		_, err = s.signIn.StartSignIn(s.nobody("192.0.2.7"), &authv1.StartSignInRequest{Email: admin.email, Password: passphrase})
		is(t, err, codes.ResourceExhausted, authv1.ErrorReason_ERROR_REASON_TOO_MANY_ATTEMPTS)
	})
}

// However many guess at once, and from wherever, the right one among them opens nothing once five were wrong, and it is
// opened once.
func TestGuessesAtTheLockAreCountedWhenTheyComeTogether(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		s.clock.forward(31 * time.Minute)
		var mu sync.Mutex
		tokens := map[string]bool{}
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				resp, err := s.sessions.UnlockSession(s.nobody(fmt.Sprintf("192.0.2.%d", 10+i)),
					&authv1.UnlockSessionRequest{SessionToken: admin.token, Password: passphrase})
				if err == nil && resp.GetSessionToken() != "" {
					mu.Lock()
					defer mu.Unlock()
					tokens[resp.GetSessionToken()] = true
				}
			})
		}
		wg.Wait()
		require.Len(t, tokens, 1)
		for token := range tokens {
			admin.token = token
		}
		s.clock.forward(31 * time.Minute)
		for i := range 12 {
			wg.Go(func() {
				_, err := s.sessions.UnlockSession(s.nobody(fmt.Sprintf("192.0.2.%d", 30+i)),
					&authv1.UnlockSessionRequest{SessionToken: admin.token, Password: fmt.Sprintf("wrong %d", i)})
				require.Error(t, err)
			})
		}
		wg.Wait()
		_, err := s.unlock(admin.token, passphrase)
		is(t, err, codes.Unauthenticated, ended)
	})
}

func TestWhatCannotBeUnlocked(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		operator := s.operator()
		admin := s.newFirm(operator, "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		word := s.addIn(admin)
		member := s.hire(admin, "mo@harbour.example", "", authv1.Role_ROLE_STAFF)
		s.signInAs(member)
		s.clock.forward(31 * time.Minute)
		for _, token := range []string{"", word, "cps_" + strings.Repeat("A", 43), strings.Repeat("x", 512)} {
			_, err := s.unlock(token, passphrase)
			is(t, err, codes.Unauthenticated, ended)
		}
		_, err := s.sessions.UnlockSession(s.nobody("192.0.2.7"), &authv1.UnlockSessionRequest{SessionToken: member.token, Password: strings.Repeat("x", 2000)})
		require.Error(t, err)
		_, err = s.resolve(word, "documents")
		is(t, err, codes.Unauthenticated, ended)

		s.signInAs(admin)
		s.stepUp(admin)
		// While it was locked the firm began to ask for more than it had shown: it is over, and not only when it is used.
		_, err = s.require2FA(admin.firm, newConnection(admin.firm))
		require.NoError(t, err)
		_, err = s.unlock(member.token, passphrase)
		is(t, err, codes.Unauthenticated, ended)
		s.signInAs(member)
		s.clock.forward(31 * time.Minute)
		s.signInAs(admin)
		s.stepUp(admin)
		_, err = s.accounts.DisableStaff(s.as(admin.token), &authv1.DisableStaffRequest{Name: member.account})
		require.NoError(t, err)
		_, err = s.unlock(member.token, passphrase)
		is(t, err, codes.Unauthenticated, ended)
	})
}

// A session whose policy changed by means that could not end it, a restored database for example, is held to the policy
// when it is unlocked.
func TestUnlockingReadsThePolicy(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
		require.Equal(t, authv1.Strength_STRENGTH_SINGLE, s.signInAs(admin).GetStrength())
		s.clock.forward(31 * time.Minute)
		require.NoError(t, s.db.Tx(t.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.Exec(`UPDATE firms SET enforced_at = 1`)
			return err
		}))
		_, err := s.unlock(admin.token, passphrase)
		is(t, err, codes.Unauthenticated, ended)
	})
}

// Whoever does not come back to a locked session can end it without the password, and with it its Add-Ins; so can a
// browser in which somebody else signs in.
func TestALockedSessionIsDiscardedByItsToken(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		word := s.addInTokens(admin, "")
		s.clock.forward(25 * time.Minute)
		word, err := s.refresh(word.GetRefreshToken())
		require.NoError(t, err)
		s.clock.forward(6 * time.Minute)
		_, err = s.resolve(admin.token, "documents")
		is(t, err, codes.Unauthenticated, locked)
		discard := func(token string) {
			t.Helper()
			_, err := s.sessions.DiscardSession(s.nobody("192.0.2.7"), &authv1.DiscardSessionRequest{SessionToken: token})
			require.NoError(t, err)
		}
		discard("")
		discard(admin.token + "x")
		_, err = s.resolve(admin.token, "documents")
		is(t, err, codes.Unauthenticated, locked)
		discard(admin.token)
		discard(admin.token)
		for _, token := range []string{admin.token, word.GetAccessToken()} {
			_, err = s.resolve(token, "documents")
			is(t, err, codes.Unauthenticated, ended)
		}
		_, err = s.unlock(admin.token, passphrase)
		is(t, err, codes.Unauthenticated, ended)
	})
}
