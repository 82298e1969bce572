package sqldbtest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
)

// binaries finds the directory of the server's programs: of the newest installed version, else by PATH.
func binaries() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // Debian and Ubuntu keep them out of PATH
	slices.SortFunc(found, func(a, b string) int { return version(a) - version(b) })
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1]), nil
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", errors.New("no initdb found; install the postgresql package (its server, version 14 or later)")
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return "", err
	}
	return filepath.Dir(path), nil
}

func version(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
	return n
}

// serverUser returns how to start the server, which refuses to run as root: as ourselves, or else as an unprivileged
// user that is there anyway.
func serverUser() (attr *syscall.SysProcAttr, uid, gid int, err error) {
	if os.Getuid() != 0 {
		return nil, os.Getuid(), os.Getgid(), nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, uid, gid, nil
	}
	return nil, 0, 0, errors.New("the server does not run as root, and there is no user postgres or nobody")
}

// family returns the server's process id and those of its children, by /proc.
func (c *Cluster) family(t testing.TB) []int {
	t.Helper()
	parent := c.server.Process.Pid
	pids := []int{parent}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	if len(stats) == 0 {
		t.Fatal("freezing a server needs /proc")
	}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // ended meanwhile
		}
		var state string
		var ppid int
		_, rest, _ := bytes.Cut(text, []byte(") ")) // the name in parentheses may hold anything
		if _, err := fmt.Sscan(string(rest), &state, &ppid); err == nil && ppid == parent {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			pids = append(pids, pid)
		}
	}
	return pids
}

func (c *Cluster) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	for _, pid := range c.family(t) {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatalf("signal the server: %v", err)
		}
	}
}

// Freeze stops every process of the server, so that connections stay open and nothing answers. It is thawed with the
// test.
func (c *Cluster) Freeze(t testing.TB) {
	t.Helper()
	c.signal(t, syscall.SIGSTOP)
	t.Cleanup(func() { c.Thaw(t) })
}

// Thaw lets a frozen server go on.
func (c *Cluster) Thaw(t testing.TB) {
	t.Helper()
	c.signal(t, syscall.SIGCONT)
}

// Kill ends every process of the server at once.
func (c *Cluster) Kill(t testing.TB) {
	t.Helper()
	c.signal(t, syscall.SIGKILL)
	<-c.ended
}

// Restart starts a killed server again on its data and waits until it answers.
func (c *Cluster) Restart(t testing.TB) {
	t.Helper()
	_ = os.Remove(filepath.Join(c.data(), "postmaster.pid")) // its process id may belong to somebody else by now
	if err := c.serve(); err != nil {
		t.Fatal(err)
	}
}

// stop ends the server for good; the watcher removes its directory.
func (c *Cluster) stop() {
	if c.server != nil && c.server.Process != nil {
		_ = c.server.Process.Signal(syscall.SIGCONT)
		_ = c.server.Process.Signal(syscall.SIGQUIT)
		<-c.ended
	}
	if c.guard != nil {
		_ = c.guard.Close()
	}
}
