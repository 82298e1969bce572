package dial_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/dial"
	"github.com/concord-suite/concord/platform/serve"
)

// leaving is a listener whose first connection meets a replica that is about to stop: it reads one request whole, says that
// it has begun none (GOAWAY with the last stream 0), and waits until the client lets go. The others go to the server.
type leaving struct {
	net.Listener
	met  atomic.Int32
	told chan error
}

func (l *leaving) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil || l.met.Add(1) > 1 {
			return conn, err
		}
		go func() { l.told <- leave(conn) }()
	}
}

func leave(conn net.Conn) error {
	defer conn.Close()
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(conn, preface); err != nil {
		return err
	}
	f := http2.NewFramer(conn, conn)
	const room = 1 << 20
	if err := errors.Join(f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: room}), f.WriteWindowUpdate(0, room)); err != nil {
		return err
	}
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return err
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				err = f.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !frame.IsAck() {
				err = f.WritePing(true, frame.Data)
			}
		case *http2.DataFrame:
			if frame.StreamEnded() {
				err = f.WriteGoAway(0, http2.ErrCodeNo, nil)
				_, _ = io.Copy(io.Discard, conn)
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}

// TestACallThatTheServerDidNotBeginIsMadeAgain: a call that must not be made twice meets a replica that stops. The library
// makes it again by itself, since the server said that it has not begun it; this is not the trying again that is switched off,
// and it holds for requests of any size.
func TestACallThatTheServerDidNotBeginIsMadeAgain(t *testing.T) {
	for name, size := range map[string]int{"small": 10, "large": 600 << 10} {
		t.Run(name, func(t *testing.T) {
			lis, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			l := &leaving{Listener: lis, told: make(chan error, 1)}
			p := start(t, serve.Config{Listener: l, Insecure: true, Grace: time.Second})
			conn := connect(t, lis.Addr().String(), dial.Options{Insecure: true})
			ctx := dial.WithToken(t.Context(), p.mint.Token(access.Principal{Kind: access.Operator, ID: "operator-1"}, "things"))
			_, err = p.Call(ctx, conn, "CreateFirm", map[string]string{"name": strings.Repeat("x", size)})
			require.NoError(t, err)
			require.NoError(t, <-l.told)
			require.Equal(t, int32(1), p.runs.Load())
		})
	}
}
