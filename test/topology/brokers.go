package topology

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// The ports of a NATS server, each on its own address.
const (
	natsPort        = 4222
	natsRoutePort   = 6222
	natsMonitorPort = 8222
)

// natsServers is how many there are: each event is on three disks.
const natsServers = 3

// startBrokers starts a cluster of NATS servers whose acknowledgements mean what they say, and answers its URL.
func (r *Replicas) startBrokers(t testing.TB) string {
	t.Helper()
	var at []netip.Addr
	var routes, urls []string
	for i := range natsServers {
		ip := r.address(natsHost + i)
		at = append(at, ip)
		routes = append(routes, fmt.Sprintf("nats://%s:%d", ip, natsRoutePort))
		urls = append(urls, fmt.Sprintf("nats://%s:%d", ip, natsPort))
	}
	for i, ip := range at {
		name := fmt.Sprintf("nats-%d", i)
		conf := filepath.Join(r.Dir, name+".conf")
		// A lame duck hands over and then lets its clients go one by one; 30 s is the least the server takes, and with a
		// few clients it is done long before.
		write(t, conf, fmt.Appendf(nil, `server_name: %s
listen: "%s:%d"
http: "%s:%d"
jetstream { store_dir: %q, sync_interval: always }
cluster { name: concord, listen: "%s:%d", routes: [%s] }
lame_duck_duration: 30s
lame_duck_grace_period: 1s
`, name, ip, natsPort, ip, natsMonitorPort, filepath.Join(r.Dir, name), ip, natsRoutePort, strings.Join(routes, ", ")))
		p := newProcess(t, name, Binary(t, "nats-server"), []string{"-c", conf}, nil,
			fmt.Sprintf("http://%s:%d/healthz", ip, natsMonitorPort))
		p.Launch(t) // alone, none of them becomes ready
		r.Processes[name] = p
		r.Brokers = append(r.Brokers, p)
	}
	for _, p := range r.Brokers {
		p.AwaitReady(t)
	}
	return strings.Join(urls, ",")
}

// LameDuck asks a NATS server to hand over and end, and waits.
func (p *Process) LameDuck(t testing.TB) {
	t.Helper()
	p.signal(t, syscall.SIGUSR2)
	p.awaitGone(t)
}
