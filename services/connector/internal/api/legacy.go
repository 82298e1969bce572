package api

import (
	"context"

	"github.com/concord-suite/concord/platform/idem"
	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/sqldb"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"

	"github.com/concord-suite/concord/services/connector/internal/api/reason"
	"github.com/concord-suite/concord/services/connector/internal/api/wire"
	"github.com/concord-suite/concord/services/connector/internal/connection"
)

// ImportLegacyConnection makes a connection from before OAuth 2 known.
func (s *Connections) ImportLegacyConnection(ctx context.Context, req *connectorv1.ImportLegacyConnectionRequest) (*connectorv1.ImportLegacyConnectionResponse, error) {
	firm, err := names.ParseField("parent", wire.FirmPattern, req.GetParent())
	if err != nil {
		return nil, err
	}
	var options *connection.Options
	if req.GetOptions() != nil {
		given := wire.Options(req.GetOptions())
		options = &given
	}
	resp, err := idem.Do(ctx, s.Memory, req, func(tx *sqldb.Tx) (*connectorv1.ImportLegacyConnectionResponse, error) {
		c, err := s.Flow.Import(tx, firm[0], wire.Provider(req.GetProvider()), req.GetTenantName(), options)
		if err != nil {
			return nil, err
		}
		return &connectorv1.ImportLegacyConnectionResponse{Connection: wire.ToConnection(c)}, nil
	})
	return resp, reason.Of(err)
}
