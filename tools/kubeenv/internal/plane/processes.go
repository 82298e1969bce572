package plane

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
)

// processes are the parts of a control plane that run.
type processes struct {
	dir    string
	fail   context.CancelCauseFunc
	mu     sync.Mutex
	ending bool
	ended  sync.WaitGroup
	list   []*os.Process
}

// newProcesses returns with them a context that ends when one of them ends unasked.
func newProcesses(ctx context.Context, dir string) (context.Context, *processes) {
	ctx, fail := context.WithCancelCause(ctx)
	return ctx, &processes{dir: dir, fail: fail}
}

// start runs this program again as one part. What it prints goes to a file of the part's name in the folder.
func (p *processes) start(inherited []*os.File, part string, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(p.dir, part+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(self, append([]string{part}, args...)...)
	cmd.Dir, cmd.Env = p.dir, environment(p.dir)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = log, log, inherited
	// A group of their own: an interrupt from the terminal is for us, who end them in order. And they do not outlive us
	// even when we are killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ending {
		return context.Canceled
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	p.list = append(p.list, cmd.Process)
	p.ended.Go(func() {
		err := cmd.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		if !p.ending {
			p.fail(fmt.Errorf("%s ended by itself (%v):\n%s", part, err, tail(log.Name())))
		}
	})
	return nil
}

// stop kills them: nothing they hold outlives them, and a polite end takes seconds.
func (p *processes) stop() {
	p.mu.Lock()
	p.ending = true
	for _, process := range p.list {
		process.Kill() // gone already is as good
	}
	p.mu.Unlock()
	p.ended.Wait()
	p.fail(context.Canceled)
}

// environment is what a part sees of ours: nothing that could lead it to another cluster, and home is the folder that
// is removed in the end. Memory is given for time: the parts live a minute and hold some hundred megabytes.
func environment(dir string) []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir, "GOGC=400"}
}

// tail is the end of a log: what a part said before it went.
func tail(path string) []byte {
	content, err := os.ReadFile(path)
	if err != nil {
		return []byte(err.Error())
	}
	lines := bytes.SplitAfter(bytes.TrimSpace(content), []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-15):], nil)
}
