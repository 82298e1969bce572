package pack

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// An assessor reads hours and days.
func TestLengthsOfTimeAreReadable(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"12 hours": 12 * time.Hour, "24 hours": 24 * time.Hour, "30 days": 720 * time.Hour, "30 minutes": 30 * time.Minute,
		"1 hour": time.Hour, "1 minute": time.Minute, "90 minutes": 90 * time.Minute, "1m24s": 84*time.Second + 3, "0s": 0,
	} {
		require.Equal(t, want, Span(d))
	}
}

// What opened sessions is said in words; a name that is not known stays.
func TestWhatWasShownIsReadable(t *testing.T) {
	for text, want := range map[string]string{
		"pwd": "password", "pwd otp sms": "password, PIN by text message", "pwd otp sms email": "password, PIN by text message, PIN by e-mail",
		"pwd otp": "password, code of an authenticator program", "hwk user": "passkey", "pwd iris": "password, iris", "": "",
	} {
		require.Equal(t, want, methods(text))
	}
}
