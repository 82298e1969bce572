package storm

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/test/topology"
)

const (
	// short is how many requests are sent when nobody asks for more: each of some 240 ways in meets about ten.
	short = 2400
	// workers send at the same time; more than the machine has CPUs, so that requests meet inside a service.
	workers = 16
	// breath is after how many requests callers whose sessions ended sign in again.
	breath = 400
	// life is after how many requests the firms are made anew: by then somebody has disabled half of the people.
	life = 8000
	// progress is after how many requests the storm says how far it is: every minute or so.
	progress = 2000
)

// TestStorm is the whole storm.
func TestStorm(t *testing.T) {
	total, seed := number(t, "STORM", short), number(t, "SEED", int(time.Now().Unix()))
	kinds := []topology.Kind{topology.OneProcess, topology.ManyProcesses}
	if want := os.Getenv("TOPOLOGY"); want != "" {
		kinds = slices.DeleteFunc(kinds, func(k topology.Kind) bool { return k.String() != want })
		require.NotEmpty(t, kinds, "TOPOLOGY is %q", want)
	}
	for i, kind := range kinds {
		t.Run(kind.String(), func(t *testing.T) {
			t.Logf("seed %d", seed)
			begin(t, kind, uint64(seed)+uint64(i)).play(t, total/len(kinds))
		})
	}
}

func number(t *testing.T, name string, otherwise int) int {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, name)
	return n
}

// storm is a suite under way.
type storm struct {
	*topology.Suite
	seed  uint64
	cast  *cast
	pool  *pool
	tally *tally
	rest  *restCalls
	grpc  *grpcCalls
}

func begin(t *testing.T, kind topology.Kind, seed uint64) *storm {
	suite := topology.Start(t, kind, topology.Options{Clients: 30, Env: []string{
		"CONCORD_GATEWAY_REQUESTS_PER_MINUTE=100000000", "CONCORD_GATEWAY_SIGN_INS_PER_MINUTE=100000000",
		// Everybody calls from an address of their own, so that one's guesses are not another's wait.
		"CONCORD_GATEWAY_TRUSTED_PROXIES=1",
	}})
	s := &storm{Suite: suite, seed: seed, pool: newPool(), tally: newTally()}
	s.rest = newRESTCalls(t, suite.URL)
	s.grpc = newGRPCCalls(t, suite.GRPC)
	s.cast = claim(t, suite)
	return s
}

// play sends the requests, and looks at what came of them.
func (s *storm) play(t *testing.T, total int) {
	since := time.Now()
	for sent := 0; sent < total; sent += breath {
		if sent%life == 0 {
			s.pool = newPool()
			s.cast.rebuild(t, s.pool)
		}
		begun := time.Now()
		s.cast.wake(t, s.pool)
		s.tally.waking += time.Since(begun)
		s.volley(min(breath, total-sent), s.seed+uint64(sent))
		for name, p := range s.Processes {
			select {
			case <-p.Gone():
				t.Fatalf("%s ended", name)
			default:
			}
		}
		if t.Failed() {
			return
		}
		if done := min(sent+breath, total); done%progress == 0 {
			fmt.Printf("%7d of %d requests in %s, of which %s went into signing callers in again\n", done, total,
				time.Since(since).Round(time.Second), s.tally.waking.Round(time.Second))
		}
	}
	t.Logf("%d requests\n%s", total, s.tally.table())
	for name, p := range s.Processes {
		for _, word := range []string{"panic:", "goroutine 1 [", "DATA RACE"} {
			require.NotContains(t, p.Log(), word, "in the log of %s", name)
		}
	}
	if found := s.tally.findings(); len(found) > 0 {
		t.Fatalf("the storm of seed %d found:\n%s", s.seed, strings.Join(found, "\n"))
	}
	s.tally.complete(t, s, total)
}

// volley sends requests at once.
func (s *storm) volley(n int, seed uint64) {
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < n; i += workers {
				s.one(rand.New(rand.NewPCG(seed, uint64(i))), i)
			}
		})
	}
	wg.Wait()
}

// one sends one request, or the same one several times at once.
func (s *storm) one(r *rand.Rand, i int) {
	var send func() outcome
	if i%2 == 0 {
		send = s.rest.request(r, s.cast, s.pool)
	} else {
		send = s.grpc.request(r, s.cast, s.pool)
	}
	times := 1
	if r.IntN(20) == 0 {
		times = 2 + r.IntN(4)
	}
	var wg sync.WaitGroup
	for range times {
		wg.Go(func() {
			begun := time.Now()
			out := send()
			out.took = time.Since(begun)
			s.tally.add(out, s.pool.judge(out.who, out))
		})
	}
	wg.Wait()
}

// outcome is one answer.
type outcome struct {
	call     string // the RPC or the REST path
	way      string // REST or gRPC
	code     string // as the table shows it
	reason   string
	detail   string // for findings
	sent     string // everything that was sent, to know what was echoed
	answer   string // everything that came back
	json     []byte // the answer as JSON when there is one, to learn from
	streamed bool
	took     time.Duration
	who      *actor
}

// ok says whether the request was done.
func (o outcome) ok() bool {
	return strings.HasPrefix(o.code, "2") || strings.HasPrefix(o.code, "3") || o.code == "OK"
}
