// Package transcript writes a chain, or its newest part, into a file that anybody can check years later, without the suite,
// its database or a network.
//
// A transcript is lines of JSON. The first says which chain it is, where it begins and which hash comes before, and holds
// the public keys (RFC 7517):
//
//	{"format":"concord/transcript/1","hashes":"concord/ledger/1","chain":"…","first_sequence":1,"previous_hash":"","created":"…","program":"…","keys":{"keys":[…]}}
//
// Then one line per entry, with what people read of it, its hash, and the very bytes the hash is over:
//
//	{"sequence":1,"entry":{…},"hash":"hex","payload":"base64"}
//
// The last line says what must have come before it, and is signed: a detached JSON Web Signature (RFC 7515, appendix F,
// EdDSA) over the bytes of the value of "trailer", as they stand in the line:
//
//	{"trailer":{"chain":"…","first_sequence":1,"entries":2,"last_sequence":2,"last_hash":"hex","content_sha256":"hex","created":"…"},"signature":"…..…"}
//
// content_sha256 is over every byte before that line. A key in the file proves that the file is as it was signed; that the
// suite signed it shows by the key's id, which is to be had from the suite.
package transcript

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"hash"
	"io"
	"time"

	"github.com/concord-suite/concord/services/auth/internal/ledger"
)

// Format is the name of the form of a file; another form gets another name.
const Format = "concord/transcript/1"

// Header is the first line. Format and Hashes are filled in by NewWriter.
type Header struct {
	Format string `json:"format"`
	// Hashes is the name of the way the chain's hashes are made.
	Hashes string `json:"hashes"`
	// Chain is the chain's name: the id of a firm, or empty for what happened outside every firm.
	Chain string `json:"chain"`
	// First is the place of the first entry, Previous the hash of the one before it, hex; empty at the beginning.
	First    int64     `json:"first_sequence"`
	Previous string    `json:"previous_hash"`
	Created  time.Time `json:"created"`
	// Program says which code wrote the file.
	Program string `json:"program"`
	// Keys is the JSON Web Key Set with the key of the signature.
	Keys json.RawMessage `json:"keys"`
}

// line is an entry.
type line struct {
	Sequence int64           `json:"sequence"`
	Entry    json.RawMessage `json:"entry,omitempty"`
	Hash     string          `json:"hash"`
	Payload  []byte          `json:"payload"`
}

// trailer is what is signed.
type trailer struct {
	Chain   string    `json:"chain"`
	First   int64     `json:"first_sequence"`
	Entries int64     `json:"entries"`
	Last    int64     `json:"last_sequence"`
	Hash    string    `json:"last_hash"`
	Content string    `json:"content_sha256"`
	Created time.Time `json:"created"`
}

type lastLine struct {
	Trailer   json.RawMessage `json:"trailer"`
	Signature string          `json:"signature"`
}

// protected is the head of the signature. The type keeps it from being taken for a token, and a token from being taken for
// a signature.
type protected struct {
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
	Type      string `json:"typ"`
}

const signatureType = "concord-transcript"

// Writer writes a transcript, a line at a time.
type Writer struct {
	w    io.Writer
	sum  hash.Hash
	head Header
	n    int64
	last int64
	hash string
}

// NewWriter writes the first line.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	h.Format, h.Hashes = Format, ledger.Format
	out := &Writer{w: w, sum: sha256.New(), head: h, last: h.First - 1, hash: h.Previous}
	return out, out.write(h)
}

func (w *Writer) write(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	text = append(text, '\n')
	w.sum.Write(text)
	_, err = w.w.Write(text)
	return err
}

// Entry writes the next entry as it is kept. Readable is what people read of it; nil when nothing can be said.
func (w *Writer) Entry(sequence int64, readable json.RawMessage, payload, hash []byte) error {
	w.n, w.last, w.hash = w.n+1, sequence, hex.EncodeToString(hash)
	return w.write(line{Sequence: sequence, Entry: readable, Hash: w.hash, Payload: payload})
}

// Close writes the signed end.
func (w *Writer) Close(key ed25519.PrivateKey, now time.Time) error {
	text, err := json.Marshal(trailer{
		Chain: w.head.Chain, First: w.head.First, Entries: w.n, Last: w.last, Hash: w.hash,
		Content: hex.EncodeToString(w.sum.Sum(nil)), Created: now,
	})
	if err != nil {
		return err
	}
	head, err := json.Marshal(protected{Algorithm: "EdDSA", KeyID: KeyID(publicOf(key)), Type: signatureType})
	if err != nil {
		return err
	}
	encoded := base64.RawURLEncoding.EncodeToString(head)
	signature := ed25519.Sign(key, signed(encoded, text))
	return w.write(lastLine{Trailer: text, Signature: encoded + ".." + base64.RawURLEncoding.EncodeToString(signature)})
}

// signed is what a signature is over: protected head and payload, as in RFC 7515.
func signed(head string, payload []byte) []byte {
	return []byte(head + "." + base64.RawURLEncoding.EncodeToString(payload))
}
