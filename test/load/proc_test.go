package load

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// userTick is the unit of CPU times in /proc: the kernel's USER_HZ, 100 on every Linux that Go runs on.
const userTick = 10 * time.Millisecond

// pidOf finds the process that runs an executable with an argument or setting of this suite, and of no other.
func pidOf(b *testing.B, executable, mark string) int {
	b.Helper()
	found := 0
	dirs, err := filepath.Glob("/proc/[0-9]*")
	require.NoError(b, err)
	for _, dir := range dirs {
		exe, err := os.Readlink(dir + "/exe")
		if err != nil || filepath.Base(exe) != executable {
			continue // ended meanwhile, the kernel's own, or another program
		}
		args, _ := os.ReadFile(dir + "/cmdline")
		env, _ := os.ReadFile(dir + "/environ")
		if !strings.Contains(string(args)+string(env), mark) {
			continue
		}
		require.Zero(b, found, "two processes run %s", executable)
		found, err = strconv.Atoi(filepath.Base(dir))
		require.NoError(b, err)
	}
	require.NotZero(b, found, "no process runs %s with %s", executable, mark)
	return found
}

// status reads one number of /proc/PID/status in bytes, such as VmRSS or VmHWM.
func status(b *testing.B, pid int, key string) int64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(b, err)
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		if name == key {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			require.NoError(b, err)
			return kib << 10
		}
	}
	b.Fatalf("no %s in the status of process %d", key, pid)
	return 0
}

// cpu is the user and system time a process has used so far, its ended children left out.
func cpu(b *testing.B, pid int) time.Duration {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(b, err)
	_, rest, _ := strings.Cut(string(text), ") ") // the name before it may hold blanks
	fields := strings.Fields(rest)
	user, err := strconv.ParseInt(fields[11], 10, 64)
	require.NoError(b, err)
	system, err := strconv.ParseInt(fields[12], 10, 64)
	require.NoError(b, err)
	return time.Duration(user+system) * userTick
}

const mib = 1 << 20
