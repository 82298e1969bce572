package eventstest

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/concord-suite/concord/platform/events/link"
	"github.com/concord-suite/concord/platform/events/topology"
	"github.com/concord-suite/concord/platform/mtls/mtlstest"
)

// configVariable tells a test binary to be a NATS server.
const configVariable = "CONCORD_TEST_NATS_CONFIG"

// ServeIfAsked makes the test binary a NATS server when a Cluster started it so, and reports when that has ended; a package
// that uses clusters calls it first in TestMain. Servers that are processes can be frozen, killed and sent away.
func ServeIfAsked() (served bool) {
	path := os.Getenv(configVariable)
	if path == "" {
		return false
	}
	opts, err := server.ProcessConfigFile(path)
	if err == nil {
		var s *server.Server
		if s, err = server.NewServer(opts); err == nil {
			s.ConfigureLogger()
			if err = server.Run(s); err == nil {
				s.WaitForShutdown()
			}
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return true
}

// Cluster is servers of the test's own with TLS, as in production: parts are known by their certificates, and may do what
// package topology derives for them.
type Cluster struct {
	// Authority issues the certificates, at first; Certificates are where each part, bus-operator and the servers, as "nats",
	// find theirs.
	Authority    *mtlstest.Authority
	Certificates map[string]*mtlstest.Volume
	Nodes        []*Node
	// Accounts is the part of the configuration about users; replaced before Launch, another one is tried.
	Accounts string
	dir      string
}

// Node is one server of a cluster.
type Node struct {
	Name   string
	client string // host:port
	route  string
	config string
	cmd    *exec.Cmd
	gone   chan struct{}
}

// NewCluster prepares a cluster of n servers, with certificates for each part of the suite and for bus-operator.
func NewCluster(t testing.TB, n int) *Cluster {
	t.Helper()
	var accounts strings.Builder
	must(t, topology.WriteAccounts(&accounts, "concord"))
	c := &Cluster{Authority: mtlstest.NewAuthority(t), Certificates: map[string]*mtlstest.Volume{}, Accounts: accounts.String(), dir: t.TempDir()}
	for _, part := range append([]string{"bus-operator"}, parts()...) {
		c.Certificates[part] = mtlstest.Mount(t, c.Authority.Issue(part), c.Authority)
	}
	c.Certificates[servers] = mtlstest.Mount(t, c.Authority.Issue(servers, Loopback), c.Authority)
	for i := range n {
		c.Nodes = append(c.Nodes, &Node{Name: fmt.Sprint("n", i), client: freeAddr(t), route: freeAddr(t)})
	}
	return c
}

// servers is what the NATS servers are called among the certificates.
const servers = "nats"

// Loopback is an edit of a certificate: that of a server on a port of this machine.
func Loopback(c *x509.Certificate) { mtlstest.At(net.IPv4(127, 0, 0, 1))(c) }

func parts() (names []string) {
	for _, p := range topology.Parts() {
		names = append(names, p.Name)
	}
	return names
}

// Launch starts every server and does not wait for them.
func (c *Cluster) Launch(t testing.TB) {
	t.Helper()
	for _, node := range c.Nodes {
		node.config = filepath.Join(c.dir, node.Name+".conf")
		must(t, os.WriteFile(node.config, []byte(c.configuration(node)), 0o600))
		node.Launch(t)
	}
}

func (c *Cluster) configuration(node *Node) string {
	f := c.Certificates[servers].Files()
	secure := fmt.Sprintf("cert_file: %q, key_file: %q, ca_file: %q", f.Cert, f.Key, f.CA)
	text := fmt.Sprintf("server_name: %s\nlisten: %q\nmax_payload: 1MB\njetstream { store_dir: %q, sync_interval: always }\n"+
		"tls { %s, verify_and_map: true }\nlame_duck_duration: 30s\nlame_duck_grace_period: 1s\nlogfile: %q\n",
		node.Name, node.client, filepath.Join(c.dir, node.Name), secure, filepath.Join(c.dir, node.Name+".log"))
	if len(c.Nodes) > 1 {
		var routes []string
		for _, other := range c.Nodes {
			routes = append(routes, "nats://"+other.route)
		}
		text += fmt.Sprintf("cluster { name: concord, listen: %q, routes: [%s], tls { %s, verify: true } }\n",
			node.route, strings.Join(routes, ", "), secure)
	}
	return text + c.Accounts
}

// URL names every server.
func (c *Cluster) URL() string {
	var urls []string
	for _, node := range c.Nodes {
		urls = append(urls, "tls://"+node.client)
	}
	return strings.Join(urls, ",")
}

// Config is how a part connects.
func (c *Cluster) Config(part string) link.Config {
	return link.Config{URL: c.URL(), Part: part, Name: part, Own: c.Certificates[part].Open(part)}
}

// Connect connects as a part, by its certificate, until the test ends.
func (c *Cluster) Connect(t testing.TB, part string, opts ...nats.Option) jetstream.JetStream {
	t.Helper()
	nc, err := link.Connect(c.Config(part), opts...)
	must(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	must(t, err)
	return js
}

// Prepare does what migrate does, for every part.
func (c *Cluster) Prepare(t testing.TB, replicas int) {
	t.Helper()
	for _, part := range parts() {
		js := c.Connect(t, part)
		var err error
		Until(t, "the streams of "+part+" are made", func() bool {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			_, err = topology.Prepare(ctx, js, part, replicas)
			return err == nil
		})
		js.Conn().Close() // a server that leaves takes its time for each connection
	}
}

// Launch starts the server.
func (n *Node) Launch(t testing.TB) {
	t.Helper()
	path, err := os.Executable()
	must(t, err)
	n.cmd = exec.Command(path)
	n.cmd.Env = append(os.Environ(), configVariable+"="+n.config)
	n.cmd.Stderr = os.Stderr
	// The server must not outlive a test binary that is killed.
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	must(t, n.cmd.Start())
	n.gone = make(chan struct{})
	go func(cmd *exec.Cmd, gone chan struct{}) {
		_ = cmd.Wait() // how it ended is the test's business
		close(gone)
	}(n.cmd, n.gone)
	t.Cleanup(n.Kill)
}

// Kill ends the server by SIGKILL, also when it is frozen or has ended.
func (n *Node) Kill() {
	_ = n.cmd.Process.Kill()
	<-n.gone
}

// Freeze stops the server without ending it: its sockets stay open and nobody answers. Thaw lets it go on.
func (n *Node) Freeze(t testing.TB) { t.Helper(); must(t, n.cmd.Process.Signal(syscall.SIGSTOP)) }

// Thaw lets a frozen server go on.
func (n *Node) Thaw(t testing.TB) { t.Helper(); must(t, n.cmd.Process.Signal(syscall.SIGCONT)) }

// Reload has the server read its configuration and certificates again, which takes a moment.
func (n *Node) Reload(t testing.TB) { t.Helper(); must(t, n.cmd.Process.Signal(syscall.SIGHUP)) }

// Leave sends the server away as a rolling update does: it takes no more connections, hands over what it leads, lets its
// clients go one by one, and ends.
func (n *Node) Leave(t testing.TB) {
	t.Helper()
	must(t, n.cmd.Process.Signal(syscall.SIGUSR2))
	select {
	case <-n.gone:
	case <-time.After(Wait):
		t.Fatalf("%s does not leave", n.Name)
	}
}

// freeAddr is an address on loopback that nobody uses.
func freeAddr(t testing.TB) string {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer lis.Close()
	return lis.Addr().String()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
