package access

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	optionsv1 "github.com/concord-suite/concord/proto/gen/concord/options/v1"
)

const (
	// TokenType stands in the typ header, so that a token of another purpose signed by the same key is not taken for one.
	TokenType = "concord-internal+jwt"
	// MaxTokenLife is the bound the suite promises for a revoked session when the bus is down.
	MaxTokenLife = 2 * time.Minute
	// AuthIssuer is the one issuer that may vouch for people, Add-Ins and agents.
	AuthIssuer = "auth"
	// maxTokenLength is checked before anything is parsed: parsers of hostile JSON have had defects.
	maxTokenLength = 8 << 10
	// skew is how far two clocks of one installation may be apart.
	skew = 5 * time.Second
)

// claims is the body of a token. Names are short because every call carries them.
type claims struct {
	Issuer    string         `json:"iss"`
	Audience  string         `json:"aud"`
	Issued    int64          `json:"iat"`
	NotBefore int64          `json:"nbf"`
	Expires   int64          `json:"exp"`
	Principal principalClaim `json:"prn"`
}

type principalClaim struct {
	Kind      string          `json:"k"`
	ID        string          `json:"id,omitempty"`
	Firm      string          `json:"f,omitempty"`
	Session   string          `json:"sid,omitempty"`
	Strength  int             `json:"str,omitempty"`
	StepUp    int64           `json:"sup,omitempty"`
	Limited   bool            `json:"lim,omitempty"`
	Address   string          `json:"adr,omitempty"`
	Account   string          `json:"acc,omitempty"`
	Role      string          `json:"rol,omitempty"`
	Initiator *principalClaim `json:"ini,omitempty"`
}

func claimOf(p Principal) principalClaim {
	c := principalClaim{
		Kind: KindName(p.Kind), ID: p.ID, Firm: p.Firm, Session: p.Session, Strength: int(p.Strength), Address: p.Address,
		Limited: p.Limited,
	}
	if !p.StepUpUntil.IsZero() {
		c.StepUp = p.StepUpUntil.Unix()
	}
	if p.ActsFor != nil {
		c.Account, c.Role = p.ActsFor.Account, KindName(p.ActsFor.Role)
	}
	if p.Initiator != nil {
		ini := claimOf(*p.Initiator)
		c.Initiator = &ini
	}
	return c
}

func (c principalClaim) principal() Principal {
	p := Principal{
		Kind: kindOf(c.Kind), ID: c.ID, Firm: c.Firm, Session: c.Session, Strength: Strength(c.Strength), Address: c.Address,
		Limited: c.Limited,
	}
	if c.StepUp != 0 {
		p.StepUpUntil = time.Unix(c.StepUp, 0).UTC()
	}
	if c.Account != "" || c.Role != "" {
		p.ActsFor = &StaffMember{Account: c.Account, Role: kindOf(c.Role)}
	}
	if c.Initiator != nil {
		ini := c.Initiator.principal()
		p.Initiator = &ini
	}
	return p
}

func kindOf(name string) Kind {
	return Kind(optionsv1.PrincipalKind_value["PRINCIPAL_KIND_"+name])
}

// Signer mints tokens in the name of one issuer. It is safe for concurrent use.
type Signer struct {
	issuer string
	kid    string
	signer jose.Signer
	now    Clock

	mu    sync.Mutex
	ready map[string]minted // tokens that may be used again
}

// minted is a token and until when it is handed out.
type minted struct {
	token string
	until time.Time
}

// NewSigner makes the signer of an issuer: a service's name, or AuthIssuer. The key's id follows from its public half
// (KeyID), so it needs no configuration.
func NewSigner(issuer string, key ed25519.PrivateKey, now Clock) (*Signer, error) {
	if issuer == "" || len(key) != ed25519.PrivateKeySize {
		return nil, errors.New("access: a signer needs an issuer and an Ed25519 key")
	}
	kid := KeyID(key.Public().(ed25519.PublicKey))
	s, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: key, KeyID: kid}},
		(&jose.SignerOptions{}).WithType(TokenType))
	if err != nil {
		return nil, fmt.Errorf("access: signer of %s: %w", issuer, err)
	}
	return &Signer{issuer: issuer, kid: kid, signer: s, now: now, ready: map[string]minted{}}, nil
}

// Issuer is the name the signer signs for.
func (s *Signer) Issuer() string { return s.issuer }

// KeyID is the id of the key it signs with.
func (s *Signer) KeyID() string { return s.kid }

// Mint makes a token by which the audience (one service name) knows the principal for ttl, at most MaxTokenLife. It
// refuses a principal that this issuer may not vouch for, so that the mistake shows at its source.
func (s *Signer) Mint(p Principal, audience string, ttl time.Duration) (string, error) {
	if audience == "" {
		return "", errors.New("access: a token needs an audience")
	}
	if ttl <= 0 || ttl > MaxTokenLife {
		return "", fmt.Errorf("access: a token lives between 0 and %s, not %s", MaxTokenLife, ttl)
	}
	if err := mayVouch(s.issuer, p); err != nil {
		return "", err
	}
	now := s.now()
	body, err := json.Marshal(claims{
		Issuer: s.issuer, Audience: audience, Issued: now.Unix(), NotBefore: now.Unix(), Expires: now.Add(ttl).Unix(),
		Principal: claimOf(p),
	})
	if err != nil {
		return "", fmt.Errorf("access: token: %w", err)
	}
	signed, err := s.signer.Sign(body)
	if err != nil {
		return "", fmt.Errorf("access: sign: %w", err)
	}
	return signed.CompactSerialize()
}

// readyMax bounds the tokens kept for use again; beyond it they are made anew.
const readyMax = 1024

// Token is Mint for the full MaxTokenLife, except that for the first half of a token's life the same principal gets the
// same token: signing, and on the other side verifying, costs more than most calls do.
func (s *Signer) Token(p Principal, audience string) (string, error) {
	claim, err := json.Marshal(claimOf(p))
	if err != nil {
		return "", fmt.Errorf("access: token: %w", err)
	}
	key, now := audience+"\x00"+string(claim), s.now().Round(0) // what stands in tokens is the clock on the wall
	s.mu.Lock()
	defer s.mu.Unlock()
	if t, ok := s.ready[key]; ok && now.Before(t.until) && t.until.Sub(now) <= MaxTokenLife/2 { // more is left when the clock was put back
		return t.token, nil
	}
	token, err := s.Mint(p, audience, MaxTokenLife)
	if err != nil {
		return "", err
	}
	if len(s.ready) >= readyMax {
		clear(s.ready)
	}
	s.ready[key] = minted{token: token, until: now.Add(MaxTokenLife / 2)}
	return token, nil
}

// mayVouch holds both ends of a token to the same rules: which issuer may speak for which kind, and which fields a kind
// must and must not have.
func mayVouch(issuer string, p Principal) error {
	switch {
	case p.Kind == Service && p.ID != issuer:
		return fmt.Errorf("access: %s may not speak for service %q", issuer, p.ID)
	case p.Kind != Service && p.Kind != Anonymous && issuer != AuthIssuer:
		return fmt.Errorf("access: %s may not vouch for %s", issuer, KindName(p.Kind))
	case p.Kind != Service && p.Initiator != nil:
		return errors.New("access: only a service has an initiator")
	case p.Initiator != nil && p.Initiator.Initiator != nil:
		return errors.New("access: an initiator has no initiator")
	}
	if err := wellFormed(p); err != nil {
		return err
	}
	if p.Initiator != nil {
		return wellFormed(*p.Initiator)
	}
	return nil
}

func wellFormed(p Principal) error {
	name := KindName(p.Kind)
	switch {
	case p.Kind < Anonymous || p.Kind > Service:
		return errors.New("access: unknown kind of principal")
	case p.Kind != Anonymous && p.ID == "":
		return fmt.Errorf("access: %s without an id", name)
	case p.Kind == Anonymous && (p.ID != "" || p.Session != "" || p.Strength != StrengthNone):
		return errors.New("access: nobody has no id and no session")
	case FirmScoped(p.Kind) && p.Firm == "":
		return fmt.Errorf("access: %s without a firm", name)
	case (p.Kind == Operator || p.Kind == Anonymous) && p.Firm != "":
		return fmt.Errorf("access: %s belongs to no firm", name)
	case p.Strength < StrengthNone || p.Strength > StrengthStrong:
		return errors.New("access: unknown strength")
	case p.Kind == AddIn && (p.ActsFor == nil || p.ActsFor.Account == "" || !StaffKind(p.ActsFor.Role)):
		return errors.New("access: an Add-In acts for a member of staff")
	case p.Limited && !Person(p.Kind):
		return fmt.Errorf("access: %s is not limited: it signs in with nothing that could be missing", name)
	case p.Kind != AddIn && p.ActsFor != nil:
		return fmt.Errorf("access: %s acts for nobody else", name)
	}
	return nil
}
