package passwords

import (
	"context"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/sqldb"
	auditeventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/audit/v1"
	optionsv1 "github.com/concord-suite/concord/proto/gen/concord/options/v1"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/api/who"
	"github.com/concord-suite/concord/services/auth/internal/session"
	"github.com/concord-suite/concord/services/auth/internal/store"
	"github.com/concord-suite/concord/services/auth/internal/store/people"
)

const (
	// batch is how many requests one pass looks into.
	batch = 20
	// pollEvery is how often to look without being woken: other replicas write too.
	pollEvery = 5 * time.Second
)

// Run looks into requests until ctx ends.
func (b *Book) Run(ctx context.Context) error {
	woken, stop := b.DB.Watch(people.ResetTopic)
	defer stop()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		more, err := b.pass(ctx)
		if err != nil && ctx.Err() == nil {
			b.Logger.WarnContext(ctx, "requests for new passwords could not be looked into", "error", err)
		}
		if more && err == nil {
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

// pass looks into some requests and tells whether there may be more.
func (b *Book) pass(ctx context.Context) (more bool, err error) {
	err = b.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		taken, err := people.TakeResetRequests(tx, batch)
		if err != nil {
			return err
		}
		more = len(taken) == batch
		for _, r := range taken {
			if err := b.look(ctx, tx, r); err != nil {
				return err
			}
		}
		return nil
	}, sqldb.ReadCommitted)
	return more, err
}

// look sends a code to each account of the address that may sign in.
func (b *Book) look(ctx context.Context, tx *sqldb.Tx, r people.ResetRequest) error {
	accounts, err := store.AccountsByEmail(tx, r.Email)
	if err != nil {
		return err
	}
	for _, a := range accounts {
		if r.Firm != "" && a.Firm != r.Firm {
			continue
		}
		n, _, err := people.Count(tx, subject("reset firm", a.Firm), window, b.Now())
		if err != nil {
			return err
		}
		if n > perFirm {
			b.Logger.WarnContext(ctx, "too many of a firm ask for new passwords; no code is sent", "firm", a.Firm)
			continue
		}
		f, err := store.FirmOf(tx, a.Firm)
		if err != nil {
			return err
		}
		code, err := b.newCode(tx, a)
		if err != nil {
			return err
		}
		if err := b.Post.PasswordReset(tx, a, f, code, Life); err != nil {
			return err
		}
		if err := recordReset(tx, a, actSent, "", b.Now()); err != nil {
			return err
		}
	}
	return nil
}

func (b *Book) newCode(tx *sqldb.Tx, a account.Account) (string, error) {
	code, hash := session.NewToken(session.ForReset)
	return code, people.InsertReset(tx, hash, people.Reset{Account: a.ID, Created: b.Now(), Expires: b.Now().Add(Life)})
}

// Void takes the password of an account away, by the word of an administrator, and sends its holder a code for a new one.
// The sessions are the caller's to end.
func (b *Book) Void(tx *sqldb.Tx, a *account.Account, f account.Firm) error {
	if err := b.set(tx, a, "", b.Now()); err != nil {
		return err
	}
	code, err := b.newCode(tx, *a)
	if err != nil {
		return err
	}
	return b.Post.StaffReset(tx, *a, f, code, Life)
}

// The acts that a reset leaves in the ledger of the firm, beside the calls, which are recorded outside every firm: nobody was
// signed in.
const (
	actSent     = "password.reset_sent"
	actFinished = "password.reset"
)

func recordReset(tx *sqldb.Tx, a account.Account, act, address string, now time.Time) error {
	_, err := events.Add(tx, events.Event{Firm: a.Firm, Message: &auditeventsv1.AuditRecorded{Entries: []*auditeventsv1.AuditEntry{{
		EntryId: uuid.Must(uuid.NewV7()).String(), Firm: a.Firm, OccurredAt: timestamppb.New(now), Service: "auth",
		Kind: optionsv1.AuditKind_AUDIT_KIND_CHANGE, ActorKind: access.Anonymous, Address: address, Action: act,
		Permission: "password.finish_reset", Resource: who.Name(a.Kind, a.Firm, a.ID), Success: true,
		UserAgent: access.AgentOf(tx.Context()),
	}}}})
	return err
}
