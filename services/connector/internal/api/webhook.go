package api

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"

	"github.com/concord-suite/concord/services/connector/internal/api/reason"
	"github.com/concord-suite/concord/services/connector/internal/api/wire"
	"github.com/concord-suite/concord/services/connector/internal/connection"
	"github.com/concord-suite/concord/services/connector/internal/store"
	"github.com/concord-suite/concord/services/connector/internal/webhook"
)

// Webhooks implements WebhookService.
type Webhooks struct {
	connectorv1.UnsafeWebhookServiceServer

	DB *sqldb.DB
	// Keys are what providers sign with, for those that tell by themselves.
	Keys   map[connection.Provider]string
	Now    func() time.Time
	Logger *slog.Logger
}

var _ connectorv1.WebhookServiceServer = (*Webhooks)(nil)

// keepWait bounds putting a notice into the inbox. The provider waits five seconds, and tells again what was not taken.
const keepWait = 3 * time.Second

// ReceiveWebhook puts what a notice tells into the inbox; who wants to know is told afterwards. A signed body that is no
// notice is taken too: the provider would send the same again for a day, and then no more at all.
func (s *Webhooks) ReceiveWebhook(ctx context.Context, req *connectorv1.ReceiveWebhookRequest) (*connectorv1.ReceiveWebhookResponse, error) {
	p := wire.Provider(req.GetProvider())
	key := s.Keys[p]
	switch {
	case key == "":
		return nil, reason.NotConfigured.Messagef("webhooks of this provider are not taken: there is no key to check them with")
	case !webhook.Signed(req.GetBody(), req.GetSignature(), key):
		return nil, reason.SignatureInvalid
	}
	all, others, err := webhook.Parse(req.GetBody())
	if err != nil || others > 0 {
		s.Logger.WarnContext(ctx, "a signed notice told what nobody here understands", "provider", p, "events", others, "error", err)
	}
	if len(all) == 0 {
		return &connectorv1.ReceiveWebhookResponse{}, nil
	}
	bounded, cancel := context.WithTimeout(ctx, keepWait)
	defer cancel()
	err = s.DB.Tx(bounded, func(tx *sqldb.Tx) error {
		_, err := store.KeepEvents(tx, p, all, s.Now())
		return err
	})
	if errors.Is(bounded.Err(), context.DeadlineExceeded) {
		return nil, rpcerr.Default(codes.Unavailable).Messagef("the notice can't be kept now; send it again").Because(err)
	}
	if err != nil {
		return nil, err
	}
	return &connectorv1.ReceiveWebhookResponse{}, nil
}
