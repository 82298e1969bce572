// Package limits keeps one address from taking what is meant for all: a bucket per address, or IPv6 network, for
// everything, a smaller one for signing in.
//
// It counts in memory and per replica: it is a fence against floods, not an account's lockout, which auth keeps.
package limits

import (
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/concord-suite/concord/gateway/internal/problem"
	"github.com/concord-suite/concord/gateway/internal/session"
)

// Config is how much one address may do.
type Config struct {
	// PerMinute bounds all requests, SignInsPerMinute those that check a password, a PIN or a code.
	PerMinute, SignInsPerMinute int
	// TrustedProxies is how many entries at the end of X-Forwarded-For were written by our own proxies.
	TrustedProxies int
}

// maxAddresses bounds the memory: at under 200 bytes each, 20 MB.
const maxAddresses = 100_000

// idle is when an address is forgotten: its bucket is full again long before.
const idle = 10 * time.Minute

// Limits counts requests.
type Limits struct {
	cfg Config
	now func() time.Time

	mu      sync.Mutex
	buckets map[string]*bucket
}

type bucket struct {
	all, signIn, refused *rate.Limiter
	last                 time.Time
}

// New makes the counters.
func New(cfg Config, now func() time.Time) *Limits {
	return &Limits{cfg: cfg, now: now, buckets: map[string]*bucket{}}
}

// Wrap refuses what is too much with 429 and Retry-After, and remembers the client's address for the audit ledger.
func (l *Limits) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		addr := l.address(r)
		if wait := l.take(network(addr), guesses(r)); wait > 0 {
			p := problem.New(http.StatusTooManyRequests, "TOO_MANY_REQUESTS", "too many requests from this address; try again later")
			p.Metadata = map[string]string{"retry_after": strconv.Itoa(int(wait.Seconds()) + 1)}
			problem.Write(w, r, p)
			return
		}
		next.ServeHTTP(w, r.WithContext(session.WithAddress(r.Context(), addr)))
	})
}

// take answers how long to wait, zero when the request may go on.
func (l *Limits) take(addr string, guess bool) time.Duration {
	now := l.now()
	b := l.of(addr, now)
	lim := []*rate.Limiter{b.all}
	if guess {
		lim = append(lim, b.signIn)
	}
	for _, x := range lim {
		res := x.ReserveN(now, 1)
		if d := res.DelayFrom(now); d > 0 {
			res.CancelAt(now)
			return d
		}
	}
	return 0
}

// Refused notes that a notice of the request's address was refused. Every refusal is worked for and stands in the log, so of
// those an address may cause as many as it may make requests; notices that are taken count nowhere.
func (l *Limits) Refused(r *http.Request) {
	now := l.now()
	l.of(network(l.address(r)), now).refused.AllowN(now, 1)
}

// Barred reports whether so many notices of the request's address were refused that no more are looked at for a while.
func (l *Limits) Barred(r *http.Request) bool {
	now := l.now()
	return l.of(network(l.address(r)), now).refused.TokensAt(now) < 1
}

// of returns the address's bucket.
func (l *Limits) of(addr string, now time.Time) *bucket {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bucket(addr, now)
}

// bucket finds or makes the address's bucket. It holds the lock.
func (l *Limits) bucket(addr string, now time.Time) *bucket {
	b, ok := l.buckets[addr]
	if !ok {
		if len(l.buckets) >= maxAddresses {
			l.sweep(now)
		}
		b = &bucket{all: per(l.cfg.PerMinute), signIn: per(l.cfg.SignInsPerMinute), refused: per(l.cfg.PerMinute)}
		l.buckets[addr] = b
	}
	b.last = now
	return b
}

// sweep forgets idle addresses; when none is idle, all: a flood from that many addresses is not ours to count.
func (l *Limits) sweep(now time.Time) {
	for a, b := range l.buckets {
		if now.Sub(b.last) > idle {
			delete(l.buckets, a)
		}
	}
	if len(l.buckets) >= maxAddresses {
		clear(l.buckets)
	}
}

func per(minute int) *rate.Limiter {
	return rate.NewLimiter(rate.Limit(float64(minute)/60), minute)
}

// address is the client's: the peer's, or what the outermost trusted proxy saw.
func (l *Limits) address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	if l.cfg.TrustedProxies == 0 {
		return host
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	i := len(hops) - l.cfg.TrustedProxies
	if i < 0 {
		return host
	}
	if ip := net.ParseIP(strings.TrimSpace(hops[i])); ip != nil {
		return ip.String()
	}
	return host
}

// network is what counts as one address: of IPv6 the first 64 bits, since whoever has one such address has all others of
// the network too (RFC 6177).
func network(addr string) string {
	ip, err := netip.ParseAddr(addr)
	if err != nil || ip.Unmap().Is4() {
		return addr
	}
	prefix, _ := ip.WithZone("").Prefix(64) // fails only for lengths that do not exist
	return prefix.String()
}

// guesses says whether a request tries a secret.
func guesses(r *http.Request) bool {
	if r.Method != http.MethodPost {
		return false
	}
	p := r.URL.Path
	return strings.HasPrefix(p, "/v1/sign-in") || strings.HasPrefix(p, "/v1/invitations:") ||
		strings.HasPrefix(p, "/v1/installation:") || strings.HasPrefix(p, "/v1/password:") ||
		strings.HasPrefix(p, "/v1/factors:finish") ||
		strings.HasSuffix(p, "StepUp") || p == "/v1/session:unlock"
}
