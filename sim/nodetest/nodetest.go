// Package nodetest runs the scripts of test/node for interop tests: programs and libraries from outside
// that are written in JavaScript. `make interop` installs what they need; a test that finds it missing
// fails and says so.
package nodetest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	// most is how long a script may take: far longer than any of them needs on a busy machine.
	most = 2 * time.Minute
	// ready begins the line that a server prints when it can be called; its address follows.
	ready = "READY "
)

// Dir is the folder of the scripts, with the installed packages in node_modules.
func Dir(t testing.TB) string {
	t.Helper()
	at, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(at, "go.work")); err == nil {
			break
		}
		if at == filepath.Dir(at) {
			t.Fatal("no go.work above the test: where is the repository?")
		}
		at = filepath.Dir(at)
	}
	dir := filepath.Join(at, "test", "node")
	if _, err := os.Stat(filepath.Join(dir, "node_modules")); errors.Is(err, fs.ErrNotExist) {
		t.Fatal("the packages of test/node are not installed: make interop does it")
	}
	if _, err := exec.LookPath("node"); err != nil {
		t.Fatal("Node.js is not installed: the interop tests need it, 18 or newer")
	}
	return dir
}

func command(ctx context.Context, t testing.TB, env map[string]string, script string, args []string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(ctx, "node", append([]string{script}, args...)...)
	cmd.Dir = Dir(t)
	cmd.Env = os.Environ()
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.WaitDelay = 5 * time.Second // for output of a script that was killed
	return cmd
}

// Run runs a script of test/node to its end and returns what it wrote to its standard output. The test
// fails if the script does.
func Run(t testing.TB, env map[string]string, script string, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	cmd := command(ctx, t, env, script, args)
	var out, wrong bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &wrong
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", script, err, wrong.Bytes(), out.Bytes())
	}
	return out.Bytes()
}

// Serve starts a script of test/node that serves until it is killed, which happens when the test ends.
// It returns what follows READY in the first such line of its output, an address. What the script wrote
// is shown if the test fails.
func Serve(t testing.TB, env map[string]string, script string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := command(ctx, t, env, script, args)
	var log output
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	address := make(chan string, 1)
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if at, found := strings.CutPrefix(lines.Text(), ready); found {
				select {
				case address <- strings.TrimSpace(at):
				default:
				}
			}
			_, _ = log.Write(append(lines.Bytes(), '\n'))
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-read
		_ = cmd.Wait() // it was killed, so it ends with an error
		if t.Failed() {
			t.Logf("%s wrote:\n%s", script, log.String())
		}
	})
	limit := time.NewTimer(most)
	defer limit.Stop()
	select {
	case at := <-address:
		return at
	case <-read:
		t.Fatalf("%s ended before it was ready:\n%s", script, log.String())
	case <-limit.C:
		t.Fatalf("%s is not ready after %s:\n%s", script, most, log.String())
	}
	return ""
}

// output is a buffer that a process writes while a test reads.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write adds to the buffer.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

// String returns what was written so far.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
