package topology

import (
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	natsgo "github.com/nats-io/nats.go"

	"github.com/concord-suite/concord/platform/mtls/mtlstest"
)

// The ports of a NATS server, each on its own address.
const (
	natsPort        = 4222
	natsRoutePort   = 6222
	natsMonitorPort = 8222
)

// natsServers is how many there are: each event is on three disks.
const natsServers = 3

// natsConfig is one server: its name, address, certificates and cluster, in the order in which they are filled in. Who may
// do what on it is printed by the suite's programs. A lame duck hands over and then lets its clients go one by one; 30 s is
// the least the server takes, and with a few clients it is done long before.
const natsConfig = `server_name: %s
listen: "%s:%d"
http: "%s:%d"
tls { %s, verify_and_map: true, timeout: 5 }
jetstream { store_dir: %q, sync_interval: always }
cluster { name: concord, listen: "%s:%d", no_advertise: true, routes: [%s], tls { %s, verify: true, timeout: 5 } }
lame_duck_duration: 30s
lame_duck_grace_period: 1s
include %q
`

// startBrokers starts a cluster of NATS servers whose acknowledgements mean what they say.
func (r *Replicas) startBrokers(t testing.TB) {
	t.Helper()
	users, err := exec.Command(Binary(t, "concord-auth"), "bus", "permissions").Output()
	if err != nil {
		t.Fatalf("auth bus permissions: %v", err)
	}
	const accounts = "nats-accounts.conf"
	write(t, filepath.Join(r.Dir, accounts), users)
	r.Certificates[nats] = mtlstest.NewVolume(t)
	r.Renew(nats, r.Authority, r.Authority)
	f := r.Certificates[nats].Files()
	secure := fmt.Sprintf("cert_file: %q, key_file: %q, ca_file: %q", f.Cert, f.Key, f.CA)
	var routes []string
	for _, ip := range r.brokerAddresses() {
		routes = append(routes, fmt.Sprintf("nats://%s:%d", ip, natsRoutePort))
	}
	for i, ip := range r.brokerAddresses() {
		name := fmt.Sprintf("nats-%d", i)
		conf := filepath.Join(r.Dir, name+".conf")
		write(t, conf, fmt.Appendf(nil, natsConfig, name, ip, natsPort, ip, natsMonitorPort, secure, filepath.Join(r.Dir, name),
			ip, natsRoutePort, strings.Join(routes, ", "), secure, accounts))
		p := newProcess(t, name, Binary(t, "nats-server"), []string{"-c", conf}, nil,
			fmt.Sprintf("http://%s:%d/healthz", ip, natsMonitorPort))
		p.Launch(t) // alone, none of them becomes ready
		r.Processes[name] = p
		r.Brokers = append(r.Brokers, p)
	}
	for _, p := range r.Brokers {
		p.AwaitReady(t)
	}
}

// nats is what the servers have their one certificate under.
const nats = "nats"

func (r *Replicas) brokerAddresses() (at []netip.Addr) {
	for i := range natsServers {
		at = append(at, r.address(natsHost+i))
	}
	return at
}

// natsURL names every server.
func (r *Replicas) natsURL() string {
	var urls []string
	for _, ip := range r.brokerAddresses() {
		urls = append(urls, fmt.Sprintf("tls://%s:%d", ip, natsPort))
	}
	return strings.Join(urls, ",")
}

// brokerIPs are what clients know the servers by: here they have no names.
func (r *Replicas) brokerIPs() (at []net.IP) {
	for _, ip := range r.brokerAddresses() {
		at = append(at, ip.AsSlice())
	}
	return at
}

// ConnectBus connects to the NATS servers as whoever looks after them, who may see everything.
func (r *Replicas) ConnectBus(t testing.TB) *natsgo.Conn {
	t.Helper()
	f := mtlstest.Mount(t, r.Authority.Issue("bus-operator"), r.Authority).Files()
	conn, err := natsgo.Connect(r.natsURL(), natsgo.RootCAs(f.CA), natsgo.ClientCert(f.Cert, f.Key))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

// LameDuck asks a NATS server to hand over and end, and waits.
func (p *Process) LameDuck(t testing.TB) {
	t.Helper()
	p.signal(t, syscall.SIGUSR2)
	p.awaitGone(t)
}

// Reload has a NATS server read its configuration and certificates again.
func (p *Process) Reload(t testing.TB) {
	t.Helper()
	p.signal(t, syscall.SIGHUP)
}
