package account

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestNormalizeEmail(t *testing.T) {
	for in, want := range map[string]string{
		" Jane.Citizen@Example.COM ":  "jane.citizen@example.com",
		"o'neil+tax@mail.example.com": "o'neil+tax@mail.example.com",
		"jörg@example.com":            "jörg@example.com",
		"jane@localhost":              "jane@localhost",
	} {
		got, err := NormalizeEmail(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got)
	}
	for _, in := range []string{
		"", "jane", "@example.com", "jane@", "Jane <jane@example.com>", "jane@example.com,joe@example.com", "a b@example.com",
		"jane@example.com\r\nBcc: joe@example.com", "jane@[127.0.0.1]", "jane@.example.com", "jane@example.com.",
		"\"a\"@example.com", "jane@exa\x00mple.com", strings.Repeat("a", 250) + "@example.com",
	} {
		_, err := NormalizeEmail(in)
		require.ErrorIs(t, err, ErrEmail, "%q", in)
	}
}

func TestMasks(t *testing.T) {
	require.Equal(t, "j***@example.com", MaskEmail("jane@example.com"))
	require.Equal(t, "é***@example.com", MaskEmail("éa@example.com"))
	require.Equal(t, "+61*******21", MaskMobile("+61412345621"))
	require.Equal(t, "****", MaskMobile("+611"))
}

func TestWhoNeedsASecondFactor(t *testing.T) {
	off, on := Firm{EmailPIN: false}, Firm{Enforced: time.Unix(1, 0)}
	require.False(t, off.NeedsSecondFactor(Account{Kind: Staff}))
	require.True(t, on.NeedsSecondFactor(Account{Kind: Staff}))
	require.True(t, off.NeedsSecondFactor(Account{Kind: Contact}))
	require.True(t, off.NeedsSecondFactor(Account{Kind: Operator}))
	require.False(t, off.EmailPINAllowed(Account{Kind: Staff}))
	require.True(t, off.EmailPINAllowed(Account{Kind: Operator}))
}

func TestNormalizeMobile(t *testing.T) {
	countries := []string{"AU", "NZ"}
	for in, want := range map[string]string{
		"+61 491 570 156": "+61491570156", "+61491570156": "+61491570156", " +64 21 123 4567 ": "+64211234567",
	} {
		got, err := NormalizeMobile(in, countries)
		require.NoError(t, err, in)
		require.Equal(t, want, got)
	}
	for in, want := range map[string]error{
		"0491 570 156": ErrMobile, "": ErrMobile, "+61": ErrMobile, "+61 2 5550 1234": ErrMobile, "+61491570156;ext=1x": ErrMobile,
		"+44 7400 123456": ErrCountry, "+882 13 300655": ErrMobile, "+\x00": ErrMobile,
	} {
		_, err := NormalizeMobile(in, countries)
		require.ErrorIs(t, err, want, "%q", in)
	}
}

func FuzzNormalizeEmail(f *testing.F) {
	for _, seed := range []string{"jane@example.com", "\"a b\"@example.com", "a@[::1]", "é@é", "a@b\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		email, err := NormalizeEmail(text)
		if err != nil {
			return
		}
		again, err := NormalizeEmail(email)
		require.NoError(t, err)
		require.Equal(t, email, again)
		require.NotContains(t, email, "\n")
	})
}
