package passkey

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"
)

// Ask asks for one of somebody's passkeys, after their password. With verify it has to verify its holder. A challenge that
// was made before is asked again; nil makes one.
func (s *Site) Ask(p Person, verify bool, challenge []byte) (Asked, error) {
	need := protocol.VerificationPreferred
	if verify {
		need = protocol.VerificationRequired
	}
	assertion, _, err := s.web.BeginLogin(holder{p}, webauthn.WithUserVerification(need), again(challenge))
	if err != nil {
		return Asked{}, err
	}
	return asked(assertion.Response.Challenge, assertion.Response)
}

// again asks with a challenge that was made before, when there is one.
func again(challenge []byte) webauthn.LoginOption {
	return func(o *protocol.PublicKeyCredentialRequestOptions) error {
		o.Challenge = challenge
		return nil
	}
}

// AskAnybody asks for a passkey of whoever is there: it signs in alone, and has to verify its holder. A challenge that was
// made before is asked again; nil makes one.
func (s *Site) AskAnybody(challenge []byte) (Asked, error) {
	assertion, _, err := s.web.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired), again(challenge))
	if err != nil {
		return Asked{}, err
	}
	return asked(assertion.Response.Challenge, assertion.Response)
}

// Answer is what a browser sent back: well formed, and nothing more.
type Answer struct {
	parsed *protocol.ParsedCredentialAssertionData
	// CredentialID says which passkey it wants to be.
	CredentialID []byte
	// Handle says whose; empty when the browser did not say.
	Handle []byte
}

// Read parses an answer to Ask or AskAnybody. The error is an *InvalidError.
func Read(answer string) (Answer, error) {
	if len(answer) > maxAssertion {
		return Answer{}, &InvalidError{Malformed}
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes([]byte(answer))
	if err != nil || len(parsed.RawID) > maxCredentialID {
		return Answer{}, &InvalidError{Malformed}
	}
	return Answer{parsed: parsed, CredentialID: parsed.RawID, Handle: parsed.Response.UserHandle}, nil
}

// Shown is a passkey that was shown.
type Shown struct {
	// Passkey is as it is now: counter and backup state are new.
	Passkey Passkey
	// Verified is true when the authenticator verified its holder.
	Verified bool
	// Copied is true when its counter did not go forward: two authenticators have the same key. It is not taken then, and
	// the error is ErrRefused.
	Copied bool
}

// Check verifies an answer to a challenge with the passkey of that credential id. With a nil passkey, for an id that
// nobody has or that is another person's, it does the same work and answers ErrRefused. Errors are *InvalidError, told
// apart before any passkey is looked at, and ErrRefused.
func (s *Site) Check(known *Passkey, handle, challenge []byte, verify bool, a Answer) (Shown, error) {
	key := s.decoy
	if known != nil && (len(a.Handle) == 0 || bytes.Equal(a.Handle, handle)) {
		key = *known
	} else {
		key.CredentialID, known = a.CredentialID, nil
	}
	need := protocol.VerificationPreferred
	if verify {
		need = protocol.VerificationRequired
	}
	handle = a.Handle // compared above
	credential, err := s.web.ValidateLogin(holder{Person{Handle: handle, Passkeys: []Passkey{key}}}, webauthn.SessionData{
		Challenge: encode(challenge), RelyingPartyID: s.id, Origin: s.origin, UserID: handle, UserVerification: need,
	}, a.parsed)
	data := a.parsed.Response.AuthenticatorData
	if err != nil {
		if failed, ok := errors.AsType[*protocol.Error](err); ok && failed.Type != protocol.ErrAssertionSignature.Type {
			if why := s.why(a.parsed.Response.CollectedClientData, data, challenge, protocol.AssertCeremony, verify); why != Unsupported {
				return Shown{}, &InvalidError{why}
			}
		}
		return Shown{}, ErrRefused
	}
	if known == nil {
		return Shown{}, ErrRefused
	}
	key.SignCount, key.BackedUp = credential.Authenticator.SignCount, credential.Flags.BackupState
	shown := Shown{Passkey: key, Verified: data.Flags.HasUserVerified(), Copied: credential.Authenticator.CloneWarning}
	if shown.Copied {
		return shown, ErrRefused
	}
	return shown, nil
}

// why finds the reason in the answer itself: the library's words are for its developers.
func (s *Site) why(client protocol.CollectedClientData, data protocol.AuthenticatorData, challenge []byte, ceremony protocol.CeremonyType, verify bool) Reason {
	id := sha256.Sum256([]byte(s.id))
	switch {
	case client.Type != ceremony || client.Challenge != encode(challenge):
		return OtherChallenge
	case client.Origin != s.origin || client.CrossOrigin || !bytes.Equal(data.RPIDHash, id[:]):
		return OtherSite
	case !data.Flags.HasUserPresent() || (verify && !data.Flags.HasUserVerified()):
		return Unverified
	}
	return Unsupported
}

// newDecoy makes a passkey that nobody has.
func newDecoy() (Passkey, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Passkey{}, err
	}
	point, err := private.PublicKey.Bytes()
	if err != nil {
		return Passkey{}, err
	}
	const coordinate = 32 // bytes of a coordinate on P-256; the point is 4, x, y
	public, err := webauthncbor.Marshal(webauthncose.EC2PublicKeyData{
		PublicKeyData: webauthncose.PublicKeyData{KeyType: int64(webauthncose.EllipticKey), Algorithm: int64(webauthncose.AlgES256)},
		Curve:         int64(webauthncose.P256), XCoord: point[1 : 1+coordinate], YCoord: point[1+coordinate:],
	})
	return Passkey{PublicKey: public}, err
}
