package rotation

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/google/uuid"
)

// processName names this process: host/pid@namespace/random. It is for people, and lets another process of the same machine
// see at once that this one was killed.
func processName() string {
	return fmt.Sprintf("%s/%d@%s/%s", hostname(), os.Getpid(), namespace(), uuid.NewString()[:8])
}

func hostname() string {
	host, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return host
}

// namespace is the one in which process ids mean something: containers of one machine, even of one pod, have their own.
func namespace() string {
	link, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return "" // there is only one where there is no /proc
	}
	return strings.Trim(strings.TrimPrefix(link, "pid:"), "[]")
}

// dead reports whether a process is known not to run any more. Of other machines and containers nothing is known.
func dead(name string) bool {
	parts := strings.Split(name, "/")
	if len(parts) != 3 || parts[0] != hostname() {
		return false
	}
	number, space, _ := strings.Cut(parts[1], "@")
	pid, err := strconv.Atoi(number)
	return err == nil && space == namespace() && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}
