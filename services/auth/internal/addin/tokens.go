package addin

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"time"
)

const (
	// AccessLife is how long an access token is good.
	AccessLife = 10 * time.Minute
	// apart is the most by which the clocks of two replicas may differ. What was redeemed by one that has been put back since
	// was redeemed nobody knows how long ago: its answer is not given again.
	apart = 5 * time.Minute
	// RetryFor is how long a refresh token that was redeemed may be asked about again: as long as programs commonly wait
	// for an answer, and so until they know that it was lost.
	RetryFor = 30 * time.Second
	// MaxGenerations bounds what one session writes: a refresh every 45 seconds for twelve hours, ten times what it takes.
	MaxGenerations = 1000
)

// Tokens is one generation of an Add-In's tokens: what one answer of the token endpoint holds. The next one replaces it.
type Tokens struct {
	// Session is the Add-In's session; Generation counts its answers, from 1.
	Session    string
	Generation int64
	// Granted is what the person consented to, Scope what this access token was asked for: all of it or less.
	Granted, Scope Scope
	// Authenticated is when the person signed in.
	Authenticated time.Time
	Issued        time.Time
	// Expires is when the access token ends.
	Expires time.Time
	// Used is when something of the answer was used first: from then on it is known to have arrived. Zero before.
	Used time.Time
	// Rotated is when the refresh token was redeemed; zero while it is good.
	Rotated time.Time
	// Salt made the next generation of this one's refresh token, as long as its answer may be asked for again.
	Salt []byte
}

// Verdict is what becomes of a refresh token that is presented.
type Verdict int

// The verdicts.
const (
	// Rotate: it is good; it is redeemed now.
	Rotate Verdict = iota
	// Repeat: it was redeemed a moment ago and nothing of the answer was ever used, so the answer was lost. It is given
	// again, the same tokens, and nobody has one more than before.
	Repeat
	// Refuse: it was redeemed a moment ago and the answer arrived. Two parts of one program refreshed at once; the one
	// that was later gets nothing and loses nothing. Or the session has refreshed more often than any program needs to.
	Refuse
	// End: it was redeemed long ago, or its successor was redeemed as well. Two have it, and which of them has a right to it cannot be known: everything that
	// came of it ends (RFC 9700 §4.14.2).
	End
)

// Judge decides about a refresh token by its own generation and the next one.
func Judge(own, next Tokens, now time.Time) Verdict {
	switch {
	case own.Rotated.IsZero() && own.Generation >= MaxGenerations:
		return Refuse
	case own.Rotated.IsZero():
		return Rotate
	case !now.Before(own.Rotated.Add(RetryFor)) || !next.Rotated.IsZero() || own.Rotated.After(now.Add(apart)):
		return End
	case next.Used.IsZero() && len(own.Salt) > 0:
		return Repeat
	}
	return Refuse
}

// NewSalt makes what the next tokens are derived with.
func NewSalt() []byte {
	salt := make([]byte, sha256.Size)
	_, _ = rand.Read(salt) // never fails: it ends the program instead
	return salt
}

// Derive makes the random part of the token of a purpose that follows a refresh token. Whoever has the refresh token and
// the salt can make it again, so that a lost answer can be given again although the database holds no token; the salt
// alone, or the old token alone, is no use.
func Derive(refresh string, salt []byte, purpose string) string {
	mac := hmac.New(sha256.New, salt)
	mac.Write([]byte(purpose + "\x00" + refresh))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
