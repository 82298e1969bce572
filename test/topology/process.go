package topology

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// startWait bounds a start; a second is normal, a loaded machine gets the rest.
	startWait = 60 * time.Second
	// stopWait bounds an orderly end: the longest grace of any program is 20 s.
	stopWait = 30 * time.Second
	// askEvery is how often a starting program is asked whether it is ready.
	askEvery = 20 * time.Millisecond
)

// Process is one program of a suite. It can be killed, frozen and started again.
type Process struct {
	// Name is the program's name.
	Name string

	path  string
	args  []string
	env   []string
	ready string // an address that answers below 300 when it is ready, empty when the program itself says nothing

	mu   sync.Mutex
	cmd  *exec.Cmd
	gone chan struct{}
	log  *tail
}

// tail keeps the last of what a program wrote, to be shown when a test fails.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

const tailSize = 1 << 20

func (l *tail) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.buf.Len() > tailSize {
		l.buf.Next(l.buf.Len() / 2)
	}
	return l.buf.Write(p)
}

func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// newProcess prepares a program; it ends with the test, and its output is shown when the test fails.
func newProcess(t testing.TB, name, path string, args, env []string, ready string) *Process {
	t.Helper()
	p := &Process{Name: name, path: path, args: args, env: append(os.Environ(), env...), ready: ready, log: &tail{}}
	t.Cleanup(func() {
		p.end()
		if t.Failed() {
			t.Logf("---- %s\n%s", name, lastLines(p.Log(), 40))
		}
	})
	return p
}

// Env is the program's environment, for running one of its other commands beside it.
func (p *Process) Env() []string { return slices.Clone(p.env) }

// Log is what the program wrote last.
func (p *Process) Log() string { return p.log.String() }

// Start starts the program and waits until it is ready.
func (p *Process) Start(t testing.TB) {
	t.Helper()
	p.Launch(t)
	p.AwaitReady(t)
}

// Launch starts the program and does not wait.
func (p *Process) Launch(t testing.TB) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	cmd := exec.Command(p.path, p.args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = p.env, p.log, p.log
	// The program must not outlive a test binary that is killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s: %v", p.Name, err)
	}
	gone := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is the test's business
		close(gone)
	}()
	p.cmd, p.gone = cmd, gone
}

// AwaitReady waits until the program answers.
func (p *Process) AwaitReady(t testing.TB) {
	t.Helper()
	if p.ready == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), startWait)
	defer cancel()
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for !answers(ctx, p.ready) {
		select {
		case <-p.Gone():
			t.Fatalf("%s ended while it started\n%s", p.Name, lastLines(p.Log(), 40))
		case <-ctx.Done():
			t.Fatalf("%s is not ready after %s\n%s", p.Name, startWait, lastLines(p.Log(), 40))
		case <-tick.C:
		}
	}
}

// Gone is closed when the program has ended.
func (p *Process) Gone() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gone
}

// Kill ends the program by SIGKILL.
func (p *Process) Kill(t testing.TB) {
	t.Helper()
	p.signal(t, syscall.SIGKILL)
	<-p.Gone()
}

// Stop ends the program by SIGTERM and waits.
func (p *Process) Stop(t testing.TB) {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
	p.awaitGone(t)
}

func (p *Process) awaitGone(t testing.TB) {
	t.Helper()
	select {
	case <-p.Gone():
	case <-time.After(stopWait):
		t.Fatalf("%s does not stop\n%s", p.Name, lastLines(p.Log(), 40))
	}
}

// Freeze stops the program without ending it: its sockets stay open and nobody answers. Thaw lets it go on.
func (p *Process) Freeze(t testing.TB) { t.Helper(); p.signal(t, syscall.SIGSTOP) }

// Thaw lets a frozen program go on.
func (p *Process) Thaw(t testing.TB) { t.Helper(); p.signal(t, syscall.SIGCONT) }

// ExitCode is how the program ended, -1 while it runs or when it was killed.
func (p *Process) ExitCode() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd.ProcessState.ExitCode()
}

func (p *Process) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatalf("%s: %v", p.Name, err)
	}
}

// end makes sure that nothing is left.
func (p *Process) end() {
	p.mu.Lock()
	cmd, gone := p.cmd, p.gone
	p.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Signal(syscall.SIGCONT)
	_ = cmd.Process.Kill()
	<-gone
}

func answers(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode < 300
}

// freeAddr is a loopback address nobody listens on. Somebody else could take it before we do; on a machine of tests that
// shows as a failed start, not as a wrong result.
func freeAddr(t testing.TB) string {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	return lis.Addr().String()
}

func lastLines(s string, n int) string {
	lines := bytes.Split([]byte(s), []byte("\n"))
	if len(lines) > n {
		lines = append([][]byte{fmt.Appendf(nil, "… %d lines before", len(lines)-n)}, lines[len(lines)-n:]...)
	}
	return string(bytes.Join(lines, []byte("\n")))
}
