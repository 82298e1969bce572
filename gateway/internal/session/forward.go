package session

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/concord-suite/concord/platform/dial"
)

// Forward makes calls on conn with the token of whoever made the request: an internal token for audience, or, when
// nobody is signed in, none but the address they came from.
func Forward(conn grpc.ClientConnInterface, sessions *Cache, audience string) grpc.ClientConnInterface {
	return wrapped{conn, func(ctx context.Context) (context.Context, error) {
		token := Token(ctx)
		if token == "" {
			return dial.AsNobody(ctx, Address(ctx)), nil
		}
		internal, err := sessions.Resolve(ctx, token, audience, Address(ctx))
		if err != nil {
			return nil, err
		}
		return dial.WithToken(ctx, internal), nil
	}}
}

// AsGateway makes calls on conn as the gateway itself, whoever made the request.
func AsGateway(conn grpc.ClientConnInterface) grpc.ClientConnInterface {
	return wrapped{conn, func(ctx context.Context) (context.Context, error) { return dial.AsSelf(ctx, "gateway"), nil }}
}

// Anonymous makes calls on conn as nobody.
func Anonymous(conn grpc.ClientConnInterface) grpc.ClientConnInterface {
	return wrapped{conn, func(ctx context.Context) (context.Context, error) { return dial.AsNobody(ctx, Address(ctx)), nil }}
}

// wrapped decides for each call as whom it is made.
type wrapped struct {
	grpc.ClientConnInterface
	as func(context.Context) (context.Context, error)
}

// identify sets who makes the call. grpc-gateway puts the request's Authorization and forwarding headers into the call's
// metadata by itself; they end here, so that a session token goes no further than the gateway.
func (w wrapped) identify(ctx context.Context) (context.Context, error) {
	return w.as(metadata.NewOutgoingContext(ctx, metadata.MD{}))
}

func (w wrapped) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	ctx, err := w.identify(ctx)
	if err != nil {
		return err
	}
	return w.ClientConnInterface.Invoke(ctx, method, args, reply, opts...)
}

func (w wrapped) NewStream(
	ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption,
) (grpc.ClientStream, error) {
	ctx, err := w.identify(ctx)
	if err != nil {
		return nil, err
	}
	return w.ClientConnInterface.NewStream(ctx, desc, method, opts...)
}
