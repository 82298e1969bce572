// Package link is a program's connection to the NATS servers: made so that it is never given up, with certificates that
// may be renewed while it lasts, and watched, so that a program can say at any moment, truthfully and at once, whether the
// bus is there, and if not, why and what to do.
package link

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/concord-suite/concord/platform/events/topology"
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
	// CAFile holds the authorities (PEM) that vouch for the servers; empty means those of the system.
	CAFile string
	// CertFile and KeyFile (PEM) are the certificate by which the servers know the program. With it the connection must
	// be encrypted. Optional, both or none.
	CertFile, KeyFile string
}

// writeWait bounds a write to a server that reads no more.
const writeWait = 2 * time.Second

// Connect returns a connection that is never given up: it is retried for as long as the process lives, and what is sent
// meanwhile fails at once instead of being held back. A server that is away is no error; a file that cannot be read is.
// Files are read again at each attempt. opts come last and win.
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

// tls are the options for an encrypted connection. The library calls the functions at each attempt.
func (c Config) tls() []nats.Option {
	var certificate nats.TLSCertHandler
	var authorities nats.RootCAsHandler
	var all []nats.Option
	if c.CertFile != "" {
		certificate = func() (tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
			if err != nil {
				return pair, fmt.Errorf("the certificate for the bus: %w", err)
			}
			return pair, nil
		}
		all = append(all, nats.Secure(&tls.Config{MinVersion: tls.VersionTLS13}))
	}
	if c.CAFile != "" {
		authorities = func() (*x509.CertPool, error) {
			pem, err := os.ReadFile(c.CAFile)
			if err != nil {
				return nil, fmt.Errorf("the authorities of the bus: %w", err)
			}
			pool := x509.NewCertPool()
			if !pool.AppendCertsFromPEM(pem) {
				return nil, errors.New("the authorities of the bus: no certificate in " + c.CAFile)
			}
			return pool, nil
		}
	}
	if certificate != nil || authorities != nil {
		all = append(all, nats.ClientTLSConfig(certificate, authorities))
	}
	return all
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
