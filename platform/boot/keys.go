package boot

import (
	"context"
	"fmt"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/dial"
)

// trustFile is a Fetcher of the keys in a file, which is read again when an unknown key turns up.
type trustFile string

// Keys implements access.Fetcher.
func (path trustFile) Keys(context.Context) (*access.Trust, error) {
	data, err := os.ReadFile(string(path))
	if err != nil {
		return nil, fmt.Errorf("trust_file: %w", err)
	}
	trust, err := access.ParseTrust(data)
	if err != nil {
		return nil, fmt.Errorf("trust_file %s: %w", path, err)
	}
	return trust, nil
}

// authKeys is a Fetcher of the keys with which auth vouches for people.
type authKeys struct {
	conn    grpc.ClientConnInterface
	service string // who asks
}

// getKeys is called without the code generated for auth, which platform does not know. Its request has no fields, its
// answer one, number 1, of bytes; the breaking-change check of the contract keeps it that way.
const getKeys = "/concord.auth.v1.KeyService/GetKeys"

// Keys implements access.Fetcher.
func (a authKeys) Keys(ctx context.Context) (*access.Trust, error) {
	var answer wrapperspb.BytesValue
	if err := a.conn.Invoke(dial.AsSelf(ctx, a.service), getKeys, &emptypb.Empty{}, &answer); err != nil {
		return nil, fmt.Errorf("boot: keys of auth: %w", err)
	}
	return access.ParseJWKS(access.AuthIssuer, answer.GetValue())
}
