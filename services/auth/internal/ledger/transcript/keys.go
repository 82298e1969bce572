package transcript

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// jwk is an Ed25519 public key in the form of RFC 8037.
type jwk struct {
	Type      string `json:"kty"`
	Curve     string `json:"crv"`
	X         string `json:"x"`
	ID        string `json:"kid"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
}

type jwks struct {
	Keys []jwk `json:"keys"`
}

// KeyID names a key by its public half. It follows from the key, so that who knows the id knows the key.
func KeyID(public ed25519.PublicKey) string {
	sum := sha256.Sum256(public)
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

func publicOf(key ed25519.PrivateKey) ed25519.PublicKey {
	return ed25519.PublicKey(key[ed25519.SeedSize:])
}

// KeySet is the JSON Web Key Set of public keys.
func KeySet(keys ...ed25519.PublicKey) (json.RawMessage, error) {
	set := jwks{Keys: []jwk{}}
	for _, k := range keys {
		set.Keys = append(set.Keys, jwk{"OKP", "Ed25519", base64.RawURLEncoding.EncodeToString(k), KeyID(k), "sig", "EdDSA"})
	}
	return json.Marshal(set)
}

// publicKey finds a key in a key set.
func publicKey(set json.RawMessage, id string) (ed25519.PublicKey, error) {
	var keys jwks
	if err := json.Unmarshal(set, &keys); err != nil {
		return nil, errors.New("the first line holds no public keys")
	}
	for _, k := range keys.Keys {
		x, err := base64.RawURLEncoding.Strict().DecodeString(k.X)
		if k.ID != id || k.Type != "OKP" || k.Curve != "Ed25519" || err != nil || len(x) != ed25519.PublicKeySize {
			continue
		}
		if public := ed25519.PublicKey(x); KeyID(public) == id {
			return public, nil
		}
		return nil, fmt.Errorf("the key %q in the first line is another key under that id", id)
	}
	return nil, fmt.Errorf("the first line has no key %q", id)
}
