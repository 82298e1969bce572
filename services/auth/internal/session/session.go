// Package session says what a session is, how strong it is and when it is over.
//
// A session is known to its holder by an opaque random token, and to the database by the token's SHA-256 only. It ends
// twelve hours after it was opened, or when somebody ends it. After thirty minutes without use it is locked: its token
// opens nothing until the password was entered again, which changes the token and nothing else. An Add-In's session hangs
// on the session of the person who consented and ends with it, or by thirty minutes of its own disuse; nobody is there to
// unlock it.
package session

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"github.com/concord-suite/concord/services/auth/internal/account"
)

const (
	// Life is the longest a session lasts. Nothing is signed in for longer than a day, by a good margin.
	Life = 12 * time.Hour
	// Idle is how long a session may go unused before it is locked or, an Add-In's, over.
	Idle = 30 * time.Minute
	// Apart is the most by which the clocks of two replicas may differ: far more than they do, and far less than a session.
	Apart = 5 * time.Minute
	// StepUp is how long a fresh confirmation counts.
	StepUp = 10 * time.Minute
	// TouchEvery is how often use is written down: often enough for Idle, rarely enough not to write on every call.
	TouchEvery = time.Minute
	// ConsentLife is how long an Add-In may take to redeem its code.
	ConsentLife = time.Minute
	// MaxUnlocks is how many wrong passwords at the lock end a session. Who holds its token and not the password is
	// somebody else.
	MaxUnlocks = 5
	// MaxOpen is how many sessions of an account there may be at once, Add-Ins' not counted: more than anybody has browsers.
	// One more ends the one that was unused longest.
	MaxOpen = 50
)

// Strength grades a session by what was shown to open it.
type Strength int

// The grades.
const (
	// Single: the password alone.
	Single Strength = 1
	// Weak: the password and a PIN by e-mail.
	Weak Strength = 2
	// Strong: the password and a PIN by SMS.
	Strong Strength = 3
)

// What was shown, by the names of RFC 8176 where it has one.
const (
	MethodPassword = "pwd"
	MethodOTP      = "otp"
	MethodSMS      = "sms"
	MethodEmail    = "email"
	// MethodHardware and MethodSoftware: a passkey, bound to a device or synced.
	MethodHardware = "hwk"
	MethodSoftware = "swk"
	// MethodUser: the passkey's holder was verified by it.
	MethodUser     = "user"
	MethodRecovery = "recovery"
)

// Kind tells a person's session from an Add-In's.
type Kind string

// The kinds.
const (
	Person Kind = "PERSON"
	AddIn  Kind = "ADD_IN"
)

// Session is one.
type Session struct {
	// ID is a UUID; it is no secret.
	ID      string
	Firm    string
	Account string
	Kind    Kind
	// Parent is the session of the person who consented, for an Add-In's.
	Parent string
	// AddIn is the Add-In's name, for an Add-In's.
	AddIn    string
	Strength Strength
	Methods  []string
	Created  time.Time
	Expires  time.Time
	// Used is when it was used last, to the minute.
	Used        time.Time
	StepUpUntil time.Time
	// MustEnrol: the firm's policy asks for a factor that the person does not have yet. The session is good for enrolling
	// one and for nothing else.
	MustEnrol bool
	// EnrolUntil is until when a factor may be enrolled although the session is not strong; zero when it may not.
	EnrolUntil time.Time
	// Ended is when it was ended before its time; zero when it was not.
	Ended   time.Time
	Address string
}

// Live tells whether the session may be used at the given time.
func (s Session) Live(now time.Time) bool { return s.stays(now) && now.Before(s.Used.Add(Idle)) }

// Locked tells whether the session may be used again once the password was entered.
func (s Session) Locked(now time.Time) bool { return s.Kind != AddIn && s.stays(now) && !s.Live(now) }

// stays tells whether the session's time is not over and nobody has ended it. One of the future was opened by a clock that
// has been put back since, and would last longer than any other.
func (s Session) stays(now time.Time) bool {
	return s.Ended.IsZero() && now.Before(s.Expires) && !Ahead(s.Created, now)
}

// Ahead tells whether something was made by a clock that has been put back since. What lives for a while is over then: it
// would live longer than it may.
func Ahead(made, now time.Time) bool { return made.After(now.Add(Apart)) }

// Locks is when the session is locked, or, an Add-In's, over, unless it is used before.
func (s Session) Locks() time.Time {
	if at := s.Used.Add(Idle); at.Before(s.Expires) {
		return at
	}
	return s.Expires
}

// NeedsTouch tells whether the use at the given time is to be written down.
func (s Session) NeedsTouch(now time.Time) bool { return !now.Before(s.Used.Add(TouchEvery)) }

// Allowed tells whether what was shown to open the session is enough for the account under the firm's policy: a second
// factor where one is needed, and not by a means that the firm has forbidden since, be it a passkey without the password. A
// session that is good for enrolling only was opened by what there is, which the policy knows.
func (s Session) Allowed(f account.Firm, a account.Account) bool {
	if f.PasskeyAloneForbidden && s.passkeyAlone() {
		return false
	}
	if !f.NeedsSecondFactor(a) || s.MustEnrol {
		return s.Strength > Single || !f.NeedsSecondFactor(a)
	}
	return s.Strength > Single && slices.ContainsFunc(s.Shown(), func(k account.Factor) bool { return f.Allows(a, k) })
}

// passkeyAlone tells whether a passkey opened the session without the password.
func (s Session) passkeyAlone() bool {
	return !slices.Contains(s.Methods, MethodPassword) && slices.Contains(s.Shown(), account.Passkey)
}

// Shown are the second factors that opened the session, one of which is enough.
func (s Session) Shown() (out []account.Factor) {
	for _, m := range s.Methods {
		switch m {
		case MethodSMS:
			out = append(out, account.SMSPIN)
		case MethodEmail:
			out = append(out, account.EmailPIN)
		case MethodRecovery:
			out = append(out, account.RecoveryCode)
		case MethodHardware, MethodSoftware:
			out = append(out, account.Passkey)
		}
	}
	if len(out) == 0 && slices.Contains(s.Methods, MethodOTP) {
		out = append(out, account.TOTP)
	}
	return out
}

// Purpose says what an opaque token is for. It begins every token, so that one found in a log or a repository says what
// was lost, and so that one kind is never looked up as another.
type Purpose string

// The purposes.
const (
	ForPerson     Purpose = "cps_"
	ForAddIn      Purpose = "cai_"
	ForAgent      Purpose = "cag_"
	ForConsent    Purpose = "cac_"
	ForInvitation Purpose = "civ_"
	ForSetup      Purpose = "cst_"
	ForChallenge  Purpose = "cch_"
	ForEnrolment  Purpose = "cen_"
	ForReset      Purpose = "crs_"
)

// tokenBytes is the randomness of a token: 256 bits, twice what the standards ask for.
const tokenBytes = 32

// NewToken makes an opaque token and the hash to store.
func NewToken(p Purpose) (token string, hash []byte) {
	random := make([]byte, tokenBytes)
	_, _ = rand.Read(random) // never fails: it ends the program instead
	token = string(p) + base64.RawURLEncoding.EncodeToString(random)
	return token, Hash(token)
}

// Hash is what the database knows a token by. The token is random, so a plain hash is enough.
func Hash(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// Is tells whether a token was made for the purpose.
func (p Purpose) Is(token string) bool { return strings.HasPrefix(token, string(p)) }
