package topology

import (
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// probeEvery is how late the endpoints are at most: a probe each second, as kubelets do.
const probeEvery = time.Second

// endpoints knows which replicas of each part are ready, as the endpoints of a Kubernetes service do: what a probe found
// stands until the next one. It answers names with them, as the cluster's DNS does.
type endpoints struct {
	replicas map[string][]*Replica // by part

	mu    sync.Mutex
	ready map[string][]netip.Addr
	turn  int
}

// follow probes until the test ends.
func (e *endpoints) follow(t testing.TB) {
	ctx, cancel := context.WithCancel(context.Background())
	var probing sync.WaitGroup
	t.Cleanup(func() { cancel(); probing.Wait() })
	probing.Go(func() {
		tick := time.NewTicker(probeEvery)
		defer tick.Stop()
		for {
			e.probe(ctx)
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
}

func (e *endpoints) probe(ctx context.Context) {
	found := map[string][]netip.Addr{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for part, replicas := range e.replicas {
		for _, r := range replicas {
			all.Go(func() {
				// A pod that is being deleted leaves at once, whatever it says of itself.
				ip, ready := r.at()
				if r.leaving.Load() || !answers(ctx, ready) {
					return
				}
				mu.Lock()
				defer mu.Unlock()
				found[part] = append(found[part], ip)
			})
		}
	}
	all.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ready = found
}

// of answers the ready replicas of a part, in any order.
func (e *endpoints) of(part string) []netip.Addr {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := slices.Clone(e.ready[part])
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// next answers one ready replica of a part after the other.
func (e *endpoints) next(part string) (netip.Addr, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := e.ready[part]
	if len(all) == 0 {
		return netip.Addr{}, false
	}
	e.turn++
	return all[e.turn%len(all)], true
}

// serveNames answers names until the test ends, and answers where.
func (e *endpoints) serveNames(t testing.TB, at netip.Addr) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", netip.AddrPortFrom(at, 0).String())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = conn.Close(); <-done })
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return // closed
			}
			if answer, err := e.answer(buf[:n]); err == nil {
				_, _ = conn.WriteTo(answer, from)
			}
		}
	}()
	return conn.LocalAddr().String()
}

// answer answers one question. A part of which nothing is ready has no name, as for a headless service.
func (e *endpoints) answer(question []byte) ([]byte, error) {
	var p dnsmessage.Parser
	header, err := p.Start(question)
	if err != nil {
		return nil, err
	}
	q, err := p.Question()
	if err != nil {
		return nil, err
	}
	name := q.Name.String()
	found := e.of(name[:max(0, len(name)-1)])
	reply := dnsmessage.Header{ID: header.ID, Response: true, Authoritative: true, RecursionDesired: header.RecursionDesired, RecursionAvailable: true}
	if len(found) == 0 {
		reply.RCode = dnsmessage.RCodeNameError
	}
	b := dnsmessage.NewBuilder(nil, reply)
	if err := b.StartQuestions(); err != nil {
		return nil, err
	}
	if err := b.Question(q); err != nil {
		return nil, err
	}
	if err := b.StartAnswers(); err != nil {
		return nil, err
	}
	for _, ip := range found {
		if q.Type != dnsmessage.TypeA {
			break
		}
		about := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 1}
		if err := b.AResource(about, dnsmessage.AResource{A: ip.As4()}); err != nil {
			return nil, err
		}
	}
	return b.Finish()
}
