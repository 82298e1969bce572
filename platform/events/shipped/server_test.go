package shipped

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/mtls/mtlstest"
)

// image is where the image has the program, which preStop names.
const image = "/ko-app/nats-server"

// server is a pod of the bus: the program in a root folder of its own, so that every path is the one that ships. Of its
// configuration only the address is changed, as three servers share this machine's network.
type server struct {
	name string
	ip   netip.Addr
	root string

	m    *manifests
	log  *log
	cmd  *exec.Cmd
	gone chan struct{}
}

// log is what a server wrote.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// since are the lines after a mark, which is the length of what was there before.
func (l *log) since(mark int) string { return l.String()[mark:] }

// program builds the image's program as the image has it: alone, and with nothing of this machine's.
func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "nats-server")
	cmd := exec.Command("go", "build", "-trimpath", "-o", path, "./nats-server")
	cmd.Dir = filepath.Join(root, "tools", "images", "nats")
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}

// newServer makes the pod's volumes and names. It ends with the test, and its log is shown when the test fails.
func (m *manifests) newServer(t *testing.T, program, name string, ip netip.Addr, hosts string) *server {
	t.Helper()
	s := &server{name: name, ip: ip, root: t.TempDir(), m: m, log: new(log)}
	for _, dir := range []string{"/ko-app", "/etc/nats/conf", "/etc/nats/tls", "/etc/nats/authorities", "/data", "/run/nats", "/tmp"} {
		require.NoError(t, os.MkdirAll(s.path(dir), 0o700))
	}
	require.NoError(t, os.Link(program, s.path(image)))
	s.write(t, "/etc/hosts", []byte(hosts))
	s.write(t, "/etc/nsswitch.conf", []byte("hosts: files\n"))
	for file, content := range m.files {
		s.write(t, "/etc/nats/conf/"+file, []byte(strings.ReplaceAll(content, "0.0.0.0:", ip.String()+":")))
	}
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			t.Logf("---- %s\n%s", name, s.log)
		}
	})
	return s
}

func (s *server) path(in string) string { return filepath.Join(s.root, in) }

func (s *server) write(t *testing.T, in string, content []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(s.path(in), content, 0o600))
}

// certify puts a certificate and its authority where the Secret is mounted.
func (s *server) certify(t *testing.T, pair mtlstest.Pair, by *mtlstest.Authority) {
	t.Helper()
	s.write(t, "/etc/nats/tls/tls.crt", pair.Cert)
	s.write(t, "/etc/nats/tls/tls.key", pair.Key)
	s.write(t, "/etc/nats/tls/ca.crt", by.PEM())
}

// inside prepares a program of the pod with the pod's environment.
func (s *server) inside(path string, args ...string) *exec.Cmd {
	cmd := exec.Command(path, args...)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = s.log, s.log
	for _, e := range s.m.container().Env {
		value := e.Value
		if e.ValueFrom.FieldRef.FieldPath == "metadata.name" {
			value = s.name
		}
		cmd.Env = append(cmd.Env, e.Name+"="+value)
	}
	// The server must not outlive a test binary that is killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: s.root, Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 { // who is not root may change the root in a user namespace
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	return cmd
}

// launch starts the server with the arguments of the StatefulSet and does not wait.
func (s *server) launch(t *testing.T) {
	t.Helper()
	cmd, gone := s.inside(image, s.m.container().Args...), make(chan struct{})
	require.NoError(t, cmd.Start())
	go func() {
		_ = cmd.Wait() // how it ended is the test's business
		close(gone)
	}()
	s.cmd, s.gone = cmd, gone
}

func (s *server) kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		<-s.gone
	}
}

// ended says whether the process is gone.
func (s *server) ended() bool {
	select {
	case <-s.gone:
		return true
	default:
		return false
	}
}

func (s *server) port(t *testing.T, name string) int {
	t.Helper()
	for _, p := range s.m.container().Ports {
		if p.Name == name {
			return p.Port
		}
	}
	require.Fail(t, "the container has no port "+name)
	return 0
}

func (s *server) address(t *testing.T, port string) string {
	t.Helper()
	return fmt.Sprintf("%s:%d", s.ip, s.port(t, port))
}

// get asks the monitoring port; 0 when nobody answers.
func (s *server) get(t *testing.T, path string) (status int, body []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), eventstest.Wait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address(t, "monitor")+path, http.NoBody)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, body
}

// healthy says what kubelet hears from a probe.
func (s *server) healthy(t *testing.T, p probe) bool {
	t.Helper()
	require.Equal(t, "monitor", p.Get.Port)
	status, _ := s.get(t, p.Get.Path)
	return status == http.StatusOK
}

// routes are the servers that it is connected with, each once.
func (s *server) routes(t *testing.T) (names []string) {
	t.Helper()
	_, body := s.get(t, "/routez")
	var z struct {
		Routes []struct {
			Name string `json:"remote_name"`
		}
	}
	if json.Unmarshal(body, &z) != nil {
		return nil
	}
	for _, r := range z.Routes {
		names = append(names, r.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
