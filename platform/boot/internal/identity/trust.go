package identity

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/concord-suite/concord/platform/access"
)

// lookEvery is how often the trust file is looked at, while keys are asked for.
const lookEvery = time.Second

// Trusted is the trust file as a source of keys. It follows the file: a service that is added is believed, a key that is
// taken out is not any more, within a second. While the file cannot be read, what was in it last goes on.
type Trusted struct {
	path string
	now  access.Clock
	log  *slog.Logger

	mu     sync.Mutex
	trust  *access.Trust
	read   os.FileInfo // of the file that trust came from
	failed os.FileInfo // of the file that was told to be wrong; nil for one that is not there
	wrong  bool
	looked time.Time
}

// Open reads the trust file.
func Open(path string, now access.Clock, log *slog.Logger) (*Trusted, error) {
	t := &Trusted{path: path, now: now, log: log}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("trust_file: %w", err)
	}
	t.looked = now()
	return t, t.load(info)
}

func (t *Trusted) load(info os.FileInfo) error {
	data, err := os.ReadFile(t.path)
	if err != nil {
		return fmt.Errorf("trust_file: %w", err)
	}
	trust, err := access.ParseTrust(data)
	if err != nil {
		return fmt.Errorf("trust_file %s: %w", t.path, err)
	}
	t.trust, t.read, t.wrong = trust, info, false
	return nil
}

// Key implements access.KeySource.
func (t *Trusted) Key(ctx context.Context, issuer, kid string) (ed25519.PublicKey, error) {
	return t.current().Key(ctx, issuer, kid)
}

func (t *Trusted) current() *access.Trust {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if now.Sub(t.looked) < lookEvery {
		return t.trust
	}
	t.looked = now
	info, err := os.Stat(t.path)
	switch {
	case err != nil:
		info = nil
	case unchanged(info, t.read), t.wrong && unchanged(info, t.failed):
		return t.trust
	default:
		err = t.load(info)
	}
	if err == nil {
		t.log.Info("the trust file was read again")
	} else if !t.wrong || info != nil {
		t.log.Warn("the trust file has changed and can't be used; the keys that were in it go on", "error", err)
		t.wrong, t.failed = true, info
	}
	return t.trust
}

// unchanged tells whether two looks found the same file: a Secret or ConfigMap is changed by linking to another one.
func unchanged(a, b os.FileInfo) bool {
	return a != nil && b != nil && os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}
