package gateway

import (
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/concord-suite/concord/sim/world"
)

// limits counts calls in fixed windows per tenant and app, and calls in progress per tenant.
type limits struct {
	store  *world.Store
	factor float64 // how much faster than real time the windows pass

	mu      sync.Mutex
	running map[string]int
	peak    map[string]int
}

// verdict is what the limits say about one call.
type verdict struct {
	limit      string        // which limit refuses: concurrent, minute, day, appminute; "" lets it pass
	retry      time.Duration // real time until the window ends; 0 for concurrent
	min, day   int           // remaining for the tenant
	appMin     int           // remaining for the app
	tenantless bool          // the call was refused before a tenant was known
}

// headers writes what remains, as the provider does on answers and refusals alike.
func (v verdict) headers(h http.Header) {
	if !v.tenantless {
		h.Set("X-DayLimit-Remaining", strconv.Itoa(v.day))
		h.Set("X-MinLimit-Remaining", strconv.Itoa(v.min))
	}
	h.Set("X-AppMinLimit-Remaining", strconv.Itoa(v.appMin))
	if v.limit == "" {
		return
	}
	h.Set("X-Rate-Limit-Problem", v.limit)
	if v.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(v.retry.Seconds()))))
	}
}

// enter counts a call in progress; leave must follow if it says yes.
func (l *limits) enter(tenant string, most int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running[tenant] >= most {
		return false
	}
	l.running[tenant]++
	l.peak[tenant] = max(l.peak[tenant], l.running[tenant])
	return true
}

func (l *limits) leave(tenant string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running[tenant]--
}

// admitApp counts a call against the app alone, for calls that reach no tenant.
func (l *limits) admitApp(app string) (verdict, error) {
	v := verdict{tenantless: true}
	err := l.store.Note(func(tx *world.Tx) error {
		minute := l.window(tx, "appminute", app, time.Minute, tx.Rules().AppPerMinute)
		v.appMin = minute.left
		if minute.left <= 0 {
			v.limit, v.retry = "appminute", minute.ends
			return nil
		}
		v.appMin--
		minute.use(tx)
		return nil
	})
	return v, err
}

// admit counts a call against every limit, or names the one that refuses it. A refused call uses
// nothing up.
func (l *limits) admit(app, tenant, endpoint string, concurrent bool) (verdict, error) {
	var v verdict
	err := l.store.Note(func(tx *world.Tx) error {
		rules := tx.Rules()
		all := []*window{
			l.window(tx, "minute", tenant, time.Minute, rules.PerMinute),
			l.window(tx, "day", tenant, 24*time.Hour, rules.PerDay),
			l.window(tx, "appminute", app, time.Minute, rules.AppPerMinute),
		}
		if concurrent {
			v.limit = "concurrent"
		}
		for _, w := range all {
			if v.limit == "" && w.left <= 0 {
				v.limit, v.retry = w.limit, w.ends
			}
		}
		for _, w := range all {
			if v.limit == "" {
				w.use(tx)
				w.left--
			}
		}
		v.min, v.day, v.appMin = max(all[0].left, 0), max(all[1].left, 0), max(all[2].left, 0)
		count(tx, tenant, endpoint, v.limit != "")
		return nil
	})
	return v, err
}

func count(tx *world.Tx, tenant, endpoint string, refused bool) {
	key := tenant + " " + endpoint
	row := world.CallCount{Tenant: tenant, Endpoint: endpoint}
	if old := tx.Calls.Get(key); old != nil {
		row = *old
	}
	row.Calls++
	if refused {
		row.Refused++
	}
	tx.Calls.Put(tx, key, &row)
}

// window is a limit window as it stands during one write.
type window struct {
	limit string
	key   string
	row   world.Window
	left  int
	ends  time.Duration // real time until it ends
}

// window finds the current window, or begins one: a window starts with the first call in it.
func (l *limits) window(tx *world.Tx, limit, owner string, length time.Duration, most int) *window {
	length = time.Duration(float64(length) / l.factor)
	w := &window{limit: limit, key: limit + " " + owner, row: world.Window{Start: tx.Now}}
	if old := tx.Windows.Get(w.key); old != nil && tx.Now.Sub(old.Start) < length {
		w.row = *old
	}
	w.left = most - w.row.Used
	w.ends = w.row.Start.Add(length).Sub(tx.Now)
	return w
}

func (w *window) use(tx *world.Tx) {
	w.row.Used++
	row := w.row
	tx.Windows.Put(tx, w.key, &row)
}
