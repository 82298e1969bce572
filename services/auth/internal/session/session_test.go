package session

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/services/auth/internal/account"
)

func TestLive(t *testing.T) {
	start := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	s := Session{Created: start, Used: start, Expires: start.Add(Life)}
	require.True(t, s.Live(start))
	require.True(t, s.Live(start.Add(Idle-time.Second)))
	require.False(t, s.Live(start.Add(Idle)), "thirty minutes unused")
	s.Used = start.Add(Life - time.Minute)
	require.True(t, s.Live(start.Add(Life-time.Second)))
	require.False(t, s.Live(start.Add(Life)), "twelve hours old, however busy")
	s.Ended = start.Add(time.Hour)
	require.False(t, s.Live(start), "ended")
}

func TestTouchedOncePerMinute(t *testing.T) {
	start := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	s := Session{Used: start}
	require.False(t, s.NeedsTouch(start.Add(59*time.Second)))
	require.True(t, s.NeedsTouch(start.Add(time.Minute)))
}

func TestSingleIsEnoughOnlyWithoutEnforcement(t *testing.T) {
	staff, on := account.Account{Kind: account.Staff}, account.Firm{Enforced: time.Unix(1, 0)}
	require.True(t, Session{Strength: Single}.Allowed(account.Firm{}, staff))
	require.False(t, Session{Strength: Single}.Allowed(on, staff))
	mailed := Session{Strength: Weak, Methods: []string{MethodPassword, MethodOTP, MethodEmail}}
	require.False(t, mailed.Allowed(on, staff), "the firm forbids PINs by e-mail")
	on.EmailPIN = true
	require.True(t, mailed.Allowed(on, staff))
	require.False(t, Session{Strength: Single}.Allowed(account.Firm{}, account.Account{Kind: account.Operator}))
}

// What a firm forbids is no second factor, whenever it was shown.
func TestASessionIsAsGoodAsWhatOpenedIt(t *testing.T) {
	staff, contact := account.Account{Kind: account.Staff}, account.Account{Kind: account.Contact}
	for method, kind := range map[string]account.Factor{
		MethodSMS: account.SMSPIN, MethodHardware: account.Passkey, MethodSoftware: account.Passkey, MethodOTP: account.TOTP,
	} {
		s := Session{Strength: Strong, Methods: []string{MethodPassword, MethodOTP, method}}
		require.Equal(t, []account.Factor{kind}, s.Shown())
		on := account.Firm{Enforced: time.Unix(1, 0), EmailPIN: true}
		require.True(t, s.Allowed(on, staff))
		on.Forbidden = []account.Factor{kind}
		require.False(t, s.Allowed(on, staff), method)
		require.False(t, s.Allowed(on, contact), method)
		s.Methods = append(s.Methods, MethodEmail)
		require.True(t, s.Allowed(on, staff), "both were shown, and one of them will do")
		on.Enforced = time.Time{}
		require.True(t, Session{Strength: Single}.Allowed(on, staff))
	}
	require.True(t, Session{Strength: Weak, Methods: []string{MethodRecovery}}.Allowed(account.Firm{Enforced: time.Unix(1, 0)}, staff))
	require.False(t, Session{Strength: Strong, Methods: []string{MethodPassword}}.Allowed(account.Firm{}, contact), "nothing was shown")
	require.True(t, Session{Strength: Single}.Allowed(account.Firm{ContactsExempt: true}, contact))
	stranded := Session{Strength: Weak, Methods: []string{MethodEmail}, MustEnrol: true}
	require.True(t, stranded.Allowed(account.Firm{Enforced: time.Unix(1, 0)}, staff), "opened by what there is, for enrolling alone")
}

func TestLocks(t *testing.T) {
	start := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	s := Session{Kind: Person, Created: start, Used: start, Expires: start.Add(Life)}
	require.False(t, s.Locked(start))
	require.Equal(t, start.Add(Idle), s.Locks())
	require.True(t, s.Locked(start.Add(Idle)))
	require.True(t, s.Locked(start.Add(Life-time.Second)))
	require.False(t, s.Locked(start.Add(Life)), "over")
	s.Used = start.Add(Life - time.Minute)
	require.Equal(t, s.Expires, s.Locks())
	s.Ended = start
	require.False(t, s.Locked(start.Add(Idle)))
	word := Session{Kind: AddIn, Used: start, Expires: start.Add(Life)}
	require.False(t, word.Locked(start.Add(Idle)), "there is nobody to unlock it")
	require.False(t, word.Live(start.Add(Idle)))
}

func TestTokens(t *testing.T) {
	token, hash := NewToken(ForPerson)
	other, _ := NewToken(ForPerson)
	require.NotEqual(t, token, other)
	require.Len(t, strings.TrimPrefix(token, "cps_"), 43, "256 bits")
	require.Equal(t, Hash(token), hash)
	require.True(t, ForPerson.Is(token))
	require.False(t, ForAddIn.Is(token))
}

func TestPKCE(t *testing.T) {
	// The example of RFC 7636, appendix B.
	const verifier, challenge = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	require.True(t, ProvesChallenge(verifier, challenge))
	require.False(t, ProvesChallenge(verifier[:42]+"l", challenge))
	require.False(t, ProvesChallenge(challenge, challenge), "plain")
	require.False(t, ProvesChallenge(strings.Repeat("a", 42), challenge))
	require.False(t, ProvesChallenge(strings.Repeat("a", 129), challenge))
	require.False(t, ProvesChallenge(strings.Repeat("é", 30), challenge))
}

// What a passkey alone has opened is not enough once the firm forbids that, be a second factor asked for or not.
func TestAForbiddenPasskeyAloneIsNotEnough(t *testing.T) {
	staff, firm := account.Account{Kind: account.Staff}, account.Firm{PasskeyAloneForbidden: true}
	alone := Session{Strength: Strong, Methods: []string{MethodHardware, MethodUser}}
	require.False(t, alone.Allowed(firm, staff))
	require.True(t, alone.Allowed(account.Firm{}, staff))
	beside := Session{Strength: Strong, Methods: []string{MethodPassword, MethodHardware, MethodUser}}
	require.True(t, beside.Allowed(firm, staff))
	require.True(t, Session{Strength: Single, Methods: []string{MethodPassword}}.Allowed(firm, staff))
}
