//go:build rolling

package rolling

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/concord-suite/concord/test/rest"
	"github.com/concord-suite/concord/test/topology"
)

const (
	// workers are how many clients there are, each with a connection of its own that it keeps.
	workers = 24
	// defaultRate is how many requests they make in a second, all together: what leaves two cores room for the restarts.
	defaultRate = 120
	// patience bounds one request: a person would have given up.
	patience = 20 * time.Second
)

// rate is defaultRate or what ROLLING_RATE says.
func rate(t *testing.T) int {
	set := os.Getenv("ROLLING_RATE")
	if set == "" {
		return defaultRate
	}
	n, err := strconv.Atoi(set)
	if err != nil || n < 1 {
		t.Fatalf("ROLLING_RATE: %q is no number of requests per second", set)
	}
	return n
}

// load is steady work for a suite, and the count of how it went.
type load struct {
	kinds []kind
	stop  context.CancelFunc
	ended sync.WaitGroup

	mu    sync.Mutex
	phase string
	tally map[string]map[string]*tally // by phase and kind
}

// kind is one of the things that clients do.
type kind struct {
	name   string
	weight int
	do     func(ctx context.Context, w *worker) error
}

// tally counts.
type tally struct {
	requests, failed int
	slowest          time.Duration
	reasons          map[string]int
}

// worker is one client.
type worker struct {
	n      int
	http   *http.Client
	random *rand.Rand
}

// begin starts the load; it ends with end, or with the test.
func begin(t *testing.T, suite *topology.Replicas, kinds []kind) *load {
	ctx, stop := context.WithCancel(context.Background())
	l := &load{kinds: kinds, stop: stop, tally: map[string]map[string]*tally{}}
	l.during("before")
	every := time.Second * workers / time.Duration(rate(t))
	for n := range workers {
		w := &worker{n: n, http: client(suite), random: rand.New(rand.NewPCG(uint64(n), 1))}
		l.ended.Go(func() { l.work(ctx, w, every) })
	}
	t.Cleanup(l.end)
	return l
}

// client keeps one connection to the gateways and follows no redirect.
func client(suite *topology.Replicas) *http.Client {
	return &http.Client{
		Transport:     strict{&http.Transport{DialContext: suite.DialGateway, MaxIdleConnsPerHost: 1}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// strict fails a request that the standard library made again, because the connection was cut under it: not every client
// does that.
type strict struct{ http.RoundTripper }

var errCut = errors.New("the connection was cut under the request")

// RoundTrip implements http.RoundTripper.
func (s strict) RoundTrip(req *http.Request) (*http.Response, error) {
	tries := 0
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { tries++ }}
	resp, err := s.RoundTripper.RoundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
	if err == nil && tries > 1 {
		resp.Body.Close()
		return nil, errCut
	}
	return resp, err
}

// end lets what is under way finish.
func (l *load) end() {
	l.stop()
	l.ended.Wait()
}

// during says what is being done to the suite from now on.
func (l *load) during(phase string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.phase = phase
	l.tally[phase] = map[string]*tally{}
}

func (l *load) work(ctx context.Context, w *worker, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for ctx.Err() == nil {
		l.once(w, l.pick(w))
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// pick takes one kind by weight.
func (l *load) pick(w *worker) kind {
	sum := 0
	for _, k := range l.kinds {
		sum += k.weight
	}
	at := w.random.IntN(sum)
	for _, k := range l.kinds {
		if at -= k.weight; at < 0 {
			return k
		}
	}
	return l.kinds[0]
}

// once does one thing and counts it, under what was being done when it ended. It is done to its end: a test that stops in
// the middle of a request knows nothing about it.
func (l *load) once(w *worker, k kind) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	began := time.Now()
	err := k.do(ctx, w)
	l.count(k.name, time.Since(began), err)
}

func (l *load) count(kind string, took time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.tally[l.phase][kind]
	if c == nil {
		c = &tally{reasons: map[string]int{}}
		l.tally[l.phase][kind] = c
	}
	c.requests++
	c.slowest = max(c.slowest, took)
	if err != nil {
		c.failed++
		c.reasons[reason(err)]++
	}
}

// reason is an error without what differs each time.
func reason(err error) string {
	if p := rest.ProblemOf(err); p != nil {
		return fmt.Sprintf("%d %s %s", p.Status, p.Reason, p.Detail)
	}
	text := err.Error()
	if i := strings.LastIndex(text, `": `); i >= 0 {
		text = text[i+3:]
	}
	return text
}

// of adds up the kinds of a phase, or one kind over all phases when phase is empty.
func (l *load) of(phase, kind string) tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	sum := tally{reasons: map[string]int{}}
	for p, kinds := range l.tally {
		for k, c := range kinds {
			if phase != "" && p != phase || kind != "" && k != kind {
				continue
			}
			sum.requests += c.requests
			sum.failed += c.failed
			sum.slowest = max(sum.slowest, c.slowest)
			for why, n := range c.reasons {
				sum.reasons[k+": "+why] += n
			}
		}
	}
	return sum
}
