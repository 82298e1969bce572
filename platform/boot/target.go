package boot

import (
	"context"
	"fmt"
	"net"
	"net/url"
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
