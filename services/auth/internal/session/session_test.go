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
	require.True(t, Session{Strength: Weak}.Allowed(on, staff))
	require.False(t, Session{Strength: Single}.Allowed(account.Firm{}, account.Account{Kind: account.Operator}))
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
