package auth_test

import (
	"encoding/base64"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/argon2"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/config"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/services/auth"
	"github.com/concord-suite/concord/sim/world"
)

// Passwords that keep to the rules, for changes.
const (
	anotherPass = "copper lantern walks home"
	shortPass   = "Zw4-hk2-plo9"
)

var resetPattern = regexp.MustCompile(`crs_[A-Za-z0-9_-]{43}`)

func (s *suite) passwords() authv1.PasswordServiceClient {
	return authv1.NewPasswordServiceClient(s.conn)
}

// askReset asks for a reset code from a network address.
func (s *suite) askReset(email, address string) error {
	_, err := s.passwords().StartPasswordReset(s.nobody(address), &authv1.StartPasswordResetRequest{Email: email})
	return err
}

// resetCode asks for a reset code and reads it from the mailbox.
func (s *suite) resetCode(email string) string {
	s.t.Helper()
	s.inbox.seen()
	require.NoError(s.t, s.askReset(email, "192.0.2.7"))
	for { // a notice of something before may come first
		m := s.inbox.next(email)
		if code := resetPattern.FindString(m.Text); code != "" {
			return code
		}
		s.inbox.after = m.ID
	}
}

func (s *suite) finishReset(code, pass string) error {
	_, err := s.passwords().FinishPasswordReset(s.nobody("192.0.2.7"), &authv1.FinishPasswordResetRequest{ResetCode: code, NewPassword: pass})
	return err
}

// trySignIn is the first step alone.
func (s *suite) trySignIn(email, pass, address string) (*authv1.StartSignInResponse, error) {
	return s.signIn.StartSignIn(s.nobody(address), &authv1.StartSignInRequest{Email: email, Password: pass})
}

// rule requires that a password was refused by a rule.
func rule(t testing.TB, err error, field, id string) {
	t.Helper()
	e := is(t, err, codes.InvalidArgument, authv1.ErrorReason_ERROR_REASON_PASSWORD_REFUSED)
	require.Equal(t, field, e.Violations()[0].Field)
	require.Equal(t, id, e.Violations()[0].Rule)
	require.NotEmpty(t, e.Violations()[0].Description, "the reason is given")
}

func TestN08_ChangingAPasswordTakesTheCurrentOne(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
		other := &person{email: admin.email, firm: admin.firm}
		s.signInAs(other)
		addIn := s.addIn(other)
		change := func(current, next string) error {
			_, err := s.passwords().ChangePassword(s.as(admin.token), &authv1.ChangePasswordRequest{CurrentPassword: current, NewPassword: next})
			return err
		}
		is(t, change("not "+passphrase, anotherPass), codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SIGN_IN_REFUSED)
		rule(t, change(passphrase, passphrase), "new_password", "password.unchanged")
		rule(t, change(passphrase, "adaharbourtax"), "new_password", "password.too_short")
		s.inbox.seen()
		require.NoError(t, change(passphrase, anotherPass))
		require.Contains(t, s.inbox.next(admin.email).Text, "password of your account was changed")
		_, err := s.resolve(admin.token, "auth")
		require.NoError(t, err, "the session that changed it stays")
		for _, token := range []string{other.token, addIn} {
			_, err := s.resolve(token, "auth")
			is(t, err, codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SESSION_ENDED)
		}
		_, err = s.trySignIn(admin.email, passphrase, "192.0.2.7")
		is(t, err, codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SIGN_IN_REFUSED)
		_, err = s.trySignIn(admin.email, anotherPass, "192.0.2.7")
		require.NoError(t, err)
	})
}

// Guessing the current password is bounded as signing in is, whoever holds the session.
func TestN08_TheCurrentPasswordIsNotGuessedHere(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
	for i := range 5 {
		_, err := s.passwords().ChangePassword(s.as(admin.token), &authv1.ChangePasswordRequest{CurrentPassword: fmt.Sprint("guess ", i), NewPassword: anotherPass})
		is(t, err, codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SIGN_IN_REFUSED)
	}
	_, err := s.passwords().ChangePassword(s.as(admin.token), &authv1.ChangePasswordRequest{CurrentPassword: passphrase, NewPassword: anotherPass})
	is(t, err, codes.ResourceExhausted, authv1.ErrorReason_ERROR_REASON_TOO_MANY_ATTEMPTS)
}

func TestN01_FifteenCharactersAloneEightBesideASecondFactor(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		mo := s.hire(admin, "mo@harbour.example", newMobile(), authv1.Role_ROLE_STAFF)
		s.signInAs(mo)
		change := func(current, next string) error {
			_, err := s.passwords().ChangePassword(s.as(mo.token), &authv1.ChangePasswordRequest{CurrentPassword: current, NewPassword: next})
			return err
		}
		rule(t, change(passphrase, shortPass), "new_password", "password.too_short")
		rule(t, change(passphrase, "fourteen chars"), "new_password", "password.too_short")
		s.enforce(admin)
		s.signInAs(mo)
		rule(t, change(passphrase, "seven c"), "new_password", "password.too_short")
		require.NoError(t, change(passphrase, shortPass))
	})
}

// A password that was good enough beside a second factor does not stand alone when the firm stops asking for one: its
// holder goes on showing both, until the password is longer.
func TestN01_AShortPasswordNeverStandsAlone(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		s.enforce(admin)
		mo := s.hire(admin, "mo@harbour.example", newMobile(), authv1.Role_ROLE_STAFF)
		s.signInAs(mo)
		_, err := s.passwords().ChangePassword(s.as(mo.token), &authv1.ChangePasswordRequest{CurrentPassword: passphrase, NewPassword: shortPass})
		require.NoError(t, err)
		p := s.policy(admin)
		p.TwoFactorEnforced = false
		_, err = s.firms.UpdateSecurityPolicy(s.as(admin.token), &authv1.UpdateSecurityPolicyRequest{Policy: p})
		require.NoError(t, err)
		resp, err := s.trySignIn(mo.email, shortPass, "192.0.2.7")
		require.NoError(t, err)
		require.NotNil(t, resp.GetChallenge())
		resp, err = s.trySignIn(admin.email, passphrase, "192.0.2.7")
		require.NoError(t, err)
		require.NotNil(t, resp.GetSession())
	})
}

func TestN02_LongPasswordsCountToTheLastCharacter(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
		current := passphrase
		for _, n := range []int{64, 72, 73, 256, 1024} { // 72 bytes are where bcrypt stops to look
			next := strings.Repeat("é", n/4) + varied(n-n/4)
			_, err := s.passwords().ChangePassword(s.as(admin.token), &authv1.ChangePasswordRequest{CurrentPassword: current, NewPassword: next})
			require.NoError(t, err, n)
			for _, wrong := range []string{next[:len(next)-1], next[:len(next)-1] + "#", strings.ToUpper(next)} {
				_, err = s.trySignIn(admin.email, wrong, fmt.Sprintf("192.0.2.%d", n%200))
				is(t, err, codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SIGN_IN_REFUSED)
			}
			_, err = s.trySignIn(admin.email, next, "192.0.2.7")
			require.NoError(t, err)
			current = next
		}
		_, err := s.passwords().ChangePassword(s.as(admin.token), &authv1.ChangePasswordRequest{CurrentPassword: current, NewPassword: varied(1025)})
		require.Equal(t, codes.InvalidArgument, rpcerr.From(err).Code())
	})
}

// varied is a text of so many characters that does not repeat.
func varied(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%d word ", i*i*7919)
	}
	return b.String()[:n-1] + "x"
}

// No kind of character is asked for, and no time makes a password stale.
func TestN03_NoCompositionAndNoRotation(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
		current := passphrase
		for _, next := range []string{"onlysmallletters", "ONLY CAPITAL LETTERS", "918273640519273645", "~~ -- ++ == // ?? !", "nur wörter ohne ziffern"} {
			_, err := s.passwords().ChangePassword(s.as(admin.token), &authv1.ChangePasswordRequest{CurrentPassword: current, NewPassword: next})
			require.NoError(t, err, next)
			current = next
		}
		s.clock.forward(5 * 365 * 24 * time.Hour)
		resp, err := s.trySignIn(admin.email, current, "192.0.2.7")
		require.NoError(t, err)
		require.NotNil(t, resp.GetSession(), "after five years as on the first day")
	})
}

func TestN04_KnownAndGuessablePasswordsAreRefusedWithTheReason(t *testing.T) {
	s := onSQLite(t, options{run: true})
	code := s.resetCode(s.operator().email)
	for pass, id := range map[string]string{
		"nuttertools": "password.breached", "UNDERTAKER": "password.breached", "basketball": "password.common", "Password2026!": "password.common",
		"trustno1trustno1": "password.repeated", "olive@host.example": "password.context", "OliveOperator7": "password.context", "concord-2026": "password.context",
	} {
		rule(t, s.finishReset(code, pass), "new_password", id)
	}
	require.NoError(t, s.finishReset(code, shortPass), "what was refused has not used the code up")
}

func TestN05_TheSameCharactersAreTheSamePassword(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
	_, err := s.passwords().ChangePassword(s.as(admin.token), &authv1.ChangePasswordRequest{CurrentPassword: passphrase, NewPassword: "caf\u00e9 au lait, drei Ko\u0308nige"})
	require.NoError(t, err)
	_, err = s.trySignIn(admin.email, "cafe\u0301 au lait, drei K\u00f6nige", "192.0.2.7")
	require.NoError(t, err)
	code := s.resetCode(admin.email)
	rule(t, s.finishReset(code, strings.Repeat("a\u0301", 6)+strings.Repeat("e\u0301", 8)), "new_password", "password.too_short")
	require.NoError(t, s.finishReset(code, "\u00e1\u00e9\u00f3\u00fa\u00ed\u00e0\u00e8\u00f2\u00f9\u00ec\u00e2\u00ea\u00f4\u00fb\u00ee"), "fifteen characters, whatever their bytes")
}

// What is stored: argon2id, its costs, a salt, under a pepper that a copy of the database does not hold. A hash of other
// costs, or from before there was a pepper, is made anew when its owner signs in.
func TestN07_HashesSayTheirCostsAndAreMadeAnew(t *testing.T) {
	each(t, options{run: true, realHashes: true}, func(t *testing.T, s *suite) {
		operator := s.operator()
		stored := func() (phc string) {
			require.NoError(t, s.db.QueryRow(t.Context(), `SELECT password FROM accounts WHERE email = $1`, operator.email).Scan(&phc))
			return phc
		}
		today := regexp.MustCompile(`^\$argon2id\$v=19\$m=19456,t=2,p=1,keyid=[A-Za-z0-9+/]+\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$`)
		require.Regexp(t, today, stored())
		old := oldHash(passphrase)
		require.NoError(t, s.db.Tx(t.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.Exec(`UPDATE accounts SET password = $1 WHERE email = $2`, old, operator.email)
			return err
		}))
		_, err := s.trySignIn(operator.email, "wrong "+passphrase, "192.0.2.7")
		require.Error(t, err)
		require.Equal(t, old, stored(), "a wrong password changes nothing")
		s.signInAs(operator)
		require.Regexp(t, today, stored())
		s.signInAs(operator)
	})
}

// The pepper is sealed: rotating the keys of the keyring makes no password wrong.
func TestN07_ARotationOfTheKeysLeavesPasswordsGood(t *testing.T) {
	s := onSQLite(t, options{run: true})
	operator := s.operator()
	require.NoError(t, s.keyring.Rotate())
	sealedBy := func() (key string) {
		require.NoError(t, s.db.QueryRow(t.Context(), `SELECT vault_key FROM peppers`).Scan(&key))
		return key
	}
	before := sealedBy()
	s.until(func() bool { return sealedBy() != before })
	s.signInAs(operator)
}

func TestN09_ResetCodesAreRandomShortLivedAndGoodOnce(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		operator := s.operator()
		first, second, third := s.resetCode(operator.email), s.resetCode(operator.email), s.resetCode(operator.email)
		require.NotEqual(t, first, second)
		invalid := authv1.ErrorReason_ERROR_REASON_RESET_INVALID
		unknown := is(t, s.finishReset("crs_"+strings.Repeat("A", 43), anotherPass), codes.FailedPrecondition, invalid)
		var hashes []string
		require.NoError(t, s.db.Read(t.Context(), func(tx *sqldb.Tx) (err error) {
			hashes, err = sqldb.Collect(tx, func(r *sqldb.Rows) (h string, err error) {
				var raw []byte
				err = r.Scan(&raw)
				return string(raw), err
			}, `SELECT code_hash FROM resets`)
			return err
		}))
		require.NotContains(t, hashes, first, "stored hashed")
		require.Len(t, hashes, 3)

		s.clock.forward(20 * time.Minute)
		require.NoError(t, s.finishReset(first, anotherPass), "another code does not void those before")
		for _, code := range []string{first, second, third} {
			refused := is(t, s.finishReset(code, passphrase+" again"), codes.FailedPrecondition, invalid)
			require.Equal(t, unknown.Error(), refused.Error(), "used, void and unknown ones answer alike")
		}
		s.clock.forward(time.Hour)
		late := s.resetCode(operator.email)
		s.clock.forward(time.Hour)
		refused := is(t, s.finishReset(late, passphrase+" again"), codes.FailedPrecondition, invalid)
		require.Equal(t, unknown.Error(), refused.Error())
	})
}

// Ten requests with one code at the same time set one password.
func TestN09_OneOfManyWithTheSameCodeWins(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		operator := s.operator()
		code := s.resetCode(operator.email)
		var wg sync.WaitGroup
		errs := make([]error, 10)
		for i := range errs {
			wg.Go(func() { errs[i] = s.finishReset(code, fmt.Sprintf("%s number %d", anotherPass, i)) })
		}
		wg.Wait()
		won := -1
		for i, err := range errs {
			if err == nil {
				require.Equal(t, -1, won, "two set a password by one code")
				won = i
				continue
			}
			is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_RESET_INVALID)
		}
		require.NotEqual(t, -1, won)
		_, err := s.trySignIn(operator.email, fmt.Sprintf("%s number %d", anotherPass, won), "192.0.2.7")
		require.NotEqual(t, codes.Unauthenticated, rpcerr.From(err).Code())
	})
}

// T11: the way back to a password opens no session. The second factor is asked for as before, and the mailbox that brought
// the password is none (C3).
func TestT11_AResetSignsNobodyIn(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		operator := s.operator()
		admin := s.newFirm(operator, "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		s.enforce(admin)
		mo := s.hire(admin, "mo@harbour.example", newMobile(), authv1.Role_ROLE_STAFF)
		s.signInAs(mo)
		s.signInAs(mo) // the mobile is validated by now
		code := s.resetCode(mo.email)
		s.inbox.seen()
		resp, err := s.passwords().FinishPasswordReset(s.nobody("192.0.2.7"), &authv1.FinishPasswordResetRequest{ResetCode: code, NewPassword: anotherPass})
		require.NoError(t, err)
		require.Equal(t, mo.email, resp.GetEmail())
		require.Contains(t, s.inbox.next(mo.email).Text, "set anew")
		_, err = s.resolve(mo.token, "auth")
		is(t, err, codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SESSION_ENDED)

		s.inbox.seen()
		started, err := s.trySignIn(mo.email, anotherPass, "192.0.2.7")
		require.NoError(t, err)
		require.Empty(t, started.GetSessionToken())
		require.Equal(t, authv1.Channel_CHANNEL_SMS, started.GetChallenge().GetChannel(), "the factor is what it was")
		_, err = s.signIn.VerifyPin(s.nobody("192.0.2.7"), s.answer(mo, started.GetChallenge()))
		require.NoError(t, err)
	})
}

func TestN32_AResetTakesNoSecondFactorAway(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		s.enforce(admin)
		mo := s.hire(admin, "mo@harbour.example", newMobile(), authv1.Role_ROLE_STAFF)
		s.signInAs(mo)
		get := func() *authv1.Staff {
			resp, err := s.accounts.GetStaff(s.as(admin.token), &authv1.GetStaffRequest{Name: mo.account})
			require.NoError(t, err)
			return resp.GetStaff()
		}
		before := get()
		require.True(t, before.GetMobileValidated())
		require.Equal(t, []authv1.FactorKind{authv1.FactorKind_FACTOR_KIND_SMS_PIN}, before.GetFactors())
		require.NoError(t, s.finishReset(s.resetCode(mo.email), anotherPass))
		after := get()
		require.True(t, after.GetMobileValidated())
		require.Equal(t, before.GetFactors(), after.GetFactors())
	})
}

// C3: without a mobile, the mailbox has counted once by the reset. Whoever can speak for the person lets it count again.
func TestC3_TheMailboxNeverCountsTwice(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		operator := s.operator()
		admin := s.newFirm(operator, "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		s.enforce(admin)
		mo := s.hire(admin, "mo@harbour.example", "", authv1.Role_ROLE_STAFF)
		s.signInAs(mo) // by e-mail
		require.NoError(t, s.finishReset(s.resetCode(mo.email), anotherPass))
		s.until(func() bool { return strings.Contains(s.inbox.last(mo.email), "set anew") })
		sent := s.inbox.count(mo.email)
		_, err := s.trySignIn(mo.email, anotherPass, "192.0.2.7")
		is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_PIN_UNDELIVERABLE)
		require.Equal(t, sent, s.inbox.count(mo.email), "no PIN went to the mailbox")
		_, err = s.accounts.ReinstatePin(s.as(admin.token), &authv1.ReinstatePinRequest{Name: mo.account})
		require.NoError(t, err)
		_, err = s.trySignIn(mo.email, anotherPass, "192.0.2.7")
		require.NoError(t, err, "an administrator who spoke with the person lets it count again")
	})
}

// An operator has nobody above: whoever starts the machine lets the mailbox count again.
func TestC3_TheMailboxOfAnOperatorCountsAgainAfterAStart(t *testing.T) {
	s := onSQLite(t, options{run: true})
	operator := s.operator()
	require.NoError(t, s.finishReset(s.resetCode(operator.email), anotherPass))
	_, err := s.trySignIn(operator.email, anotherPass, "192.0.2.7")
	is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_PIN_UNDELIVERABLE)
	s.startAnother(t)
	_, err = s.trySignIn(operator.email, anotherPass, "192.0.2.7")
	require.NoError(t, err)
}

// startAnother makes the service a second time, as another process of the same installation.
func (s *suite) startAnother(t *testing.T) {
	t.Helper()
	ring, err := s.keyring.Open()
	require.NoError(t, err)
	var cfg auth.Config
	require.NoError(t, config.Load(config.Source{Service: "auth", Environ: s.environ(options{})}, &cfg))
	_, err = auth.New(t.Context(), cfg, auth.Deps{
		DB: s.db, Sync: s.clients.conn, Vault: ring, Now: s.clock.Now, Logger: slog.New(slog.DiscardHandler),
	}.HashCheaply())
	require.NoError(t, err)
}

// oldHash is a hash of a password as the service made them with lower costs and before there was a pepper.
func oldHash(pass string) string {
	salt, b64 := []byte("0123456789abcdef"), base64.RawStdEncoding
	return "$argon2id$v=19$m=64,t=1,p=1$" + b64.EncodeToString(salt) + "$" + b64.EncodeToString(argon2.IDKey([]byte(pass), salt, 1, 64, 1, 32))
}

// last is the text of the newest message to somebody.
func (b *inbox) last(to string) (text string) {
	b.store.View(func(s *world.State) {
		for _, m := range s.Messages.All() {
			if m.To == to {
				text = m.Text
			}
		}
	})
	return text
}

// all are the texts of the messages to somebody.
func (b *inbox) all(to string) string {
	var texts []string
	b.store.View(func(s *world.State) {
		for _, m := range s.Messages.All() {
			if m.To == to {
				texts = append(texts, m.Text)
			}
		}
	})
	return strings.Join(texts, "\n")
}
