//go:build rolling

package rolling

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/test/rest"
	"github.com/concord-suite/concord/test/story"
	"github.com/concord-suite/concord/test/topology"
)

// watcher starts one run after the other and watches each to its end. A watch may be cut, and is taken up again; then it
// must go on where the run is, and show its end.
type watcher struct {
	admin      *story.Person
	connection string
	web        *http.Client

	stop  context.CancelFunc
	ended sync.WaitGroup

	mu      sync.Mutex
	runs    int
	cuts    int // watches that were taken up again
	wrong   []string
	slowest time.Duration
}

// watch watches until end, or the end of the test; the run that is under way is watched to its end.
func watch(t *testing.T, suite *topology.Replicas, admin *story.Person, c *connectorv1.Connection) *watcher {
	ctx, stop := context.WithCancel(context.Background())
	w := &watcher{admin: admin, connection: c.GetName(), stop: stop}
	w.web = &http.Client{Transport: counted{&http.Transport{DialContext: suite.DialGateway}, w}}
	w.ended.Go(func() {
		for ctx.Err() == nil {
			if err := w.once(); err != nil {
				w.say(err.Error())
				return
			}
		}
	})
	t.Cleanup(func() { stop(); w.ended.Wait() })
	return w
}

// counted counts the watches.
type counted struct {
	http.RoundTripper
	w *watcher
}

// RoundTrip implements http.RoundTripper.
func (c counted) RoundTrip(req *http.Request) (*http.Response, error) {
	if strings.HasSuffix(req.URL.Path, ":watch") {
		c.w.mu.Lock()
		c.w.cuts++
		c.w.mu.Unlock()
	}
	return c.RoundTripper.RoundTrip(req)
}

// end stops watching and says how it went.
func (w *watcher) end(t *testing.T) {
	t.Helper()
	w.stop()
	w.ended.Wait()
	fmt.Printf("%d runs were started and watched to their ends, %d watches were cut and taken up again, slowest run %s\n\n",
		w.runs, w.cuts-w.runs, short(w.slowest))
	require.Empty(t, w.wrong)
	require.Positive(t, w.runs)
}

func (w *watcher) say(wrong string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrong = append(w.wrong, wrong)
}

// once is one run.
func (w *watcher) once() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c := &rest.Client{Base: gateways, Token: w.admin.Token, HTTP: w.web}
	started := new(syncv1.StartRunResponse)
	// With a request id it may be asked for again. It is, as a gateway is killed, too; whether clients notice that do not ask
	// again is counted elsewhere.
	req := &syncv1.StartRunRequest{Connection: w.connection, Kind: syncv1.RunKind_RUN_KIND_MANUAL, RequestId: uuid.NewString()}
	if err := again(ctx, func() error { return c.Call(ctx, "POST", "/v1/"+w.admin.Firm+"/runs", req, started) }); err != nil {
		return fmt.Errorf("a run did not start: %w", err)
	}
	began := time.Now()
	end, err := c.Watch(ctx, started.GetRun().GetName(), nil)
	if err != nil {
		return fmt.Errorf("a watch did not come to its end: %w", err)
	}
	got := new(syncv1.GetRunResponse)
	if err := again(ctx, func() error { return c.Call(ctx, "GET", "/v1/"+end.GetName(), nil, got) }); err != nil {
		return fmt.Errorf("a run could not be read: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.runs++
	w.slowest = max(w.slowest, time.Since(began))
	if end.GetState() != syncv1.RunState_RUN_STATE_SUCCEEDED || !proto.Equal(end, got.GetRun()) {
		w.wrong = append(w.wrong, fmt.Sprintf("the watch showed %s and the run is %s: %s", end.GetState(), got.GetRun().GetState(), got.GetRun().GetMessage()))
	}
	return nil
}

// again asks until it is answered, or ctx ends; then it returns what was said last.
func again(ctx context.Context, ask func() error) error {
	pause := time.NewTicker(200 * time.Millisecond)
	defer pause.Stop()
	for {
		err := ask()
		if err == nil {
			return nil
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return err
		}
	}
}
