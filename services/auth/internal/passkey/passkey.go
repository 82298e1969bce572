// Package passkey holds the rules of passkeys (W3C Web Authentication, level 3): what a browser is asked for, and which
// answers are taken.
//
// An answer is taken for the one challenge it was made for, from the one origin people reach the suite at, for the host
// of that origin and no domain above it. Attestation is not asked for: which make somebody's authenticator is, is no
// business of a firm's. A passkey that is shown alone has to have verified its holder, by a finger, a face or a PIN; then
// it is two factors in one. A counter of signatures that does not go forward is the mark of a copy, and is refused;
// passkeys that are synchronised between devices have no counter and always say 0.
//
// The package decides; it stores nothing, and knows no account. The cryptography is go-webauthn's.
package passkey

import (
	"errors"
	"net/url"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
)

const (
	// Life is how long a challenge may be answered. ASVS and the standard ask for minutes; the browser gives up then, too.
	Life = 5 * time.Minute
	// Max is how many passkeys one account has at most: every one is named in each challenge.
	Max = 20
	// HandleSize is the randomness of a user handle, in bytes: what the standard recommends.
	HandleSize = 64
	// maxAttestation and maxAssertion bound an answer's text. The largest attestation that is taken, RSA with a long
	// credential id, is under 8 KiB; certificates of a vendor are not asked for.
	maxAttestation = 64 << 10
	maxAssertion   = 16 << 10
	// maxCredentialID is the bound of the standard (§4, credential ID).
	maxCredentialID = 1023
)

// ErrNoHost: the site is reached at a bare network address. Browsers make no passkeys for one.
var ErrNoHost = errors.New("passkey: passkeys need a host name; the site is reached at a network address")

// ErrRefused: the answer is well made, and does not fit any passkey.
var ErrRefused = errors.New("passkey: refused")

// Reason says in a word why an answer is not taken.
type Reason string

// The reasons.
const (
	// Malformed: it is not the text that a browser makes, or too long.
	Malformed Reason = "malformed"
	// OtherChallenge: it answers another challenge, or is of the other ceremony.
	OtherChallenge Reason = "other_challenge"
	// OtherSite: it was made at another origin, or for another relying party.
	OtherSite Reason = "other_site"
	// Unverified: the authenticator did not verify its holder where that is needed.
	Unverified Reason = "unverified"
	// Unsupported: the algorithm or the attestation is of a kind that was not asked for.
	Unsupported Reason = "unsupported"
)

// InvalidError says that an answer is not taken whoever gave it.
type InvalidError struct{ Why Reason }

// Error implements error.
func (e *InvalidError) Error() string { return "passkey: the answer is not taken: " + string(e.Why) }

// Passkey is one that an account has.
type Passkey struct {
	// ID is a UUID, ours.
	ID      string
	Account string
	// Site is the host it was made for.
	Site string
	// Name is what its holder calls it.
	Name string
	// CredentialID is the authenticator's id for it, at most 1023 bytes.
	CredentialID []byte
	// PublicKey is a COSE key (RFC 9052).
	PublicKey []byte
	// SignCount is the highest counter seen; 0 for a passkey that has none.
	SignCount uint32
	// Transports are the ways to reach it, as the browser named them: a hint, never checked.
	Transports []string
	// Synced is true when it may be copied between devices (backup eligible); it never changes.
	Synced bool
	// BackedUp is true when a copy existed at the last use.
	BackedUp bool
	Created  time.Time
	// Used is when it was shown last; zero when never.
	Used time.Time
}

// Person is who enrols or shows a passkey.
type Person struct {
	// Handle is random and says nothing about the account: it is kept in authenticators and shown to whoever holds one.
	Handle []byte
	// Name and DisplayName are shown by the browser when it asks which passkey to use.
	Name, DisplayName string
	Passkeys          []Passkey
}

// Site is where passkeys are good: the relying party. Make one with NewSite; it is safe for concurrent use.
type Site struct {
	web    *webauthn.WebAuthn
	id     string
	origin string
	decoy  Passkey
}

// NewSite is the relying party of the address people reach the suite at. Its id is the host alone. The error is ErrNoHost
// when that is a network address.
func NewSite(public *url.URL, name string) (*Site, error) {
	s := &Site{id: public.Hostname(), origin: public.Scheme + "://" + public.Host}
	if err := protocol.ValidateRPID(s.id); err != nil {
		return nil, ErrNoHost
	}
	timeout := webauthn.TimeoutConfig{Timeout: Life, TimeoutUVD: Life}
	web, err := webauthn.New(&webauthn.Config{
		RPID: s.id, RPDisplayName: name, RPOrigins: []string{s.origin},
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementPreferred, UserVerification: protocol.VerificationPreferred,
		},
		Timeouts: webauthn.TimeoutsConfig{Login: timeout, Registration: timeout},
		// Some password programs answer with extensions that nobody asked for. They change nothing here.
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
	})
	if err != nil {
		return nil, err
	}
	s.web = web
	s.decoy, err = newDecoy()
	return s, err
}

// ID is the relying party's id: the host.
func (s *Site) ID() string { return s.id }

// holder shows a Person to the library.
type holder struct{ Person }

// WebAuthnID implements webauthn.User.
func (h holder) WebAuthnID() []byte { return h.Handle }

// WebAuthnName implements webauthn.User.
func (h holder) WebAuthnName() string { return h.Name }

// WebAuthnDisplayName implements webauthn.User.
func (h holder) WebAuthnDisplayName() string { return h.DisplayName }

// WebAuthnCredentials implements webauthn.User.
func (h holder) WebAuthnCredentials() []webauthn.Credential {
	all := make([]webauthn.Credential, len(h.Passkeys))
	for i, k := range h.Passkeys {
		all[i] = k.credential()
	}
	return all
}

func (k Passkey) credential() webauthn.Credential {
	c := webauthn.Credential{
		ID: k.CredentialID, PublicKey: k.PublicKey, Authenticator: webauthn.Authenticator{SignCount: k.SignCount},
		Flags: webauthn.CredentialFlags{UserPresent: true, BackupEligible: k.Synced, BackupState: k.BackedUp},
	}
	for _, t := range k.Transports {
		c.Transport = append(c.Transport, protocol.AuthenticatorTransport(t))
	}
	return c
}
