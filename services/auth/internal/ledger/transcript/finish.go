package transcript

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// finish checks the signed end.
func (v *verifier) finish(it *item) (*Problem, error) {
	key, unsigned := v.signer(it.last)
	if unsigned != nil {
		return wrong(it, WrongTrailer, 0, "%s", unsigned), nil
	}
	var t trailer
	if json.Unmarshal(it.last.Trailer, &t) != nil {
		return wrong(it, WrongTrailer, 0, "what is signed is no end of a transcript"), nil
	}
	v.report.KeyID, v.report.Created = key, t.Created
	switch {
	case t.Chain != v.head.Chain || t.First != v.head.First:
		return wrong(it, WrongTrailer, 0, "the end is that of another transcript: of the chain %q from entry %d on", t.Chain, t.First), nil
	case t.Last > v.at.Sequence:
		return wrong(it, Truncated, v.expected(), "the last entries are missing: %d to %d", v.expected(), t.Last), nil
	case t.Last < v.at.Sequence:
		return wrong(it, Inserted, t.Last+1, "the last entries were not there when it was signed: %d to %d", t.Last+1, v.at.Sequence), nil
	case t.Entries != v.report.Entries || t.Hash != v.report.Hash:
		return wrong(it, WrongTrailer, 0, "the end is that of another transcript: its last hash is %q", t.Hash), nil
	case t.Content != hex.EncodeToString(it.before):
		return wrong(it, WrongTrailer, 0, "the entries are as they were chained, and the first line is not as it was signed"), nil
	}
	after, err := v.next()
	if err == nil && len(after.text) > 0 {
		return wrong(after, Inserted, 0, "something follows the signed end"), nil
	}
	return nil, err
}

// signer returns the id of the key that signed the end, or what is wrong with the signature.
func (v *verifier) signer(l *lastLine) (string, error) {
	head, rest, _ := strings.Cut(l.Signature, ".")
	payload, encoded, ok := strings.Cut(rest, ".")
	text, err := base64.RawURLEncoding.Strict().DecodeString(head)
	var p protected
	if err != nil || !ok || payload != "" || json.Unmarshal(text, &p) != nil || p.Algorithm != "EdDSA" || p.Type != signatureType {
		return "", errors.New("the end is not signed as a transcript is")
	}
	if v.o.Key != "" && p.KeyID != v.o.Key {
		return "", fmt.Errorf("the end is signed by the key %q, not by %s", p.KeyID, v.o.Key)
	}
	public, err := publicKey(v.head.Keys, p.KeyID)
	if err != nil {
		return "", err
	}
	signature, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil || !ed25519.Verify(public, signed(head, l.Trailer), signature) {
		return "", fmt.Errorf("the end is not what the key %q signed", p.KeyID)
	}
	return p.KeyID, nil
}
