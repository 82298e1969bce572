package session

import (
	"cmp"
	"context"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/concord-suite/concord/platform/dial"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	optionsv1 "github.com/concord-suite/concord/proto/gen/concord/options/v1"
)

// Forward makes calls on conn with the token of whoever made the request: an internal token for audience, or, when
// nobody is signed in, none but the address they came from.
func Forward(conn grpc.ClientConnInterface, sessions *Cache, audience string) grpc.ClientConnInterface {
	return unlocking{wrapped{conn, func(ctx context.Context, method string) (context.Context, time.Time, error) {
		token := Token(ctx)
		// Whoever signs in is nobody yet, whatever session the browser still holds: it may have ended, or be another
		// person's.
		nobody, others := admits(method)
		if token == "" || (nobody && !others) {
			return dial.AsNobody(ctx, Address(ctx)), time.Time{}, nil
		}
		known, err := sessions.resolve(ctx, token, audience, Address(ctx))
		// What everybody may ask is not refused for a session that is over, or locked.
		if nobody && status.Code(err) == codes.Unauthenticated {
			return dial.AsNobody(ctx, Address(ctx)), time.Time{}, nil
		}
		if err != nil {
			return nil, time.Time{}, err
		}
		return dial.WithToken(ctx, known.internal), known.locks, nil
	}}}
}

// unlocking gives UnlockSession and DiscardSession the token of the request's session where the body has none: a page can't
// read the cookie that holds it.
type unlocking struct{ wrapped }

func (u unlocking) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	switch m := args.(type) {
	case *authv1.UnlockSessionRequest:
		m.SessionToken = cmp.Or(m.GetSessionToken(), Token(ctx))
	case *authv1.DiscardSessionRequest:
		m.SessionToken = cmp.Or(m.GetSessionToken(), Token(ctx))
	}
	return u.wrapped.Invoke(ctx, method, args, reply, opts...)
}

// AsGateway makes calls on conn as the gateway itself, whoever made the request.
func AsGateway(conn grpc.ClientConnInterface) grpc.ClientConnInterface {
	return wrapped{conn, func(ctx context.Context, _ string) (context.Context, time.Time, error) {
		return dial.AsSelf(ctx, "gateway"), time.Time{}, nil
	}}
}

// Anonymous makes calls on conn as nobody.
func Anonymous(conn grpc.ClientConnInterface) grpc.ClientConnInterface {
	return wrapped{conn, func(ctx context.Context, _ string) (context.Context, time.Time, error) {
		return dial.AsNobody(ctx, Address(ctx)), time.Time{}, nil
	}}
}

// wrapped decides for each call as whom it is made, and until when a stream may last; zero for as long as it takes.
type wrapped struct {
	grpc.ClientConnInterface
	as func(ctx context.Context, method string) (context.Context, time.Time, error)
}

// identify sets who makes the call. grpc-gateway puts the request's Authorization and forwarding headers into the call's
// metadata by itself; they end here, so that a session token goes no further than the gateway.
func (w wrapped) identify(ctx context.Context, method string) (context.Context, time.Time, error) {
	return w.as(metadata.NewOutgoingContext(ctx, metadata.MD{}), method)
}

func (w wrapped) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	ctx, _, err := w.identify(ctx, method)
	if err != nil {
		return err
	}
	return w.ClientConnInterface.Invoke(ctx, method, args, reply, opts...)
}

// NewStream implements grpc.ClientConnInterface. A stream is checked when it begins, and a session that nobody uses is
// locked later: it ends then at the latest, and whoever is there asks again.
func (w wrapped) NewStream(
	ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption,
) (grpc.ClientStream, error) {
	ctx, until, err := w.identify(ctx, method)
	if err != nil {
		return nil, err
	}
	if !until.IsZero() {
		bounded, cancel := context.WithDeadline(ctx, until)
		context.AfterFunc(ctx, cancel) // the request's end, if that comes first
		ctx = bounded
	}
	return w.ClientConnInterface.NewStream(ctx, desc, method, opts...)
}

// admits says whether the contract admits those who are not signed in to a method, and whether it admits any others.
func admits(method string) (nobody, others bool) {
	name := protoreflect.FullName(strings.ReplaceAll(strings.TrimPrefix(method, "/"), "/", "."))
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
	if err != nil {
		return false, true
	}
	rule, _ := proto.GetExtension(d.Options(), optionsv1.E_Rule).(*optionsv1.Rule)
	for _, kind := range rule.GetAllow() {
		if kind == optionsv1.PrincipalKind_PRINCIPAL_KIND_ANONYMOUS {
			nobody = true
		} else {
			others = true
		}
	}
	return nobody, others
}
