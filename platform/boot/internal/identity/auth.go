package identity

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/dial"
)

// Auth is a Fetcher of the keys with which auth vouches for people.
type Auth struct {
	Conn grpc.ClientConnInterface
	// Service is who asks.
	Service string
}

// getKeys is called without the code generated for auth, which platform does not know. Its request has no fields, its
// answer one, number 1, of bytes; the breaking-change check of the contract keeps it that way.
const getKeys = "/concord.auth.v1.KeyService/GetKeys"

// Keys implements access.Fetcher.
func (a Auth) Keys(ctx context.Context) (*access.Trust, error) {
	var answer wrapperspb.BytesValue
	if err := a.Conn.Invoke(dial.AsSelf(ctx, a.Service), getKeys, &emptypb.Empty{}, &answer); err != nil {
		return nil, fmt.Errorf("boot: keys of auth: %w", err)
	}
	return access.ParseJWKS(access.AuthIssuer, answer.GetValue())
}
