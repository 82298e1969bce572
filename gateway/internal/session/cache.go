package session

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
)

const (
	// maxAge bounds how long an internal token is used from the cache. Tokens live two minutes; half of that keeps a
	// burst of requests off auth, and shortens what an unheard revocation could cost.
	maxAge = time.Minute
	// margin is how long a token must still live to be sent along: one slow call.
	margin = 15 * time.Second
	// maxEntries bounds the memory of the cache: at 1 KiB an entry, 64 MiB.
	maxEntries = 1 << 16
)

// cacheKey has the address, too: the internal token carries it to the throttles and the audit ledger, and whoever uses a
// stolen session from elsewhere must not stand there under its owner's.
type cacheKey struct {
	token    [sha256.Size]byte
	audience string
	address  string
}

type entry struct {
	internal string
	session  string
	until    time.Time
	// locks is when the session is locked, or over, unless it is used before; zero when it has no such time.
	locks time.Time
}

// Cache turns session tokens into internal tokens, asking auth once a minute per session, service and address.
type Cache struct {
	auth authv1.SessionServiceClient
	now  func() time.Time

	mu      sync.Mutex
	entries map[cacheKey]entry
	// gone are the sessions revoked in the last minutes: an answer of auth that was under way when the revocation
	// arrived must not enter the cache.
	gone map[string]time.Time
}

// NewCache makes an empty cache. The client is called as the gateway itself.
func NewCache(auth authv1.SessionServiceClient, now func() time.Time) *Cache {
	return &Cache{auth: auth, now: now, entries: map[cacheKey]entry{}, gone: map[string]time.Time{}}
}

// resolve answers an internal token for audience, and when its session is locked.
func (c *Cache) resolve(ctx context.Context, token, audience, address string) (entry, error) {
	key := cacheKey{sha256.Sum256([]byte(token)), audience, address}
	if e, ok := c.get(key); ok {
		return e, nil
	}
	resp, err := c.auth.ResolveSession(ctx, &authv1.ResolveSessionRequest{
		SessionToken: token, Audience: audience, Address: address,
	})
	if err != nil {
		if status.Code(err) == codes.InvalidArgument {
			// A token that isn't one: to its bearer it is the same as one that has ended.
			err = status.Error(codes.Unauthenticated, "the session has ended; sign in again")
		}
		return entry{}, err
	}
	until := resp.GetExpireTime().AsTime().Add(-margin)
	if m := c.now().Add(maxAge); until.After(m) {
		until = m
	}
	e := entry{internal: resp.GetInternalToken(), session: idOf(resp.GetSession().GetName()), until: until}
	if at := resp.GetSession().GetLockTime(); at != nil {
		e.locks = at.AsTime()
	}
	c.put(key, e)
	return e, nil
}

// Forget drops what is known of a session.
func (c *Cache) Forget(session string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone[session] = c.now().Add(2 * maxAge)
	for k, e := range c.entries {
		if e.session == session {
			delete(c.entries, k)
		}
	}
}

// ForgetToken drops what is known of a token: its holder signed out or got a new one.
func (c *Cache) ForgetToken(token string) {
	sum := sha256.Sum256([]byte(token))
	c.mu.Lock()
	defer c.mu.Unlock()
	for k := range c.entries {
		if k.token == sum {
			delete(c.entries, k)
		}
	}
}

func (c *Cache) get(key cacheKey) (entry, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[key]
	if !ok || !c.now().Before(e.until) {
		return entry{}, false
	}
	return e, true
}

func (c *Cache) put(key cacheKey, e entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t, ok := c.gone[e.session]; ok && c.now().Before(t) {
		return
	}
	if len(c.entries) >= maxEntries {
		c.sweep()
	}
	if len(c.entries) < maxEntries {
		c.entries[key] = e
	}
}

// sweep drops what is old. It holds the lock.
func (c *Cache) sweep() {
	now := c.now()
	for k, e := range c.entries {
		if !now.Before(e.until) {
			delete(c.entries, k)
		}
	}
	for s, t := range c.gone {
		if !now.Before(t) {
			delete(c.gone, s)
		}
	}
}

func idOf(name string) string {
	const prefix = "sessions/"
	if len(name) > len(prefix) && name[:len(prefix)] == prefix {
		return name[len(prefix):]
	}
	return name
}
