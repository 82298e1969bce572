package passkey

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
)

// NewHandle makes a user handle.
func NewHandle() []byte {
	handle := make([]byte, HandleSize)
	_, _ = rand.Read(handle) // never fails: it ends the program instead
	return handle
}

// Asked is a challenge and the options that carry it to the browser.
type Asked struct {
	// Challenge is 32 random bytes.
	Challenge []byte
	// Options is a JSON text for PublicKeyCredential.parseCreationOptionsFromJSON or parseRequestOptionsFromJSON.
	Options string
}

// Enrol asks for a new passkey of somebody. Authenticators that hold one of theirs already are left out.
func (s *Site) Enrol(p Person) (Asked, error) {
	user := holder{p}
	creation, _, err := s.web.BeginRegistration(user,
		webauthn.WithExclusions(webauthn.Credentials(user.WebAuthnCredentials()).CredentialDescriptors()),
		webauthn.WithCredentialParameters(webauthn.CredentialParametersRecommendedL3()))
	if err != nil {
		return Asked{}, err
	}
	return asked(creation.Response.Challenge, creation.Response)
}

func asked(challenge protocol.URLEncodedBase64, options any) (Asked, error) {
	text, err := json.Marshal(options)
	return Asked{Challenge: challenge, Options: string(text)}, err
}

// Enrolled reads the answer to Enrol and returns the new passkey, without id, account, name and time. Errors are
// *InvalidError.
func (s *Site) Enrolled(p Person, challenge []byte, answer string) (Passkey, error) {
	if len(answer) > maxAttestation {
		return Passkey{}, &InvalidError{Malformed}
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes([]byte(answer))
	if err != nil {
		return Passkey{}, &InvalidError{Malformed}
	}
	made, err := s.web.CreateCredential(holder{p}, webauthn.SessionData{
		Challenge: encode(challenge), RelyingPartyID: s.id, Origin: s.origin, UserID: p.Handle,
		UserVerification: protocol.VerificationPreferred, CredParams: webauthn.CredentialParametersRecommendedL3(),
	}, parsed)
	if err != nil {
		data := parsed.Response.AttestationObject.AuthData
		return Passkey{}, &InvalidError{s.why(parsed.Response.CollectedClientData, data, challenge, protocol.CreateCeremony, false)}
	}
	if len(made.ID) > maxCredentialID {
		return Passkey{}, &InvalidError{Malformed}
	}
	out := Passkey{
		Site: s.id, CredentialID: made.ID, PublicKey: made.PublicKey, SignCount: made.Authenticator.SignCount,
		Synced: made.Flags.BackupEligible, BackedUp: made.Flags.BackupState,
	}
	for _, t := range made.Transport {
		if word := string(t); slices.Contains(transports, word) && !slices.Contains(out.Transports, word) {
			out.Transports = append(out.Transports, word)
		}
	}
	return out, nil
}

// transports are the words of the standard (§5.8.4). Others are dropped: they come from outside and go out again.
var transports = []string{"usb", "nfc", "ble", "smart-card", "hybrid", "internal"}

func encode(challenge []byte) string { return base64.RawURLEncoding.EncodeToString(challenge) }
