package dial

import (
	"context"

	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/rpcerr"
)

type tokenKey struct{}

// token is what a call is to be made with instead of the service's own identity.
type token struct {
	ready   string // a token minted by somebody else
	nobody  bool   // as somebody not signed in
	address string // where nobody came from
}

// WithToken makes calls under the returned context with a token that was minted elsewhere for the audience. The gateway
// passes on a person's token this way.
func WithToken(ctx context.Context, ready string) context.Context {
	return context.WithValue(ctx, tokenKey{}, token{ready: ready})
}

// AsNobody makes calls under the returned context as somebody who is not signed in, from a network address that this
// service vouches for. The gateway signs people in this way, so that attempts can be counted by address.
func AsNobody(ctx context.Context, address string) context.Context {
	return context.WithValue(ctx, tokenKey{}, token{nobody: true, address: address})
}

// AsSelf makes calls under the returned context as the service itself, in no firm and for nobody, whoever the context's
// principal is, and undoes WithToken and AsNobody.
func AsSelf(ctx context.Context, service string) context.Context {
	ctx = access.With(ctx, access.ServicePrincipal(service, ""))
	return context.WithValue(ctx, tokenKey{}, token{})
}

// identity puts a token on each attempt of each call.
type identity struct {
	signer   *access.Signer
	audience string
}

// GetRequestMetadata implements credentials.PerRPCCredentials. Beside the token goes what program the person came with, for
// the record of whoever is called.
func (i identity) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	bearer, err := i.token(ctx)
	if err != nil {
		// Not the caller's fault: this service does not know who it is.
		return nil, rpcerr.Default(codes.Internal).Because(err).GRPCStatus().Err()
	}
	md := map[string]string{}
	if bearer != "" {
		md["authorization"] = "Bearer " + bearer
	}
	if agent := access.AgentOf(ctx); agent != "" {
		md[access.AgentHeader] = agent
	}
	return md, nil
}

func (i identity) token(ctx context.Context) (string, error) {
	t, _ := ctx.Value(tokenKey{}).(token)
	switch {
	case t.ready != "":
		return t.ready, nil
	case i.signer == nil:
		return "", nil
	case t.nobody:
		return i.signer.Token(access.Principal{Kind: access.Anonymous, Address: t.address}, i.audience)
	}
	return i.signer.Token(access.From(ctx).As(i.signer.Issuer()), i.audience)
}

// RequireTransportSecurity implements credentials.PerRPCCredentials. New has decided where plain text may be used: in
// memory and on loopback, where the library cannot tell that it is safe.
func (identity) RequireTransportSecurity() bool { return false }
