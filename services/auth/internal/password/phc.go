package password

import (
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

// stored is a parsed PHC string.
type stored struct {
	params Params
	salt   string
	key    []byte
}

// key derives the hash of a password. The password is NFC already.
func (p Params) key(password, salt []byte) []byte {
	return argon2.IDKey(password, salt, p.Time, p.Memory, p.Threads, keyLength)
}

// format writes a hash as a PHC string.
func (p Params) format(salt, key []byte) string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.Memory, p.Time, p.Threads,
		b64.EncodeToString(salt), b64.EncodeToString(key))
}

// parse reads a PHC string that format wrote, with any costs within bounds.
func parse(text string) (stored, error) {
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return stored{}, errFormat
	}
	var s stored
	n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &s.params.Memory, &s.params.Time, &s.params.Threads)
	if err != nil || n != 3 {
		return stored{}, errFormat
	}
	if p := s.params; p.Memory < 8 || p.Memory > maxMemory || p.Time < 1 || p.Time > maxTime || p.Threads < 1 {
		return stored{}, errFormat
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil || len(salt) < 4 {
		return stored{}, errFormat
	}
	key, err := base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil || len(key) != keyLength {
		return stored{}, errFormat
	}
	s.salt, s.key = string(salt), key
	return s, nil
}
