// Package link is a program's connection to the NATS servers: made so that it is never given up, with certificates that
// may be renewed while it lasts, and watched, so that a program can say at any moment, truthfully and at once, whether the
// bus is there, and if not, why and what to do.
package link

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/concord-suite/concord/platform/events/topology"
	"github.com/concord-suite/concord/platform/mtls"
)

// Config says where the servers are and who connects.
type Config struct {
	// URL has the servers, nats://host:port or tls://host:port, separated by commas.
	URL string
	// Name appears in the servers' list of connections. Part is the part of the suite, under whose private prefix answers
	// come; empty means the common prefix of NATS.
	Name, Part string
	// CredentialsFile holds a JWT and its key, for servers with an operator. Optional.
	CredentialsFile string
	// Own is the certificate by which the servers know the program. With it the connection must be encrypted. Optional.
	Own *mtls.Source
	// Authorities vouch for the servers; nil means those that Own believes, or without it those of the system.
	Authorities *mtls.Authorities
}

// writeWait bounds a write to a server that reads no more.
const writeWait = 2 * time.Second

// Connect returns a connection that is never given up: it is retried for as long as the process lives, and what is sent
// meanwhile fails at once instead of being held back. A server that is away is no error; a file of credentials that cannot
// be read is. Files are read again at each attempt, and certificates are what their files hold then. opts come last and win.
func Connect(cfg Config, opts ...nats.Option) (*nats.Conn, error) {
	all := []nats.Option{
		nats.Name(cfg.Name),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(), // credentials may be in the middle of a rotation
		nats.ReconnectWait(100 * time.Millisecond),
		nats.ReconnectJitter(200*time.Millisecond, time.Second),
		nats.ReconnectBufSize(-1), // the outbox is the buffer
		nats.FlusherTimeout(writeWait),
		// A frozen server is noticed in 20 seconds; a Monitor notices sooner.
		nats.PingInterval(10 * time.Second), nats.MaxPingsOutstanding(1),
	}
	if cfg.Part != "" {
		all = append(all, nats.CustomInboxPrefix(topology.Inbox(cfg.Part)))
	}
	if cfg.CredentialsFile != "" {
		all = append(all, nats.UserCredentials(cfg.CredentialsFile))
	}
	all = append(all, cfg.tls()...)
	nc, err := nats.Connect(cfg.URL, append(all, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("events: connect to the bus: %w", err)
	}
	return nc, nil
}

// tls are the options for an encrypted connection. The library calls the functions at each attempt, and looks for the
// server's name as clients of any server do: servers of a platform know nothing of our identities.
func (c Config) tls() []nats.Option {
	if c.Own == nil {
		if c.Authorities == nil {
			return nil
		}
		return []nats.Option{nats.ClientTLSConfig(nil, c.Authorities.Pool)}
	}
	authorities := c.Own.Authorities
	if c.Authorities != nil {
		authorities = c.Authorities.Pool
	}
	return []nats.Option{nats.Secure(&tls.Config{MinVersion: tls.VersionTLS13}), nats.ClientTLSConfig(c.Own.Certificate, authorities)}
}

// standsAlone is how a server that is in no cluster refuses more than one replica. Waiting changes nothing about it; a
// cluster of which some servers are still starting refuses otherwise.
const standsAlone = jetstream.ErrorCode(10074)

// prepareWait is how long migrate waits for the bus; whoever runs it runs it again.
const prepareWait = 30 * time.Second

// Prepare makes the streams of a part over a connection that has the options of a Monitor, and returns a line about each.
// It waits for a bus that is away, for half a minute; the error then says why it is.
func (m *Monitor) Prepare(ctx context.Context, nc *nats.Conn, part string, replicas int) ([]string, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, prepareWait)
	defer cancel()
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		lines, err := topology.Prepare(ctx, js, part, replicas)
		refused := (*jetstream.APIError)(nil)
		if errors.As(err, &refused); err == nil || refused != nil && refused.ErrorCode == standsAlone {
			return lines, err
		}
		if last := nc.LastError(); last != nil {
			m.failed(last)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if refused != nil {
				return lines, err
			}
			m.mu.Lock()
			defer m.mu.Unlock()
			if m.fault != nil {
				err = m.fault
			}
			return lines, errors.New("the bus: " + m.explain(err))
		}
	}
}
