package api

import (
	"crypto/sha256"
	"sync"

	"github.com/concord-suite/concord/services/auth/internal/session"
	"github.com/concord-suite/concord/services/auth/internal/store"
)

// knownMax bounds the memory of known sessions: two generations of this many, about half a kilobyte each.
const knownMax = 8192

// known is a session and its holder as they were when the session was looked up first.
type known struct {
	session session.Session
	holder  store.Holder
}

// knownSessions remembers sessions by the hash of their tokens. The zero value is ready and safe for concurrent use.
type knownSessions struct {
	mu         sync.RWMutex
	young, old map[[sha256.Size]byte]known
}

func (k *knownSessions) recall(hash [sha256.Size]byte) (known, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if found, ok := k.young[hash]; ok {
		return found, true
	}
	found, ok := k.old[hash]
	return found, ok
}

func (k *knownSessions) remember(hash [sha256.Size]byte, found known) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.young == nil || len(k.young) >= knownMax {
		k.old, k.young = k.young, make(map[[sha256.Size]byte]known, knownMax/8)
	}
	k.young[hash] = found
}
