package api

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
)

// DiagnoseConnection is being built.
func (*Connections) DiagnoseConnection(context.Context, *connectorv1.DiagnoseConnectionRequest) (*connectorv1.DiagnoseConnectionResponse, error) {
	return nil, status.Error(codes.Unimplemented, "DiagnoseConnection is being built")
}
