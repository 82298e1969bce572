package api

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
)

type legacy struct {
	syncv1.UnsafeLegacyServiceServer
	Deps
}

var _ syncv1.LegacyServiceServer = (*legacy)(nil)

// ImportLegacyLinks is being built.
func (*legacy) ImportLegacyLinks(context.Context, *syncv1.ImportLegacyLinksRequest) (*syncv1.ImportLegacyLinksResponse, error) {
	return nil, status.Error(codes.Unimplemented, "ImportLegacyLinks is being built")
}

// ListLegacyLinks is being built.
func (*legacy) ListLegacyLinks(context.Context, *syncv1.ListLegacyLinksRequest) (*syncv1.ListLegacyLinksResponse, error) {
	return nil, status.Error(codes.Unimplemented, "ListLegacyLinks is being built")
}

// DecideLegacyLink is being built.
func (*legacy) DecideLegacyLink(context.Context, *syncv1.DecideLegacyLinkRequest) (*syncv1.DecideLegacyLinkResponse, error) {
	return nil, status.Error(codes.Unimplemented, "DecideLegacyLink is being built")
}
