package boot

import (
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/vault"
)

func TestExplain(t *testing.T) {
	address := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}
	listening := func(errno syscall.Errno) error {
		return fmt.Errorf("serve: %w", &net.OpError{Op: "listen", Net: "tcp", Addr: address, Err: os.NewSyscallError("bind", errno)})
	}
	for want, err := range map[string]error{
		"the address 127.0.0.1:80 is taken by another program":                                                           listening(syscall.EADDRINUSE),
		"this user may not listen on 127.0.0.1:80: choose a port above 1023":                                             listening(syscall.EACCES),
		"127.0.0.1:80 is no address of this machine":                                                                     listening(syscall.EADDRNOTAVAIL),
		"the disk is full: write x: no space left on device":                                                             &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC},
		"the disk is full: migrate: sqldb: disk full":                                                                    fmt.Errorf("migrate: %w", sqldb.ErrDiskFull),
		"the database can't be written by this user: open: sqldb: read-only":                                             fmt.Errorf("open: %w", sqldb.ErrReadOnly),
		"/k/ring: it lies on a read-only volume: change a copy of it and distribute that, as docs/runbooks/keys.md says": fmt.Errorf("vault: /k/ring: %w", vault.ErrMounted),
		"dial tcp 127.0.0.1:80: connection refused":                                                                      &net.OpError{Op: "dial", Net: "tcp", Addr: address, Err: syscall.ECONNREFUSED},
	} {
		require.Equal(t, want, explain(err))
	}
}

// A test run as root can read everything, so what other users meet is made here.
func TestExplainFile(t *testing.T) {
	for want, errno := range map[string]error{
		"the configuration file /etc/things.yaml does not exist":             syscall.ENOENT,
		"the configuration file /etc/things.yaml is a directory":             syscall.EISDIR,
		"the configuration file /etc/things.yaml can't be read by this user": syscall.EACCES,
		"configuration file: read /etc/things.yaml: input/output error":      syscall.EIO,
	} {
		err := fmt.Errorf("configuration file: %w", &os.PathError{Op: "read", Path: "/etc/things.yaml", Err: errno})
		require.Equal(t, want, explainFile(err))
	}
	require.Equal(t, "two lines", explainFile(fmt.Errorf("two\n  lines")))
}
