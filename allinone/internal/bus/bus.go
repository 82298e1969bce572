// Package bus embeds the event broker: the same NATS server that a cluster runs, in this process, reached without a
// socket.
package bus

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// startWait bounds the start: recovering a store of a year's events takes a second or two.
const startWait = 30 * time.Second

// Bus is a running broker.
type Bus struct{ server *server.Server }

// Start runs a broker that keeps its streams in dir.
func Start(dir string) (*Bus, error) {
	ns, err := server.NewServer(&server.Options{
		ServerName: "concord", DontListen: true, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true,
		// Acknowledged means on disk. Without this an acknowledged event can be lost for two minutes; the outbox would
		// publish it again, later.
		SyncAlways: true,
		// Document bytes never travel here: events are small.
		MaxPayload: 1 << 20,
	})
	if err != nil {
		return nil, fmt.Errorf("event bus: %w", err)
	}
	ns.Start()
	if !ns.ReadyForConnections(startWait) {
		ns.Shutdown()
		return nil, errors.New("event bus: the broker did not start in " + startWait.String())
	}
	if !ns.JetStreamEnabled() {
		ns.Shutdown()
		return nil, fmt.Errorf("event bus: the store in %s can't be used", dir)
	}
	return &Bus{server: ns}, nil
}

// Connect opens a connection as one service.
func (b *Bus) Connect(name string, options ...nats.Option) (*nats.Conn, error) {
	own := []nats.Option{nats.InProcessServer(b.server), nats.Name(name), nats.MaxReconnects(-1)}
	conn, err := nats.Connect("", append(own, options...)...)
	if err != nil {
		return nil, fmt.Errorf("event bus: %w", err)
	}
	return conn, nil
}

// Stop ends the broker after what it holds is on disk.
func (b *Bus) Stop() {
	b.server.Shutdown()
	b.server.WaitForShutdown()
}
