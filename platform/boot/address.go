package boot

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// connectTime bounds one connection to a service's internal HTTP. Addresses that a name no longer has share it, so that one
// pod that is gone does not use it up.
const connectTime = 5 * time.Second

// httpTarget reads where a service's internal HTTP is, written as gRPC's targets are: host:port, dns:///host:port, or
// dns://server:port/host:port, which asks that server for the name in place of the machine's.
func httpTarget(target string) (host string, dialer *net.Dialer, err error) {
	dialer = &net.Dialer{Timeout: connectTime}
	if !strings.Contains(target, "://") {
		return target, dialer, nil
	}
	parsed, err := url.Parse(target)
	if err != nil || parsed.Scheme != "dns" {
		return "", nil, fmt.Errorf("peers: want host:port or dns:///host:port, not %q", target)
	}
	host = strings.TrimPrefix(parsed.Path, "/")
	if _, _, err := net.SplitHostPort(host); err != nil {
		return "", nil, fmt.Errorf("peers: want dns:///host:port, not %q", target)
	}
	if server := parsed.Host; server != "" {
		dialer.Resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, server)
		}}
	}
	return host, dialer, nil
}

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
