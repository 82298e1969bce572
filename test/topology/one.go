package topology

import (
	"net"
	"testing"
)

// oneProcess starts bin/concord.
func (s *Suite) oneProcess(t testing.TB, world []string, o Options) {
	t.Helper()
	http, grpc := freeAddr(t), freeAddr(t)
	_, port, _ := net.SplitHostPort(http)                   // freeAddr's own
	s.URL = "http://" + net.JoinHostPort("localhost", port) // by the name, as the program prints it
	if o.Host != "" {
		s.Public = "http://" + net.JoinHostPort(o.Host, port)
		world = append(world, "CONCORD_AUTH_PUBLIC_URL="+s.Public, "CONCORD_GATEWAY_PUBLIC_URL="+s.Public)
	}
	for _, name := range services {
		s.GRPC[name] = grpc
	}
	p := newProcess(t, "concord", Binary(t, "concord"),
		[]string{"serve", "--data-dir", s.Dir + "/data", "--http-addr", http, "--grpc-addr", grpc},
		append(world, o.Env...), s.URL+"/readyz")
	s.Processes["concord"], s.order = p, []string{"concord"}
	p.Start(t)
	s.readSetupCode(t, p)
}
