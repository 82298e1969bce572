// Package outbound sends the e-mails that may wait: invitations.
//
// They stand in the database from the transaction that caused them, sealed, until a server took them. A replica claims
// some for a while, sends them and marks them; when it dies in between, another one sends them again. So an e-mail may
// come twice, which does no harm, and is lost only when its server refuses it for good or for two days.
package outbound

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/vault"
	"github.com/concord-suite/concord/services/auth/internal/api/messages"
	"github.com/concord-suite/concord/services/auth/internal/delivery"
	"github.com/concord-suite/concord/services/auth/internal/store"
)

const (
	// batch is how many e-mails one pass claims; they are sent one after the other.
	batch = 10
	// claimFor is how long a claim lasts. Ten e-mails at ten seconds each fit.
	claimFor = 3 * time.Minute
	// pollEvery is how often to look without being woken: other replicas write too, and waits run out.
	pollEvery = 5 * time.Second
	// firstRetry doubles with every attempt up to maxRetry.
	firstRetry = 15 * time.Second
	maxRetry   = time.Hour
	// giveUpAfter ends the trying: the code in the e-mail is long dead by then.
	giveUpAfter = 48 * time.Hour
)

// Message is an e-mail that may wait.
type Message struct {
	Firm, Recipient, Subject, Text string
}

// Queue puts a message on its way, in the transaction that caused it.
func Queue(tx *sqldb.Tx, v *vault.Vault, m Message, now time.Time) error {
	d := store.Delivery{
		ID: uuid.Must(uuid.NewV7()).String(), Firm: m.Firm, Recipient: m.Recipient, Subject: m.Subject, Created: now, Due: now,
	}
	sealed, key, err := v.Seal([]byte(m.Text), row(d))
	if err != nil {
		return err
	}
	d.Sealed, d.VaultKey = sealed, string(key)
	return store.InsertDelivery(tx, d)
}

func row(d store.Delivery) vault.Row {
	return vault.Row{Firm: d.Firm, Table: "deliveries", ID: d.ID, Column: "sealed"}
}

// Sender works the queue of one database.
type Sender struct {
	DB     *sqldb.DB
	Vault  *vault.Vault
	Mail   *delivery.Mail
	Now    func() time.Time
	Logger *slog.Logger
	// Depth is told how many e-mails wait, after every pass; nil for nobody.
	Depth metric.Int64Gauge
}

// NewDepth makes the measure of the queue.
func NewDepth(m metric.Meter) metric.Int64Gauge {
	g, err := m.Int64Gauge("concord.auth.mails_waiting", metric.WithDescription("E-mails that no server has taken yet."))
	if err != nil {
		return noop.Int64Gauge{}
	}
	return g
}

// Run sends what is due until ctx ends.
func (s *Sender) Run(ctx context.Context) error {
	woken, stop := s.DB.Watch(store.DeliveryTopic)
	defer stop()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		more, err := s.Pass(ctx)
		if err != nil && ctx.Err() == nil {
			s.Logger.WarnContext(ctx, "e-mails could not be looked for", "error", err)
		}
		if more {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-woken:
		case <-tick.C:
		}
	}
}

// Pass sends one batch and tells whether there may be more.
func (s *Sender) Pass(ctx context.Context) (more bool, err error) {
	var claimed []store.Delivery
	now := s.Now()
	err = s.DB.Tx(ctx, func(tx *sqldb.Tx) (err error) {
		claimed, err = store.ClaimDeliveries(tx, now, now.Add(claimFor), batch)
		return err
	}, sqldb.ReadCommitted)
	if err != nil {
		return false, err
	}
	for _, d := range claimed {
		if ctx.Err() != nil {
			return false, nil
		}
		if err := s.send(ctx, d); err != nil {
			return false, err
		}
	}
	return len(claimed) == batch, s.measure(ctx)
}

func (s *Sender) measure(ctx context.Context) error {
	if s.Depth == nil {
		return nil
	}
	return s.DB.Read(ctx, func(tx *sqldb.Tx) error {
		waiting, err := store.DeliveriesWaiting(tx)
		if err == nil {
			s.Depth.Record(ctx, int64(waiting))
		}
		return err
	})
}

func (s *Sender) send(ctx context.Context, d store.Delivery) error {
	text, err := s.Vault.Open(d.Sealed, row(d))
	failure, final := "", true
	switch {
	case err != nil:
		failure = "unreadable" // sealed under a key that is gone; trying again does not bring it back
	default:
		letter := delivery.Letter{To: d.Recipient, Subject: d.Subject, Text: string(text)}
		if err := s.DB.Read(ctx, func(tx *sqldb.Tx) error { return messages.Dress(tx, d.Firm, &letter) }); err != nil {
			return err
		}
		if err := s.Mail.Send(ctx, letter); err != nil {
			failure = delivery.Code(err)
			final = !delivery.Temporary(err) || s.Now().Sub(d.Created) > giveUpAfter
		}
	}
	if failure != "" {
		s.Logger.WarnContext(ctx, "an e-mail was not taken", "delivery", d.ID, "code", failure, "attempts", d.Attempts, "given_up", final)
	}
	// What the server did with the e-mail is written down also when the process is about to stop.
	ctx = context.WithoutCancel(ctx)
	return s.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		if final {
			return store.FinishDelivery(tx, d.ID, failure, s.Now())
		}
		return store.RetryDelivery(tx, d.ID, failure, s.Now().Add(retryAfter(d.Attempts)))
	}, sqldb.ReadCommitted)
}

// retryAfter is the wait after so many attempts: 15 s, 30 s, 1 min ... 1 h.
func retryAfter(attempts int) time.Duration {
	return min(firstRetry<<min(max(attempts-1, 0), 10), maxRetry)
}
