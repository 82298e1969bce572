package api

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
)

// Webhooks implements WebhookService.
type Webhooks struct {
	connectorv1.UnsafeWebhookServiceServer
}

var _ connectorv1.WebhookServiceServer = (*Webhooks)(nil)

// ReceiveWebhook is being built.
func (*Webhooks) ReceiveWebhook(context.Context, *connectorv1.ReceiveWebhookRequest) (*connectorv1.ReceiveWebhookResponse, error) {
	return nil, status.Error(codes.Unimplemented, "ReceiveWebhook is being built")
}
