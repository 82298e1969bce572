// Package faults makes things go wrong on purpose: answers that fail, hang, arrive in halves or get
// lost after the work was done, and listings that lie.
//
// A fault names requests by method, path, query and tenant, lets the first After of them pass, and
// strikes Count times (0: until it is removed). Faults are part of the world and survive a restart.
package faults

import (
	"context"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/concord-suite/concord/sim/world"
)

// Kinds of faults.
const (
	Status        = "status"          // answer with Status and do nothing
	Slow          = "slow"            // wait Delay, then answer as usual
	Cut           = "cut"             // announce the whole answer, send Bytes of it, close
	ApplyThenDrop = "apply-then-drop" // do it, then close without an answer
	Drop          = "drop"            // close without doing it
	Frozen        = "frozen"          // accept and do not answer until the fault is removed
	HalfXML       = "half-xml"        // a complete 200 answer that holds half of the document
	Empty         = "empty"           // a listing without entries
	Drift         = "drift"           // a page that does not fit its neighbours
	WrongTenant   = "wrong-tenant"    // answer with another practice's data
)

var kinds = []string{Status, Slow, Cut, ApplyThenDrop, Drop, Frozen, HalfXML, Empty, Drift, WrongTenant}

// Check returns what is wrong with a fault in words, or nil.
func Check(f world.Fault) error {
	switch {
	case !slices.Contains(kinds, f.Kind):
		return fmt.Errorf("kind %q is unknown; it is one of %s", f.Kind, strings.Join(kinds, ", "))
	case f.Path == "":
		return fmt.Errorf("path is missing; it is a pattern such as */client.api/*")
	case f.Kind == Status && (f.Status < 400 || f.Status > 599):
		return fmt.Errorf("status must be 400 to 599 for kind status")
	case f.Kind == Slow && f.Delay <= 0:
		return fmt.Errorf("delay must be positive for kind slow")
	case f.Kind == Drift && !slices.Contains([]string{"", "skip", "repeat", "reverse", "insert"}, f.Order):
		return fmt.Errorf("order must be skip, repeat, reverse or insert for kind drift")
	case f.After < 0 || f.Count < 0 || f.Bytes < 0 || f.Shift < 0:
		return fmt.Errorf("after, count, bytes and shift must not be negative")
	}
	return nil
}

// Match reports whether pattern, in which * stands for anything, fits text.
func Match(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	if !strings.HasPrefix(text, parts[0]) {
		return false
	}
	text = text[len(parts[0]):]
	for _, part := range parts[1 : len(parts)-1] {
		at := strings.Index(text, part)
		if at < 0 {
			return false
		}
		text = text[at+len(part):]
	}
	return strings.HasSuffix(text, parts[len(parts)-1])
}

// Injector applies the world's faults to HTTP requests.
type Injector struct {
	store *world.Store
}

// New returns an injector of the world's faults.
func New(store *world.Store) *Injector { return &Injector{store: store} }

// Next returns the fault that strikes a request with these properties now, or nil, and counts it.
func (i *Injector) Next(method, target, query, tenant string) (*world.Fault, error) {
	var some bool
	i.store.View(func(s *world.State) { some = s.Faults.Len() > 0 })
	if !some {
		return nil, nil
	}
	var hit *world.Fault
	err := i.store.Note(func(tx *world.Tx) error {
		for _, f := range Ordered(tx.State) {
			if !fits(f, method, target, query, tenant) || f.Count > 0 && f.Done >= f.Count {
				continue
			}
			counted := *f
			counted.Seen++
			if counted.Seen > f.After {
				counted.Done++
				hit = &counted
			}
			tx.Faults.Put(tx, f.ID, &counted)
			if hit != nil {
				return nil
			}
		}
		return nil
	})
	return hit, err
}

// Ordered returns the world's faults, the oldest first.
func Ordered(s *world.State) []*world.Fault {
	var all []*world.Fault
	for _, f := range s.Faults.All() {
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b *world.Fault) int { return a.Seq - b.Seq })
	return all
}

func fits(f *world.Fault, method, target, query, tenant string) bool {
	return (f.Method == "" || strings.EqualFold(f.Method, method)) &&
		Match(f.Path, path.Clean(target)) &&
		strings.Contains(query, f.Query) &&
		(f.Tenant == "" || strings.EqualFold(f.Tenant, tenant))
}

type key struct{}

// Of returns the fault that a listing has to act out itself, or nil.
func Of(ctx context.Context) *world.Fault {
	f, _ := ctx.Value(key{}).(*world.Fault)
	return f
}

// Wrap applies faults to next.
func (i *Injector) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, err := i.Next(r.Method, r.URL.Path, r.URL.RawQuery, r.Header.Get("xero-tenant-id"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		if f == nil {
			next.ServeHTTP(w, r)
			return
		}
		i.strike(w, r, f, next)
	})
}

func (i *Injector) strike(w http.ResponseWriter, r *http.Request, f *world.Fault, next http.Handler) {
	switch f.Kind {
	case Status:
		refuse(w, f)
	case Slow, Frozen:
		if !i.Hold(r.Context(), f) {
			panic(http.ErrAbortHandler)
		}
		next.ServeHTTP(w, r)
	case Drop:
		panic(http.ErrAbortHandler)
	case ApplyThenDrop:
		next.ServeHTTP(newCapture(), r)
		panic(http.ErrAbortHandler)
	case Cut:
		c := newCapture()
		next.ServeHTTP(c, r)
		c.cut(w, f.Bytes)
	case HalfXML:
		c := newCapture()
		next.ServeHTTP(c, r)
		c.half(w)
	default: // the listings act out the rest
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, f)))
	}
}

// Hold waits as long as a slow or frozen fault says. False means ctx ended first.
func (i *Injector) Hold(ctx context.Context, f *world.Fault) bool {
	if f.Kind == Frozen {
		return i.thaw(ctx, f.ID)
	}
	timer := time.NewTimer(f.Delay.Duration())
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// thaw waits until a fault is removed.
func (i *Injector) thaw(ctx context.Context, id string) bool {
	for {
		changed := i.store.Changed()
		var there bool
		i.store.View(func(s *world.State) { there = s.Faults.Get(id) != nil })
		if !there {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}
