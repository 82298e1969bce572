// Package blob keeps the bytes of documents: written once, named by their SHA-256, never changed.
//
// Bytes are first staged, where nobody can see them, and hashed on the way. Commit then makes them appear under their
// key in one step and does not return before they would survive a power cut. What stands under the key already is replaced
// in one step: its bytes are the same, by name, unless they were damaged or a power cut left them half written. So a reader
// of a key that was committed sees all of a blob or none of it, and two writers of the same bytes can not harm each other.
//
// A key has a generation. A blob that is being removed can not be trusted to stay, even when a new document needs the same
// bytes at that moment; the new document takes the next generation of the key, and the removal of the old one proceeds.
// Who counts references and generations is the caller, in the database. The package does not know documents, and it
// removes nothing by itself.
package blob

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// What an error of this package can match with errors.Is.
var (
	// ErrNotFound: there is no blob under the key.
	ErrNotFound = errors.New("blob: not found")
	// ErrNoSpace: the storage is full; nothing was kept.
	ErrNoSpace = errors.New("blob: no space left")
	// ErrUnavailable: the storage is away, or does not let us in; nothing was kept, and it may go better later.
	ErrUnavailable = errors.New("blob: the storage does not answer")
	// ErrMismatch: the staged bytes are not those that the key names; nothing was kept.
	ErrMismatch = errors.New("blob: the bytes are not those of the key")
	// ErrDamaged: what the storage has under a key is not what was put there.
	ErrDamaged = errors.New("blob: the storage gives other bytes than were stored")
)

// Key names one blob.
type Key struct {
	// Firm is the id of the firm: a UUID. Firms share no blobs, so that nobody learns from a quick answer what another
	// firm has, and a firm can be taken out as a whole.
	Firm string
	// SHA256 is the hash of the bytes, 64 lowercase hex digits.
	SHA256 string
	// Generation counts from 1.
	Generation int64
}

var (
	firmID = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	sum256 = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// Valid reports whether the key could name a blob. Drivers refuse every other key, so none ever becomes a strange path.
func (k Key) Valid() bool {
	return firmID.MatchString(k.Firm) && sum256.MatchString(k.SHA256) && k.Generation > 0
}

// String is the key as drivers store it: "<firm>/<first two digits>/<sha256>-<generation>". Two digits make 256 folders:
// a firm with a million documents has 4,000 files in each, and a firm with ten does not have to make two folders, with a
// sync each, for every file.
func (k Key) String() string {
	return k.Firm + "/" + k.SHA256[:min(2, len(k.SHA256))] + "/" + k.SHA256 + "-" + strconv.FormatInt(k.Generation, 10)
}

// ParseKey reads what String wrote.
func ParseKey(s string) (Key, error) {
	parts := strings.Split(s, "/")
	if len(parts) == 3 {
		sum, generation, _ := strings.Cut(parts[2], "-")
		n, err := strconv.ParseInt(generation, 10, 64)
		k := Key{Firm: parts[0], SHA256: sum, Generation: n}
		if err == nil && k.Valid() && k.String() == s {
			return k, nil
		}
	}
	return Key{}, fmt.Errorf("blob: %q is not a key", s)
}

// prefixes are what List can be asked for.
var prefixes = regexp.MustCompile(`^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/([0-9a-f]{2}/)?)?$`)

// CheckPrefix refuses what is no prefix of List.
func CheckPrefix(prefix string) error {
	if !prefixes.MatchString(prefix) {
		return fmt.Errorf("blob: %q is not a prefix", prefix)
	}
	return nil
}

// Sum is the form of a hash in keys.
func Sum(sum []byte) string { return hex.EncodeToString(sum) }

// Info describes a stored blob.
type Info struct {
	Key Key
	// Size is in bytes.
	Size int64
	// ModTime is when it was written.
	ModTime time.Time
}

// Object is an opened blob, used by one goroutine, but that another one may close it. Who has begun to read it reads on to its
// end when the blob is removed meanwhile; who seeks then may get ErrNotFound.
type Object interface {
	// Read may answer ErrDamaged in place of the last bytes.
	io.ReadSeekCloser
	// Info describes the blob.
	Info() Info
}

// Staged takes bytes that are not a blob yet. It is used by one goroutine.
type Staged interface {
	// Write adds bytes. A full storage is ErrNoSpace. After an error nothing of it can be committed.
	io.Writer
	// Sum is the SHA-256 of the bytes written so far, as it stands in keys.
	Sum() string
	// Size is how many bytes were written.
	Size() int64
	// Commit makes the bytes durable under key. created is false when they were there already; of several at the same moment
	// a driver may tell more than one that it was the first. It may be called again,
	// for the same key or another generation, until Discard. After an error nothing may refer to the key for its sake; it is
	// never ErrNotFound.
	Commit(ctx context.Context, key Key) (created bool, err error)
	// Discard drops the staged bytes; a committed blob stays. It must be called, and may be called twice.
	Discard()
}

// Unknown is the size of a blob of which nobody has said how large it gets.
const Unknown int64 = -1

// Store keeps blobs. It is safe for concurrent use.
type Store interface {
	// Stage begins a blob. size is how many bytes are going to come, Unknown if nobody knows: a driver may plan with it. ctx
	// is the one of all that is written.
	Stage(ctx context.Context, size int64) (Staged, error)
	// Open opens a blob for reading, or returns ErrNotFound.
	Open(ctx context.Context, key Key) (Object, error)
	// Delete removes a blob. A blob that is not there is no error.
	Delete(ctx context.Context, key Key) error
	// List calls fn for every blob whose key starts with prefix: "", "<firm>/" or "<firm>/<two digits>/". An error of fn
	// or of the storage ends it and is returned: who gets nil has seen every blob that was there all the time.
	List(ctx context.Context, prefix string, fn func(Info) error) error
	// Reclaim drops what stagings left behind whose process died, when they began before the time given.
	Reclaim(ctx context.Context, before time.Time) error
	// Ready reports whether the storage can be written now.
	Ready(ctx context.Context) error
}
