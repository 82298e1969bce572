package boot

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// listening says what is wrong with a setting that tells where to listen, nil when nothing is. A name is looked up when the
// process listens; here only the shape counts.
func listening(setting, address string) error {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		if _, err = strconv.ParseUint(port, 10, 16); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%s: want host:port, such as 127.0.0.1:9090 or :9090, not %q", setting, address)
}

// busServers says what is wrong with the list of NATS servers. It does not repeat it: somebody may have written a password
// into it.
func busServers(list string) error {
	for server := range strings.SplitSeq(list, ",") {
		u, err := url.Parse(strings.TrimSpace(server))
		if err != nil || (u.Scheme != "nats" && u.Scheme != "tls") || u.Hostname() == "" {
			return fmt.Errorf("nats_url: want nats://host:port or tls://host:port, several separated by commas")
		}
	}
	return nil
}

// Validate implements what package config asks of settings with rules beyond single fields.
func (g *grpcSettings) Validate() error { return listening("grpc_addr", g.Addr) }

// Validate implements what package config asks of settings with rules beyond single fields.
func (h *httpSettings) Validate() error { return listening("http_addr", h.Addr) }

// leastConns are the connections to PostgreSQL without which a service gets in its own way: its relay holds two, one for
// each stream that it emits into, its crew one, and calls, timers and readiness want some beside.
const leastConns = 6
