package issuer

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"

	"github.com/concord-suite/concord/platform/access"
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

func marshalJWKS(keys []ed25519.PublicKey) ([]byte, error) {
	set := struct {
		Keys []jwk `json:"keys"`
	}{Keys: []jwk{}}
	for _, k := range keys {
		set.Keys = append(set.Keys, jwk{
			Type: "OKP", Curve: "Ed25519", X: base64.RawURLEncoding.EncodeToString(k), ID: access.KeyID(k), Use: "sig",
			Algorithm: "EdDSA",
		})
	}
	return json.Marshal(set)
}
