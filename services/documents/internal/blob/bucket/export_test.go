package bucket

import (
	"context"
	"net"
)

// SetSizes makes parts and copies smaller, so that tests need not move gigabytes.
func (s *Store) SetSizes(part, copyPart int64) { s.part, s.copyPart = part, copyPart }

// SetDial makes connections another way.
func (o *Options) SetDial(dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	o.dial = dial
}

// Room is how much of the spool is taken.
func (s *Store) Room() bool {
	if !s.spool.room.TryAcquire(s.spool.size) {
		return false
	}
	s.spool.room.Release(s.spool.size)
	return true
}
