package sqldbtest

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// startWait bounds the start of a server, which takes about a second: a loaded machine gets the rest.
const startWait = 60 * time.Second

// Cluster is a PostgreSQL server of the test's own, reached by a Unix socket.
type Cluster struct {
	bin, dir string
	cred     *syscall.SysProcAttr
	server   *exec.Cmd
	ended    chan struct{} // closed when server has ended
	guard    io.Closer     // its end stops the server; see watch
	made     atomic.Int64
}

// shared is the server that the tests of one binary have in common. Starting one takes about two seconds, which no
// single test should pay.
var shared lazyCluster

type lazyCluster struct {
	once    sync.Once
	cluster *Cluster
	err     error
}

func (l *lazyCluster) get(t testing.TB) *Cluster {
	t.Helper()
	l.once.Do(func() { l.cluster, l.err = start() })
	if l.err != nil {
		t.Fatalf("PostgreSQL is needed to run this test: %v", l.err)
	}
	return l.cluster
}

// Postgres starts a server for this test alone.
func Postgres(t testing.TB) *Cluster {
	t.Helper()
	c, err := start()
	if err != nil {
		t.Fatalf("PostgreSQL is needed to run this test: %v", err)
	}
	t.Cleanup(c.stop)
	return c
}

// start makes a server in a new directory and waits until it answers.
func start() (*Cluster, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	cred, uid, gid, err := serverUser()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pgtest") // short: the path of a Unix socket has 107 characters at most
	if err != nil {
		return nil, err
	}
	c := &Cluster{bin: bin, dir: dir, cred: cred}
	if err := os.Chown(dir, uid, gid); err != nil {
		return nil, err
	}
	if c.guard, err = watch(dir); err != nil {
		return nil, err
	}
	if err := c.initialize(); err != nil {
		c.stop()
		return nil, err
	}
	if err := c.serve(); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }

func (c *Cluster) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.bin, name), args...)
	cmd.Dir, cmd.SysProcAttr = c.dir, c.cred
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC", "HOME="+c.dir)
	return cmd
}

func (c *Cluster) initialize() error {
	args := []string{"-D", c.data(), "-U", "concord", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C"}
	english := append(args[:len(args):len(args)], "--locale-provider=icu", "--icu-locale=en-US")
	if _, err := c.command("initdb", english...).CombinedOutput(); err == nil {
		return nil
	}
	_ = os.RemoveAll(c.data()) // before PostgreSQL 15, or built without ICU
	if out, err := c.command("initdb", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

// serve starts the server process and waits for the first answer. A server that ends at once is started again: a process
// that was forked while its server was killed holds the shared memory for a moment.
func (c *Cluster) serve() error {
	log, err := os.OpenFile(filepath.Join(c.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	ctx, cancel := context.WithTimeout(context.Background(), startWait)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	if err := c.launch(log); err != nil {
		return err
	}
	for {
		err := c.admin(ctx, `SELECT 1`)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			text, _ := os.ReadFile(log.Name())
			return fmt.Errorf("postgres did not start: %w\n%s", err, text)
		case <-tick.C:
		}
		select {
		case <-c.ended:
			if err := c.launch(log); err != nil {
				return err
			}
		default:
		}
	}
}

// launch starts the server process; c.ended is closed when it has ended.
func (c *Cluster) launch(log *os.File) error {
	server := c.command("postgres", "-D", c.data(), "-c", "listen_addresses=", "-c", "unix_socket_directories="+c.dir,
		"-c", "fsync=off", "-c", "full_page_writes=off", // a kill loses nothing, a power cut may: it lives for a test
		"-c", "max_connections=300", "-c", "shared_buffers=32MB", "-c", "max_wal_size=256MB")
	server.Stdout, server.Stderr = log, log
	if err := server.Start(); err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		_ = server.Wait()
		close(ended)
	}()
	c.server, c.ended = server, ended
	return nil
}

// guardScript waits for the end of its input and then stops the server whose directory it is given, and removes the
// directory. The process id comes from the server's own file and is believed only when the process names the directory.
const guardScript = `cat >/dev/null
pid=$(head -n 1 "$0/data/postmaster.pid" 2>/dev/null)
ours() { grep -qs "$0" "/proc/$pid/cmdline" || ps -o command= -p "$pid" 2>/dev/null | grep -q "$0"; }
if [ -n "$pid" ] && ours; then
	kill -CONT "$pid"; kill -QUIT "$pid"; n=0
	while kill -0 "$pid" 2>/dev/null && [ $n -lt 100 ]; do n=$((n+1)); sleep 0.1; done
fi
rm -rf "$0"`

// watch starts a shell that outlives this process for a moment: when the pipe to it ends, because this process ended in
// whatever way, it runs guardScript. Closing the returned pipe does the same.
func watch(dir string) (io.Closer, error) {
	w := exec.Command("sh", "-c", guardScript, dir)
	w.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // not ended together with the test by a Ctrl-C
	pipe, err := w.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := w.Start(); err != nil {
		return nil, err
	}
	go func() { _ = w.Wait() }()
	return pipe, nil
}

// admin runs one statement on the server's own database.
func (c *Cluster) admin(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, c.url("public"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	return err
}

func (c *Cluster) url(schema string) string {
	return fmt.Sprintf("postgres:///postgres?host=%s&user=concord&sslmode=disable&search_path=%s", c.dir, schema)
}

// URL makes a new, empty namespace on the server and returns its URL. It is a schema, not a database: that takes less
// than a millisecond instead of a third of a second, and nothing a service does can tell the two apart.
func (c *Cluster) URL(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("t%d", c.made.Add(1))
	ctx, cancel := context.WithTimeout(context.Background(), startWait)
	defer cancel()
	if err := c.admin(ctx, "CREATE SCHEMA "+name); err != nil {
		t.Fatalf("make a test database: %v", err)
	}
	return c.url(name)
}
