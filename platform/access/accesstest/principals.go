// Package accesstest helps to test who may do what: principals of every kind, keys that sign their tokens, and a matrix
// that tries every RPC with every kind of principal.
package accesstest

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/access"
)

// Two firms for tests. Their ids are UUIDs of version 7, as the suite makes them.
const (
	FirmA = "01920000-0000-7000-8000-00000000000a"
	FirmB = "01920000-0000-7000-8000-00000000000b"
)

// id makes the id of the test principal of a kind; they differ in their last digit.
func id(k access.Kind) string {
	return "01920000-0000-7000-8000-0000000001" + string([]byte{'0', byte('0' + k)})
}

// SessionID is the session of the test principal of a kind.
func SessionID(k access.Kind) string {
	return "01920000-0000-7000-8000-0000000002" + string([]byte{'0', byte('0' + k)})
}

// Of makes a principal of a kind, in the firm when the kind belongs to one. People have a strong session without a
// step-up; an Add-In acts for Staff; a service is "sync" and acts for nobody.
func Of(k access.Kind, firm string) access.Principal {
	p := access.Principal{Kind: k, ID: id(k), Session: SessionID(k), Strength: access.StrengthStrong, Address: "192.0.2.7"}
	switch {
	case k == access.Anonymous:
		return access.Nobody()
	case k == access.Service:
		return access.ServicePrincipal("sync", firm)
	case k == access.AddIn:
		p.ActsFor = &access.StaffMember{Account: id(access.Staff), Role: access.Staff}
	}
	if access.FirmScoped(k) {
		p.Firm = firm
	}
	return p
}

// SteppedUp returns the principal as it is right after a step-up.
func SteppedUp(p access.Principal, now time.Time) access.Principal {
	p.Strength, p.StepUpUntil = access.StrengthStrong, now.Add(5*time.Minute)
	return p
}

// Mint holds the keys of a small installation: auth, and every service that is asked for.
type Mint struct {
	// Trust knows the keys; give it to verifiers.
	Trust *access.Trust
	// Now is the clock of the tokens.
	Now access.Clock

	t       testing.TB
	mu      sync.Mutex
	signers map[string]*access.Signer
}

// NewMint makes keys. The clock defaults to the real one.
func NewMint(t testing.TB, now access.Clock) *Mint {
	if now == nil {
		now = time.Now
	}
	return &Mint{Trust: access.NewTrust(), Now: now, t: t, signers: map[string]*access.Signer{}}
}

// Signer returns the signer of an issuer, made when first asked for.
func (m *Mint) Signer(issuer string) *access.Signer {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if s, ok := m.signers[issuer]; ok {
		return s
	}
	s, err := m.Trust.Issue(issuer, m.Now)
	require.NoError(m.t, err)
	m.signers[issuer] = s
	return s
}

// Token mints a token for the principal: a service's by the service itself, everybody else's by auth. Nobody has "".
func (m *Mint) Token(p access.Principal, audience string) string {
	m.t.Helper()
	if p == access.Nobody() {
		return ""
	}
	issuer := access.AuthIssuer
	if p.Kind == access.Service {
		issuer = p.ID
	}
	token, err := m.Signer(issuer).Mint(p, audience, access.MaxTokenLife)
	require.NoError(m.t, err)
	return token
}

// Verifier makes the verifier of a service that trusts these keys.
func (m *Mint) Verifier(audience string) *access.Verifier {
	return access.NewVerifier(audience, m.Trust, m.Now)
}
