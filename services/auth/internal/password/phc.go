package password

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Params are the costs of argon2id.
type Params struct {
	// Memory is in KiB.
	Memory uint32
	// Time is the number of passes.
	Time uint32
	// Threads is the number of lanes.
	Threads uint8
}

// Current is what new hashes are made with: OWASP's first choice, 19 MiB and two passes on one lane. A hash under other
// costs is made again at the next sign-in.
var Current = Params{Memory: 19 << 10, Time: 2, Threads: 1}

const (
	// keyLength is the length of a hash in bytes.
	keyLength = 32
	// SaltLength is the length of a salt in bytes; the standards ask for 4 at least.
	SaltLength = 16
	// maxMemory bounds what a stored string can make the server allocate: 256 MiB.
	maxMemory = 256 << 10
	// maxTime bounds the passes in the same way.
	maxTime = 16
)

// errFormat says that a stored string is no hash of ours. It does not quote it.
var errFormat = errors.New("password: not an argon2id hash")

// Pepper is a secret that goes into hashes beside the password and is not kept beside them: whoever has a copy of the
// hashes alone cannot try passwords.
type Pepper struct {
	// ID stands in each hash, as its "keyid".
	ID string
	// Secret is random, of 32 bytes.
	Secret []byte
}

// stored is a parsed PHC string.
type stored struct {
	params Params
	salt   string
	pepper string // the id; empty for none
	key    []byte
}

// key derives the hash of a password, before the pepper. The password is NFC already.
func (p Params) key(password, salt []byte) []byte {
	return argon2.IDKey(password, salt, p.Time, p.Memory, p.Threads, keyLength)
}

// season puts the pepper over a hash: HMAC-SHA-256 under its secret.
func (p Pepper) season(key []byte) []byte {
	if p.ID == "" {
		return key
	}
	mac := hmac.New(sha256.New, p.Secret)
	mac.Write(key)
	return mac.Sum(nil)
}

// format writes a hash as a PHC string.
func (s stored) format() string {
	b64, keyid := base64.RawStdEncoding, ""
	if s.pepper != "" {
		keyid = ",keyid=" + b64.EncodeToString([]byte(s.pepper))
	}
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d%s$%s$%s", argon2.Version, s.params.Memory, s.params.Time, s.params.Threads,
		keyid, b64.EncodeToString([]byte(s.salt)), b64.EncodeToString(s.key))
}

// parse reads a PHC string that format wrote, with any costs within bounds.
func parse(text string) (stored, error) {
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return stored{}, errFormat
	}
	var s stored
	b64 := base64.RawStdEncoding
	costs, keyid, peppered := strings.Cut(parts[3], ",keyid=")
	id, err := b64.DecodeString(keyid)
	if err != nil || (peppered && len(id) == 0) {
		return stored{}, errFormat
	}
	s.pepper = string(id)
	n, err := fmt.Sscanf(costs, "m=%d,t=%d,p=%d", &s.params.Memory, &s.params.Time, &s.params.Threads)
	if err != nil || n != 3 {
		return stored{}, errFormat
	}
	if p := s.params; p.Memory < 8 || p.Memory > maxMemory || p.Time < 1 || p.Time > maxTime || p.Threads < 1 {
		return stored{}, errFormat
	}
	salt, err := b64.DecodeString(parts[4])
	if err != nil || len(salt) < 4 {
		return stored{}, errFormat
	}
	s.key, err = b64.DecodeString(parts[5])
	if err != nil || len(s.key) != keyLength {
		return stored{}, errFormat
	}
	s.salt = string(salt)
	return s, nil
}
