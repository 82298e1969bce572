package factor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// N11: six digits, each as likely as any other.
func TestN11_PINsAreSixDigitsAndSpread(t *testing.T) {
	first := map[byte]int{}
	const n = 20_000
	for range n {
		pin := NewPIN()
		require.Regexp(t, `^[0-9]{6}$`, pin)
		first[pin[0]]++
	}
	for d := byte('0'); d <= '9'; d++ {
		// 2,000 expected, standard deviation 42; six of them are a defect, not luck.
		require.InDelta(t, n/10, first[d], 260)
	}
}

func TestN16_WaitGrowsToABound(t *testing.T) {
	require.Zero(t, Wait(0))
	require.Zero(t, Wait(4))
	require.Equal(t, 30*time.Second, Wait(5))
	require.Equal(t, time.Minute, Wait(6))
	require.Equal(t, 8*time.Minute, Wait(9))
	require.Equal(t, 15*time.Minute, Wait(10))
	require.Equal(t, 15*time.Minute, Wait(1_000_000))
}

func TestChoose(t *testing.T) {
	for _, c := range []struct {
		name string
		ways Ways
		want Channel
		err  error
	}{
		{"validated mobile", Ways{Mobile: true, Validated: true, SMS: true, Email: true, EmailAllowed: true}, SMS, nil},
		{"mobile entered by somebody else", Ways{Mobile: true, SMS: true, Email: true}, Both, nil},
		{"no mobile", Ways{SMS: true, Email: true, EmailAllowed: true}, Email, nil},
		{"SMS not possible", Ways{Mobile: true, Validated: true, Email: true, EmailAllowed: true}, Email, nil},
		{"SMS not possible, e-mail not allowed", Ways{Mobile: true, Validated: true, Email: true}, "", ErrNoSMS},
		{"no mobile, e-mail not allowed", Ways{SMS: true, Email: true}, "", ErrNoMobile},
		{"new mobile, no e-mail to prove it by", Ways{Mobile: true, SMS: true, EmailAllowed: true}, "", ErrNoEmail},
		{"nothing configured", Ways{Mobile: true, Validated: true, EmailAllowed: true}, "", ErrNoChannel},
	} {
		got, err := c.ways.Choose()
		require.Equal(t, c.want, got, c.name)
		require.ErrorIs(t, err, c.err, c.name)
	}
}
