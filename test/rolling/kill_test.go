//go:build rolling

package rolling

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/test/rest"
	"github.com/concord-suite/concord/test/topology"
)

// persistent are clients that try again, with the same request id, until they have an answer.
const persistent = 4

// kill ends a replica of every part without a word. Clients that never try again may notice, and what they notice is
// counted; clients that do lose nothing.
func kill(t *testing.T, suite *topology.Replicas, l *load, m *mix) {
	stubborn := m.insist(t, suite)
	restarts := map[string]int{}
	var phases []string
	for _, part := range topology.Parts {
		phase := part + " killed"
		l.during(phase)
		phases = append(phases, phase)
		r := suite.Of[part][0]
		r.Kill(t)
		suite.Settle(t, 2*time.Second) // noticed by the probes, and some requests later
		r.Begin(t)
		suite.AwaitEndpoints(t, part)
		restarts[phase]++
	}
	phases = append(phases, "one nats killed")
	l.during("one nats killed")
	victim := suite.Brokers[0]
	victim.Kill(t)
	suite.Settle(t, 2*time.Second)
	victim.Start(t)
	restarts["one nats killed"]++
	l.during("after the kills")
	done, tries, unanswered := stubborn()
	l.report("killed", slices.Concat(phases, []string{"after the kills"}), restarts)
	fmt.Printf("\nclients that try again: %d writes acknowledged, %d of them not at the first try, %d never\n\n", done, tries, unanswered)
	require.Zero(t, unanswered)
}

// insist starts clients that try again. What is returned ends them, and answers how many writes were acknowledged, how
// many of those not at the first try, and how many never.
func (m *mix) insist(t *testing.T, suite *topology.Replicas) (end func() (done, again, never int)) {
	ctx, stop := context.WithCancel(context.Background())
	var mu sync.Mutex
	var all sync.WaitGroup
	var done, again, never int
	for range persistent {
		c := &rest.Client{Base: gateways, Token: m.admin.Token, HTTP: client(suite)}
		all.Go(func() {
			for ctx.Err() == nil {
				tries, err := m.insistOnce(c)
				mu.Lock()
				switch {
				case err != nil:
					never++
				case tries > 1:
					again++
					fallthrough
				default:
					done++
				}
				mu.Unlock()
			}
		})
	}
	t.Cleanup(func() { stop(); all.Wait() })
	return func() (int, int, int) {
		stop()
		all.Wait()
		return done, again, never
	}
}

// insistOnce creates a client, however often it has to be asked for.
func (m *mix) insistOnce(c *rest.Client) (tries int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	name, header := m.sent("client"), http.Header{"Idempotency-Key": {uuid.NewString()}}
	pause := time.NewTicker(100 * time.Millisecond)
	defer pause.Stop()
	for {
		<-pause.C
		tries++
		err := m.create(ctx, c, "client", name, "/clients", &syncv1.Client{DisplayName: name}, header)
		if err == nil || ctx.Err() != nil {
			return tries, err
		}
		if p := rest.ProblemOf(err); p != nil && p.Status < 500 {
			return tries, err // trying again would not help
		}
	}
}
