package identity

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/concord-suite/concord/sim/gateway"
	"github.com/concord-suite/concord/sim/world"
)

// The issuer and audience of real access tokens; a client that checks them finds what it expects.
const (
	issuer   = "https://identity.xero.com"
	audience = "https://identity.xero.com/resources"
)

// keyBits is the size of the signing key: what RS256 needs and no more, since a first start makes it.
const keyBits = 2048

type header struct {
	Alg string `json:"alg"`
	Kid string `json:"kid"`
	Typ string `json:"typ"`
}

// accessClaims are the claims of recorded access tokens, in their order.
type accessClaims struct {
	NotBefore int64    `json:"nbf"`
	Expires   int64    `json:"exp"`
	Issuer    string   `json:"iss"`
	Audience  string   `json:"aud"`
	ClientID  string   `json:"client_id"`
	Subject   string   `json:"sub"`
	AuthTime  int64    `json:"auth_time"`
	UserID    string   `json:"xero_userid"`
	Session   string   `json:"global_session_id"`
	ID        string   `json:"jti"`
	AuthEvent string   `json:"authentication_event_id"`
	Scope     []string `json:"scope"`
}

// idClaims are the claims of an id_token. It carries no authentication_event_id, as the real one.
type idClaims struct {
	NotBefore int64  `json:"nbf"`
	Expires   int64  `json:"exp"`
	Issuer    string `json:"iss"`
	Audience  string `json:"aud"`
	IssuedAt  int64  `json:"iat"`
	Nonce     string `json:"nonce,omitempty"`
	Hash      string `json:"at_hash"`
	Subject   string `json:"sub"`
	AuthTime  int64  `json:"auth_time"`
	UserID    string `json:"xero_userid"`
	Session   string `json:"global_session_id"`
	Username  string `json:"preferred_username,omitempty"`
	Email     string `json:"email,omitempty"`
	Name      string `json:"name,omitempty"`
}

// signer signs and checks tokens with the key kept in the world's settings.
type signer struct {
	key *rsa.PrivateKey
	kid string
}

func newSigner(store *world.Store) (*signer, error) {
	der := store.Rules().SigningKey
	if der == nil {
		fresh, err := rsa.GenerateKey(rand.Reader, keyBits)
		if err != nil {
			return nil, fmt.Errorf("make the signing key: %w", err)
		}
		der = x509.MarshalPKCS1PrivateKey(fresh)
		err = store.Update(func(tx *world.Tx) error {
			rules := tx.Rules()
			rules.SigningKey = der
			tx.Settings.Put(tx, world.SettingsKey, &rules)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	key, err := x509.ParsePKCS1PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("read the signing key: %w", err)
	}
	sum := sha256.Sum256(der)
	return &signer{key: key, kid: fmt.Sprintf("%X", sum[:16])}, nil
}

func (s *signer) sign(claims any) (string, error) {
	head, err := json.Marshal(header{Alg: "RS256", Kid: s.kid, Typ: "JWT"})
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	text := encode(head) + "." + encode(body)
	sum := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(rand.Reader, s.key, crypto.SHA256, sum[:])
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return text + "." + encode(sig), nil
}

var errBadToken = errors.New(gateway.DetailAuthentication)

// open checks the signature of an access token and returns its claims, expired or not.
func (s *signer) open(token string) (accessClaims, error) {
	var claims accessClaims
	dot := strings.LastIndexByte(token, '.')
	if dot < 0 {
		return claims, errBadToken
	}
	sig, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
	if err != nil {
		return claims, errBadToken
	}
	sum := sha256.Sum256([]byte(token[:dot]))
	if rsa.VerifyPKCS1v15(&s.key.PublicKey, crypto.SHA256, sum[:], sig) != nil {
		return claims, errBadToken
	}
	_, body, _ := strings.Cut(token[:dot], ".")
	raw, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil || json.Unmarshal(raw, &claims) != nil || claims.Audience != audience {
		return claims, errBadToken // an id_token is signed too, but is no access token
	}
	return claims, nil
}

// Verify implements gateway.Verifier. The error's text is the Detail of the recorded answers.
func (s *Service) Verify(token string) (gateway.Bearer, error) {
	claims, err := s.signer.open(token)
	if err != nil {
		return gateway.Bearer{}, err
	}
	if end := time.Unix(claims.Expires, 0).UTC(); !s.store.Now().Before(end) {
		return gateway.Bearer{}, fmt.Errorf("TokenExpired: token expired at %s", end.Format("01/02/2006 15:04:05"))
	}
	return gateway.Bearer{App: claims.ClientID, Person: claims.UserID, Scope: claims.Scope}, nil
}

// jwks is the public half of the key in the form of RFC 7517.
func (s *signer) jwks() any {
	type jwk struct {
		Kty string `json:"kty"`
		Use string `json:"use"`
		Kid string `json:"kid"`
		E   string `json:"e"`
		N   string `json:"n"`
		Alg string `json:"alg"`
	}
	return map[string][]jwk{"keys": {{
		Kty: "RSA", Use: "sig", Kid: s.kid, Alg: "RS256",
		E: encode(big.NewInt(int64(s.key.E)).Bytes()), N: encode(s.key.N.Bytes()),
	}}}
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
