// Package factor holds the rules of the second factor that needs no enrolment: a PIN by SMS or by e-mail.
//
// A PIN has six digits, lives ten minutes, is stored as a keyed hash and works once, for the challenge it was made for.
// Wrong ones are counted per account over all channels and challenges; a new PIN does not reset the count. From the fifth
// on the wait grows, at the twentieth PINs are switched off for the account until somebody with the right to do so
// switches them on again. Guessing needs the password first, so nobody is locked out by a stranger.
//
// The package decides; it neither stores nor sends.
package factor

import (
	"crypto/rand"
	"errors"
	"math/big"
	"time"
)

const (
	// Life is how long a challenge and its PINs live. ASVS 6.5.5 and SP 800-63B allow ten minutes at most.
	Life = 10 * time.Minute
	// ResendAfter is how long to wait for a PIN before a fresh one may be asked for.
	ResendAfter = 30 * time.Second
	// MaxSends is how many PINs one challenge may send over each channel.
	MaxSends = 4
	// MaxTries is how many wrong PINs end a challenge. Whoever mistyped five times starts again with the password.
	MaxTries = 5
	// MaxFailures is how many wrong PINs in a row switch PINs off for an account: 20 guesses out of a million. The
	// standard's bound is 100.
	MaxFailures = 20
	// EnrolFor is how long a session that a recovery code opened may enrol a stronger factor.
	EnrolFor = 10 * time.Minute
	// freeFailures is how many wrong PINs cost no wait.
	freeFailures = 4
	// firstWait and maxWait bound the growing wait.
	firstWait = 30 * time.Second
	maxWait   = 15 * time.Minute
)

// pins is how many PINs there are: 10^6, six digits.
var pins = big.NewInt(1_000_000)

// NewPIN makes a PIN of six digits, each as likely as any other.
func NewPIN() string {
	n, err := rand.Int(rand.Reader, pins)
	if err != nil {
		panic("factor: no randomness: " + err.Error()) // crypto/rand ends the program before it returns an error
	}
	digits := []byte("000000")
	for i, v := len(digits)-1, n.Int64(); v > 0; i, v = i-1, v/10 {
		digits[i] += byte(v % 10)
	}
	return string(digits)
}

// Waiting tells whether nobody may try before a time. No wait is longer than the longest there is: one that would be was
// written by a clock that has been put back since, and keeps nobody out.
func Waiting(until, now time.Time) bool { return until.After(now) && !until.After(now.Add(maxWait)) }

// Wait is how long nobody may try after so many failures in a row: nothing up to the fourth, then 30 s, 1 min, 2 min ...
// 15 min.
func Wait(failures int) time.Duration {
	if failures <= freeFailures {
		return 0
	}
	doublings := min(failures-freeFailures-1, 10) // 30 s doubled ten times is far beyond the bound
	return min(firstWait<<doublings, maxWait)
}

// Channel is the way a PIN travels.
type Channel string

// The channels.
const (
	SMS   Channel = "SMS"
	Email Channel = "EMAIL"
	// Both asks for two PINs, one by each way: the mobile was entered by somebody else and is validated by this sign-in.
	Both Channel = "SMS_AND_EMAIL"
)

// UsesSMS tells whether a text message goes out.
func (c Channel) UsesSMS() bool { return c == SMS || c == Both }

// UsesEmail tells whether an e-mail goes out.
func (c Channel) UsesEmail() bool { return c == Email || c == Both }

// Why no channel is left.
var (
	ErrNoMobile  = errors.New("the firm does not allow PINs by e-mail and the account has no mobile")
	ErrNoSMS     = errors.New("text messages can't be sent now")
	ErrNoEmail   = errors.New("e-mail can't be sent now")
	ErrNoChannel = errors.New("neither text messages nor e-mail are configured")
)

// Ways says which ways are open for one account at one moment.
type Ways struct {
	// Mobile is true when the account has one, Validated when its holder has proven to hold it.
	Mobile, Validated bool
	// SMS and Email say whether this installation can send them.
	SMS, Email bool
	// EmailAllowed says whether the firm lets a PIN go by e-mail.
	EmailAllowed bool
}

// Choose picks the channel: SMS to a validated mobile; SMS and e-mail to one that is not validated; e-mail without a
// mobile, or when SMS can't be sent, if the firm allows it. The error says in words why there is none.
func (w Ways) Choose() (Channel, error) {
	switch {
	case w.Mobile && w.SMS && w.Validated:
		return SMS, nil
	case w.Mobile && w.SMS && w.Email:
		return Both, nil
	case w.Email && w.EmailAllowed:
		return Email, nil
	case !w.SMS && !w.Email:
		return "", ErrNoChannel
	case !w.Mobile && !w.EmailAllowed:
		return "", ErrNoMobile
	case !w.Email:
		return "", ErrNoEmail
	}
	return "", ErrNoSMS
}
