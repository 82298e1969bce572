package dial

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	"github.com/concord-suite/concord/platform/rpcerr"
)

// deadline gives unary calls without a deadline one: a peer that hangs must not hang its callers.
func deadline(d time.Duration) grpc.UnaryClientInterceptor {
	return func(
		ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption,
	) error {
		if _, ok := ctx.Deadline(); !ok {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, d)
			defer cancel()
		}
		return invoke(ctx, method, req, reply, cc, opts...)
	}
}

// resendable lets the library keep a whole request until its answer begins. A call that meets a server that stops is made
// again when the server has not begun it, whatever it does, and by itself the library keeps no more than 256 KiB for that.
func resendable(message int) grpc.UnaryClientInterceptor {
	whole := grpc.MaxRetryRPCBufferSize(message + message/8) // the message as it goes out, and a little
	return func(
		ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption,
	) error {
		return invoke(ctx, method, req, reply, cc, append([]grpc.CallOption{whole}, opts...)...)
	}
}

func errorsUnary(
	ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption,
) error {
	if err := invoke(ctx, method, req, reply, cc, opts...); err != nil {
		return rpcerr.From(err)
	}
	return nil
}

func errorsStream(
	ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption,
) (grpc.ClientStream, error) {
	s, err := open(ctx, desc, cc, method, opts...)
	if err != nil {
		return nil, rpcerr.From(err)
	}
	return clientStream{s}, nil
}

// clientStream gives errors of a stream the shape that errors of calls have. io.EOF stays what it is.
type clientStream struct{ grpc.ClientStream }

func (s clientStream) RecvMsg(m any) error { return decoded(s.ClientStream.RecvMsg(m)) }

func (s clientStream) SendMsg(m any) error { return decoded(s.ClientStream.SendMsg(m)) }

func decoded(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	return rpcerr.From(err)
}

// Listener is an in-memory listener. A server and its clients in one process use it in place of a port, through the same
// chain of interceptors and with the same tokens.
type Listener struct{ *bufconn.Listener }

// listenBuffer is the size of one direction of one in-memory connection.
const listenBuffer = 1 << 20

// Listen makes an in-memory listener.
func Listen() *Listener { return &Listener{bufconn.Listen(listenBuffer)} }

func (l *Listener) dial(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }
