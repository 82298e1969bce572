package custody_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// desk stands before the simulated identity service and counts: it sees every call, also of processes that die.
type desk struct {
	*httptest.Server
	to string

	mu       sync.Mutex
	spent    map[[sha256.Size]byte]bool // refresh tokens that were answered with another
	calls    int                        // to the token endpoint
	replays  int                        // answered calls with a token that was spent before
	lost     int                        // calls that got no whole answer from the service
	refused  int                        // calls it answered with an error
	stranger int                        // calls left that are made to look as if from an app it does not know
	changed  chan struct{}              // closed with the next call
}

func newDesk(t *testing.T, to string) *desk {
	d := &desk{to: to, spent: map[[sha256.Size]byte]bool{}, changed: make(chan struct{})}
	d.Server = httptest.NewServer(d)
	t.Cleanup(d.Close)
	return d
}

// ServeHTTP passes a call on, to its end even when the caller dies.
func (d *desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	token := url.Values{}
	if r.URL.Path == "/connect/token" {
		token, _ = url.ParseQuery(string(body))
	}
	next, err := http.NewRequestWithContext(context.WithoutCancel(r.Context()), r.Method, d.to+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return
	}
	next.Header = r.Header.Clone()
	if d.arrives() {
		next.Header.Del("Authorization")
	}
	resp, err := http.DefaultTransport.RoundTrip(next)
	var answer []byte
	if err == nil {
		answer, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
	}
	d.answered(sha256.Sum256([]byte(token.Get("refresh_token"))), resp, err)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(resp.StatusCode)
	_, _ = w.Write(answer) // the caller may have died
}

// arrives counts a call and tells whether it is to look like a stranger's.
func (d *desk) arrives() (stranger bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls++
	close(d.changed)
	d.changed = make(chan struct{})
	if stranger = d.stranger > 0; stranger {
		d.stranger--
	}
	return stranger
}

func (d *desk) answered(token [sha256.Size]byte, resp *http.Response, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case err != nil:
		d.lost++
		d.spent[token] = true // or it was: which of the two nobody can tell
	case resp.StatusCode != http.StatusOK:
		d.refused++
	default:
		if d.spent[token] {
			d.replays++
		}
		d.spent[token] = true
	}
}

func (d *desk) counts() (calls, lost, refused, replays int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls, d.lost, d.refused, d.replays
}

// estrange makes the next calls look as if the installation's secret were wrong.
func (d *desk) estrange(calls int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stranger = calls
}

// busy waits until some more calls have come, or done is closed.
func (d *desk) busy(more int, done <-chan struct{}) {
	now, _, _, _ := d.counts()
	for limit := now + more; ; {
		d.mu.Lock()
		there, changed := d.calls >= limit, d.changed
		d.mu.Unlock()
		if there {
			return
		}
		select {
		case <-changed:
		case <-done:
			return
		}
	}
}

// process is a worker process.
type process struct {
	t       *testing.T
	setup   setup
	cmd     *exec.Cmd
	orders  *json.Encoder
	input   io.Closer
	reports *json.Decoder
}

func startProcess(t *testing.T, s setup) *process {
	t.Helper()
	p := &process{t: t, setup: s}
	p.start()
	t.Cleanup(p.end)
	return p
}

func (p *process) start() {
	p.t.Helper()
	program, err := os.Executable()
	require.NoError(p.t, err)
	text, err := json.Marshal(p.setup)
	require.NoError(p.t, err)
	p.cmd = exec.Command(program)
	p.cmd.Env = append(os.Environ(), workerEnv+"="+string(text))
	p.cmd.Stderr = os.Stderr
	in, err := p.cmd.StdinPipe()
	require.NoError(p.t, err)
	out, err := p.cmd.StdoutPipe()
	require.NoError(p.t, err)
	require.NoError(p.t, p.cmd.Start())
	p.orders, p.input, p.reports = json.NewEncoder(in), in, json.NewDecoder(out)
}

// do has an order carried out. It reports false when the process was killed over it; then another takes its place.
func (p *process) do(o order) (report, bool) {
	p.t.Helper()
	var r report
	err := p.orders.Encode(o)
	if err == nil {
		err = p.reports.Decode(&r)
	}
	if err == nil {
		return r, true
	}
	ended := p.cmd.Wait()
	status, _ := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	require.True(p.t, status.Signaled() && status.Signal() == syscall.SIGKILL && o.Kill != "", "a worker ended by itself: %v, %v", err, ended)
	p.start()
	return r, false
}

// end has the process end, as it does when there are no more orders.
func (p *process) end() {
	_ = p.input.Close()
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}
