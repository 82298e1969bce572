package dial_test

import (
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"
)

// nameserver is a DNS server for one name, whatever it is: what a headless Service is to its callers.
type nameserver struct {
	conn net.PacketConn

	mu    sync.Mutex
	addrs []netip.Addr
	asked int
}

func newNameserver(t *testing.T) *nameserver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	n := &nameserver{conn: conn}
	done := make(chan struct{})
	go func() { defer close(done); n.serve() }()
	t.Cleanup(func() { conn.Close(); <-done })
	return n
}

// target is what to dial: the name at this server, with a port.
func (n *nameserver) target(port string) string {
	return "dns://" + n.conn.LocalAddr().String() + "/things.concord.test.:" + port
}

// set says where the replicas are from now on.
func (n *nameserver) set(addrs ...netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.addrs = append([]netip.Addr(nil), addrs...)
}

// lookups is how often the name was asked for.
func (n *nameserver) lookups() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked
}

func (n *nameserver) serve() {
	b := make([]byte, 1500)
	for {
		size, from, err := n.conn.ReadFrom(b)
		if err != nil {
			return // closed
		}
		var q dnsmessage.Message
		if q.Unpack(b[:size]) != nil || len(q.Questions) != 1 {
			continue
		}
		if answer, err := n.answer(q).Pack(); err == nil {
			_, _ = n.conn.WriteTo(answer, from)
		}
	}
}

func (n *nameserver) answer(q dnsmessage.Message) *dnsmessage.Message {
	n.mu.Lock()
	defer n.mu.Unlock()
	about := q.Questions[0]
	m := &dnsmessage.Message{Header: dnsmessage.Header{ID: q.ID, Response: true, Authoritative: true}, Questions: q.Questions}
	if about.Type != dnsmessage.TypeA {
		return m
	}
	n.asked++
	for _, a := range n.addrs {
		m.Answers = append(m.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: about.Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET},
			Body:   &dnsmessage.AResource{A: a.As4()},
		})
	}
	return m
}
