package auth_test

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
)

// rounds is how often the answers to each of two askers are compared.
const rounds = 40

// weighed is what an answer cost, and what it said.
type weighed struct {
	status proto.Message
	hashes int64
	took   time.Duration
}

func (s *suite) weigh(call func() error) weighed {
	hashes, begun := s.service.Hashes(), time.Now()
	err := call()
	w := weighed{took: time.Since(begun)}
	w.hashes, w.status = s.service.Hashes()-hashes, status.Convert(err).Proto()
	return w
}

// alike asks for several things in turn, and requires that all are answered with the same bytes and the same number of
// hashes, and that the time of an answer is no help to tell them apart.
func (s *suite) alike(asks map[string]func(round int) error) {
	s.t.Helper()
	all := s.sameAnswers(asks)
	names := slices.Sorted(maps.Keys(all))
	for _, name := range names[1:] {
		require.InDelta(s.t, 0.5, slower(all[names[0]], all[name]), 0.3, "%s is told from %s by time", name, names[0])
	}
}

// sameAnswers is alike without the time: for codes of 256 bits, which nobody has by chance. Who has one that was used knows
// that there was one.
func (s *suite) sameAnswers(asks map[string]func(round int) error) map[string][]weighed {
	s.t.Helper()
	all := map[string][]weighed{}
	for round := range rounds {
		for name, ask := range asks {
			all[name] = append(all[name], s.weigh(func() error { return ask(round) }))
		}
	}
	names := slices.Sorted(maps.Keys(all))
	first := all[names[0]][0]
	for _, name := range names {
		for i, w := range all[name] {
			require.True(s.t, proto.Equal(first.status, w.status), "%s, round %d: %v\nis not %v", name, i, w.status, first.status)
			require.Equal(s.t, first.hashes, w.hashes, "%s, round %d: hashes", name, i)
		}
	}
	return all
}

// slower is the chance that an answer of the one takes longer than one of the other; a half says that time tells nothing.
// Of 40 and 40 answers that differ by chance alone it strays by 0.3 once in 250,000 times (Mann and Whitney).
func slower(a, b []weighed) float64 {
	wins := 0.0
	for _, x := range a {
		for _, y := range b {
			switch {
			case x.took > y.took:
				wins++
			case x.took == y.took:
				wins += 0.5
			}
		}
	}
	return wins / float64(len(a)*len(b))
}

// origin is a network address that was not used before.
func origin(n int) string { return fmt.Sprintf("10.%d.%d.%d", n>>16&255, n>>8&255, n&255) }

// crowd is a firm with somebody active, somebody invited and somebody disabled, and a second one with the same person.
func (s *suite) crowd() {
	s.t.Helper()
	operator := s.operator()
	admin := s.newFirm(operator, "Harbour Tax", "ada@harbour.example", newMobile())
	s.newFirm(operator, "Bridge Audit", "ada@harbour.example", "")
	s.stepUp(admin)
	s.hire(admin, "mo@harbour.example", "", authv1.Role_ROLE_STAFF)
	dora := s.hire(admin, "dora@harbour.example", "", authv1.Role_ROLE_STAFF)
	_, err := s.accounts.DisableStaff(s.as(admin.token), &authv1.DisableStaffRequest{Name: dora.account})
	require.NoError(s.t, err)
	_, err = s.accounts.InviteStaff(s.as(admin.token), &authv1.InviteStaffRequest{
		Parent: admin.firm, Email: "ivan@harbour.example", DisplayName: "Ivan", Role: authv1.Role_ROLE_STAFF,
	})
	require.NoError(s.t, err)
}

// N42: whether an address has an account, one or several, an open invitation or none, is told by nothing.
func TestN42_SignInTellsNothingAboutWhoExists(t *testing.T) {
	each(t, options{run: true, quiet: true, alone: true}, func(t *testing.T, s *suite) {
		s.crowd()
		n := 0
		try := func(email, pass string) func(int) error {
			return func(int) error {
				n++
				_, err := s.trySignIn(email, pass, origin(n))
				return err
			}
		}
		s.alike(map[string]func(int) error{
			"nobody": try("nobody@harbour.example", passphrase), "no address": try("nobody", passphrase),
			"a wrong password": try("mo@harbour.example", "not "+passphrase), "two firms": try("ada@harbour.example", "not "+passphrase),
			"disabled, the right password": try("dora@harbour.example", passphrase), "invited": try("ivan@harbour.example", passphrase),
		})
	})
}

func TestN42_AskingForAResetTellsNothingAboutWhoExists(t *testing.T) {
	each(t, options{run: true, quiet: true, alone: true}, func(t *testing.T, s *suite) {
		s.crowd()
		n := 0
		ask := func(email string) func(int) error {
			return func(round int) error {
				n++
				return s.askReset(email, origin(n))
			}
		}
		before := s.inbox.count("mo@harbour.example")
		s.alike(map[string]func(int) error{
			"nobody": ask("nobody@harbour.example"), "no address": ask("nobody"), "somebody": ask("mo@harbour.example"),
			"two firms": ask("ada@harbour.example"), "disabled": ask("dora@harbour.example"), "invited": ask("ivan@harbour.example"),
		})
		s.until(func() bool { return s.inbox.count("mo@harbour.example") == before+3 })
		require.Never(t, func() bool { return s.inbox.count("mo@harbour.example") > before+3 }, 200*time.Millisecond, 20*time.Millisecond,
			"more than three e-mails in an hour")
		require.Zero(t, s.inbox.count("nobody@harbour.example"))
		require.Empty(t, resetPattern.FindString(s.inbox.all("dora@harbour.example")+s.inbox.all("ivan@harbour.example")))
	})
}

// Codes, challenges and tokens that are unknown, used or over answer alike.
func TestN42_WhatIsOverIsNotToldFromWhatNeverWas(t *testing.T) {
	each(t, options{run: true, quiet: true, alone: true}, func(t *testing.T, s *suite) {
		operator := s.operator()
		unknown := strings.Repeat("A", 43)
		accept := func(code string) func(int) error {
			return func(int) error {
				_, err := s.signIn.AcceptInvitation(s.nobody("192.0.2.9"), &authv1.AcceptInvitationRequest{InvitationCode: code, Password: passphrase})
				return err
			}
		}
		s.inbox.seen()
		s.newFirm(operator, "Harbour Tax", "ada@harbour.example", "")
		used := codePattern.FindString(s.inbox.all("ada@harbour.example"))
		s.sameAnswers(map[string]func(int) error{"unknown": accept("civ_" + unknown), "used": accept(used)})

		code := s.resetCode(operator.email)
		require.NoError(t, s.finishReset(code, anotherPass))
		finish := func(code string) func(int) error {
			return func(int) error { return s.finishReset(code, passphrase) }
		}
		s.sameAnswers(map[string]func(int) error{"unknown": finish("crs_" + unknown), "used": finish(code)})

		verify := func(challenge string) func(int) error {
			return func(int) error {
				_, err := s.signIn.VerifyFactor(s.nobody("192.0.2.9"), &authv1.VerifyFactorRequest{
					Challenge: challenge, Proof: &authv1.VerifyFactorRequest_TotpCode{TotpCode: "123456"},
				})
				return err
			}
		}
		s.startAnother(t)
		s.inbox.seen()
		started, err := s.trySignIn(operator.email, anotherPass, "192.0.2.7")
		require.NoError(t, err)
		pin := s.answer(operator, started.GetChallenge())
		_, err = s.signIn.VerifyPin(s.nobody("192.0.2.7"), pin)
		require.NoError(t, err)
		s.sameAnswers(map[string]func(int) error{"unknown": verify("cch_" + unknown), "used": verify(pin.GetChallenge())})

		unlock := func(token string) func(int) error {
			return func(int) error {
				_, err := s.sessions.UnlockSession(s.nobody("192.0.2.9"), &authv1.UnlockSessionRequest{SessionToken: token, Password: passphrase})
				return err
			}
		}
		s.sameAnswers(map[string]func(int) error{"unknown": unlock("cps_" + unknown), "ended": unlock(operator.token)})
	})
}

// N42: a sign-in by passkey alone begins without saying whose it is to be, so there is nothing to be told.
func TestN42_APasskeySignInNamesNobody(t *testing.T) {
	fields := (&authv1.StartPasskeySignInRequest{}).ProtoReflect().Descriptor().Fields()
	require.Zero(t, fields.Len())
}

// guess tries wrong passwords for an address, each from another origin.
func (s *suite) guess(email string, from, n int) (last error) {
	for i := range n {
		_, last = s.trySignIn(email, fmt.Sprintf("guess number %d", i), origin(from+i))
		require.Error(s.t, last)
	}
	return last
}

// N44: strangers slow each other down. A person comes in from where they were before; and from a new place by a code of
// their mailbox.
func TestN44_StrangersCannotLockAnybodyOut(t *testing.T) {
	each(t, options{run: true, quiet: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
		s.signInAs(admin)
		tooMany := authv1.ErrorReason_ERROR_REASON_TOO_MANY_ATTEMPTS
		is(t, s.guess(admin.email, 0, 120), codes.ResourceExhausted, tooMany)
		_, err := s.trySignIn(admin.email, passphrase, "192.0.2.7")
		require.NoError(t, err, "from where the person was before")

		_, err = s.trySignIn(admin.email, passphrase, "198.51.100.1")
		e := is(t, err, codes.ResourceExhausted, tooMany)
		until, err := time.Parse(time.RFC3339, e.Metadata()["retry_time"])
		require.NoError(t, err)
		require.LessOrEqual(t, until.Sub(s.clock.Now()), 30*time.Second, "a new place waits for a moment")
		code := s.resetCode(admin.email)
		_, err = s.passwords().FinishPasswordReset(s.nobody("198.51.100.1"), &authv1.FinishPasswordResetRequest{ResetCode: code, NewPassword: anotherPass})
		require.NoError(t, err)
		_, err = s.trySignIn(admin.email, anotherPass, "198.51.100.1")
		require.NoError(t, err, "who owns the mailbox does not wait")
	})
}

// N44: at one origin and address the wait grows with every wrong password.
func TestN44_TheWaitGrowsForWhoGuesses(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
	var waits []time.Duration
	for i := range 14 {
		_, err := s.trySignIn(admin.email, fmt.Sprint("guess ", i), "198.51.100.1")
		is(t, err, codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SIGN_IN_REFUSED)
		if i < 4 {
			continue // four mistakes are free
		}
		_, err = s.trySignIn(admin.email, passphrase, "198.51.100.1")
		waits = append(waits, s.waitOf(err))
		s.clock.forward(waits[len(waits)-1] + time.Second)
	}
	require.True(t, slices.IsSorted(waits), "%v", waits)
	require.Equal(t, 30*time.Second, waits[0])
	require.Equal(t, 15*time.Minute, waits[len(waits)-1])
	_, err := s.trySignIn(admin.email, passphrase, "198.51.100.1")
	require.NoError(t, err, "the account was never locked")
}

// waitOf is how long an answer asks to wait, to the second.
func (s *suite) waitOf(err error) time.Duration {
	s.t.Helper()
	e := is(s.t, err, codes.ResourceExhausted, authv1.ErrorReason_ERROR_REASON_TOO_MANY_ATTEMPTS)
	until, err := time.Parse(time.RFC3339, e.Metadata()["retry_time"])
	require.NoError(s.t, err)
	return until.Sub(s.clock.Now().Truncate(time.Second))
}

// A list of stolen passwords, one try for each address from one place: after sixty there is one try a minute, whether
// anybody has the address or not. Who signed in from there before does not notice, and neither does anybody elsewhere.
func TestStolenPasswordsAreNotTriedInBulkFromOnePlace(t *testing.T) {
	each(t, options{run: true, quiet: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
		const place = "2001:db8:1:2::"
		_, err := s.trySignIn(admin.email, passphrase, place+"1")
		require.NoError(t, err)
		s.hireWithout2FA(admin, "mo@harbour.example")
		for i := range 60 {
			_, err := s.trySignIn(fmt.Sprintf("p%d@firm%d.example", i, i), "hunter2 hunter2", fmt.Sprintf("%s%x", place, i+2))
			is(t, err, codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SIGN_IN_REFUSED)
		}
		for _, email := range []string{"nobody@elsewhere.example", "mo@harbour.example"} {
			_, err = s.trySignIn(email, passphrase, place+"ffff:1")
			require.LessOrEqual(t, s.waitOf(err), time.Minute, email)
		}
		_, err = s.trySignIn(admin.email, passphrase, place+"abcd")
		require.NoError(t, err, "known at this place")
		_, err = s.trySignIn("mo@harbour.example", passphrase, "2001:db8:1:3::1")
		require.NoError(t, err, "another place")
		s.clock.forward(time.Minute)
		_, err = s.trySignIn("nobody@elsewhere.example", passphrase, place+"1")
		is(t, err, codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SIGN_IN_REFUSED)
		_, err = s.trySignIn("nobody@elsewhere.example", passphrase, place+"1")
		s.waitOf(err)
	})
}

// hireWithout2FA adds somebody to a firm whose administrator is not confirmed.
func (s *suite) hireWithout2FA(admin *person, email string) {
	s.t.Helper()
	require.NoError(s.t, s.db.Tx(s.t.Context(), func(tx *sqldb.Tx) error {
		_, err := tx.Exec(`INSERT INTO addresses (email, salt) SELECT $1, salt FROM addresses WHERE email = $2`, email, admin.email)
		if err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO accounts (id, firm, kind, role, contact, email, display_name, mobile, state, password, created_at)
			SELECT $1, firm, kind, 'STAFF', '', $2, 'Mo', '', state, password, created_at FROM accounts WHERE email = $3`,
			uuid.NewString(), email, admin.email)
		return err
	}))
}

// All over the world at once, against the addresses of one firm: strangers wait, for ten seconds at most, and nothing tells
// them which addresses exist. Who is known at their place, and other firms, do not notice.
func TestAFirmIsNotGuessedAtFromEverywhere(t *testing.T) {
	each(t, options{run: true, quiet: true}, func(t *testing.T, s *suite) {
		operator := s.operator()
		admin := s.newFirm(operator, "Harbour Tax", "ada@harbour.example", "")
		s.newFirm(operator, "Bridge Audit", "bo@bridge.example", "")
		for i := range 300 {
			_, err := s.trySignIn(fmt.Sprintf("p%d@harbour.example", i), "hunter2 hunter2", origin(i))
			is(t, err, codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SIGN_IN_REFUSED)
		}
		for _, email := range []string{"nobody@harbour.example", admin.email} {
			_, err := s.trySignIn(email, passphrase, "198.51.100.9")
			require.LessOrEqual(t, s.waitOf(err), 10*time.Second, email)
		}
		_, err := s.trySignIn(admin.email, passphrase, "192.0.2.7")
		require.NoError(t, err)
		_, err = s.trySignIn("bo@bridge.example", passphrase, "198.51.100.9")
		require.NoError(t, err)
		s.clock.forward(10 * time.Second)
		_, err = s.trySignIn(admin.email, passphrase, "198.51.100.9")
		require.NoError(t, err)
	})
}

// Asking for resets is bounded by place, whatever is asked for.
func TestResetsAreNotAskedForInBulk(t *testing.T) {
	each(t, options{run: true, quiet: true}, func(t *testing.T, s *suite) {
		operator := s.operator()
		for i := range 20 {
			require.NoError(t, s.askReset(fmt.Sprintf("p%d@harbour.example", i), "198.51.100.1"))
		}
		for _, email := range []string{"nobody@harbour.example", operator.email} {
			require.LessOrEqual(t, s.waitOf(s.askReset(email, "198.51.100.1")), time.Hour)
		}
		require.NoError(t, s.askReset(operator.email, "198.51.100.2"))
		s.clock.forward(time.Hour)
		require.NoError(t, s.askReset(operator.email, "198.51.100.1"))
	})
}

// S10: where a firm asks for no second factor there is a passphrase, a bound on guessing it, and a way to reset it that
// says nothing to others and ends what was open.
func TestS10_WithoutASecondFactorPassphrasesWaitsAndResets(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
		require.Equal(t, authv1.Strength_STRENGTH_SINGLE, s.signInAs(admin).GetStrength())
		_, err := s.passwords().ChangePassword(s.as(admin.token), &authv1.ChangePasswordRequest{CurrentPassword: passphrase, NewPassword: shortPass})
		rule(t, err, "new_password", "password.too_short")
		for range 5 {
			_, err = s.trySignIn(admin.email, "not "+passphrase, "198.51.100.1")
			is(t, err, codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SIGN_IN_REFUSED)
		}
		_, err = s.trySignIn(admin.email, passphrase, "198.51.100.1")
		require.Equal(t, 30*time.Second, s.waitOf(err))
		code := s.resetCode(admin.email)
		rule(t, s.finishReset(code, shortPass), "new_password", "password.too_short")
		require.NoError(t, s.finishReset(code, anotherPass))
		_, err = s.resolve(admin.token, "auth")
		is(t, err, codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SESSION_ENDED)
		resp, err := s.trySignIn(admin.email, anotherPass, "192.0.2.7")
		require.NoError(t, err)
		require.NotNil(t, resp.GetSession())
	})
}

// comeBack tells whether somebody was told to try again later: for want of a free hash or, on a slow machine, of the database.
func comeBack(err error) bool {
	return rpcerr.Has(err, authv1.ErrorReason_ERROR_REASON_BUSY) || status.Code(err) == codes.Unavailable
}

// Hundreds of sign-ins at once: some are let in, the others are told to come back, and memory stays where a few hashes have
// it.
func TestAFloodOfSignInsTakesNoMoreMemory(t *testing.T) {
	const atOnce, people, mebibyte = 4, 300, 1 << 20
	s := onSQLite(t, options{run: true, quiet: true, realHashes: true, environ: []string{fmt.Sprint("CONCORD_AUTH_PASSWORDS_AT_ONCE=", atOnce)}})
	admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	ctx, stop := context.WithCancel(t.Context())
	var most uint64
	var watch, flood sync.WaitGroup
	watch.Go(func() {
		for ctx.Err() == nil {
			var now runtime.MemStats
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapInuse)
			select {
			case <-ctx.Done():
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
	errs := make([]error, people)
	for i := range errs {
		flood.Go(func() { _, errs[i] = s.trySignIn(admin.email, passphrase, origin(i)) })
	}
	flood.Wait()
	stop()
	watch.Wait()
	in := 0
	for _, err := range errs {
		if err == nil {
			in++
			continue
		}
		require.True(t, comeBack(err), "%v", err)
	}
	require.Positive(t, in)
	// Every hash takes 19 MiB, and the collector lets as much again lie about, or twice that, before it runs; hundreds of calls
	// take some. All of them at once would take 5.6 GiB.
	const bound = (3*atOnce*19 + 64) * mebibyte
	grown := int64(most) - int64(before.HeapInuse)
	t.Logf("%d of %d let in, the heap grew by %d MiB at most", in, people, grown/mebibyte)
	require.Less(t, grown, int64(bound))
}
