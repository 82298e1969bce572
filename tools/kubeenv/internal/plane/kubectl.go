package plane

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Kubectl runs kubectl as the administrator and returns what it printed on both outputs. A failure's error has what it
// complained of. Arguments that name files need absolute paths.
func (p *Plane) Kubectl(ctx context.Context, args ...string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	var output, complaints bytes.Buffer
	cmd := exec.CommandContext(ctx, self, append([]string{Kubectl}, args...)...)
	cmd.Dir, cmd.Env = p.dir, append(environment(p.dir), "KUBECONFIG="+p.kubeconfig)
	cmd.Stdout, cmd.Stderr = &output, &complaints
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	// kubectl diff leaves its own child holding the output when it is killed.
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	if err != nil {
		err = fmt.Errorf("kubectl %s: %w: %s", args[0], errors.Join(context.Cause(ctx), err), bytes.TrimSpace(complaints.Bytes()))
	}
	return output.String() + complaints.String(), err
}
