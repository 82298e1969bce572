package idtoken

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// Algorithm is the one that signs: every OpenID Connect library has it.
	Algorithm = jose.ES256
	// Type stands in the typ header. Internal tokens have another.
	Type = "JWT"
	// Life is how long an ID token is good: it is read once, when it arrives.
	Life = 5 * time.Minute
)

// Person says who signed in.
type Person struct {
	// Account is the account's id, which never changes and is never given to anybody else.
	Account string
	// Session is the Add-In's session.
	Session string
	// Methods are what was shown, by the names of RFC 8176.
	Methods []string
	// Authenticated is when.
	Authenticated time.Time
}

// claims is the body of an ID token. It has no name, address or role: an Add-In that shows them asks for them.
type claims struct {
	Issuer        string   `json:"iss"`
	Subject       string   `json:"sub"`
	Audience      string   `json:"aud"`
	Issued        int64    `json:"iat"`
	Expires       int64    `json:"exp"`
	Authenticated int64    `json:"auth_time"`
	Methods       []string `json:"amr,omitempty"`
	Session       string   `json:"sid"`
	Nonce         string   `json:"nonce,omitempty"`
}

// Sign makes an ID token for one Add-In, by its client id. The nonce is repeated; empty is left out.
func (k *Keys) Sign(issuer, client, nonce string, p Person) (string, error) {
	signer, err := k.signer()
	if err != nil {
		return "", err
	}
	now := k.now()
	body, err := json.Marshal(claims{
		Issuer: issuer, Subject: p.Account, Audience: client, Issued: now.Unix(), Expires: now.Add(Life).Unix(),
		Authenticated: p.Authenticated.Unix(), Methods: p.Methods, Session: p.Session, Nonce: nonce,
	})
	if err != nil {
		return "", fmt.Errorf("idtoken: %w", err)
	}
	signed, err := signer.Sign(body)
	if err != nil {
		return "", fmt.Errorf("idtoken: %w", err)
	}
	return signed.CompactSerialize()
}
