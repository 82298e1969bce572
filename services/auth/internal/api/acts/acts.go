// Package acts writes into a firm's ledger what no call tells by itself: the calls of somebody who is not signed in yet are
// recorded outside every firm, and what follows from an event is no call.
package acts

import (
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
)

// Unlocked records that a session was unlocked, by whom and from where.
func Unlocked(tx *sqldb.Tx, a account.Account, s session.Session, address string, now time.Time) error {
	return record(tx, &auditeventsv1.AuditEntry{
		Firm: a.Firm, OccurredAt: timestamppb.New(now), ActorKind: who.Kind(a.Kind, a.Role),
		Actor: who.ID(a.Kind, a.ID, a.Contact), Session: s.ID, Address: address, Action: "session.unlocked",
		Permission: "session.unlock", Resource: who.Name(a.Kind, a.Firm, a.ID), Success: true,
		Methods: session.MethodPassword,
	})
}

// Repaired records that a connection's event changed the firm's policy, since the call that should have was lost.
func Repaired(tx *sqldb.Tx, firm, connection string, now time.Time) error {
	return record(tx, &auditeventsv1.AuditEntry{
		Firm: firm, OccurredAt: timestamppb.New(now), ActorKind: access.Service, Actor: "connector", Action: "policy.repaired",
		Permission: "policy.require_two_factor", Resource: connection, Success: true,
	})
}

// OperatorRecovered records that whoever runs the machine made a recovery code for an operator there.
func OperatorRecovered(tx *sqldb.Tx, a account.Account, now time.Time) error {
	return record(tx, &auditeventsv1.AuditEntry{
		OccurredAt: timestamppb.New(now), ActorKind: access.Service, Actor: "console", Action: "operator.recovery_issued",
		Permission: "operator.recover", Resource: who.Name(a.Kind, a.Firm, a.ID), Success: true,
	})
}

func record(tx *sqldb.Tx, e *auditeventsv1.AuditEntry) error {
	e.UserAgent = access.AgentOf(tx.Context())
	e.EntryId, e.Service, e.Kind = uuid.Must(uuid.NewV7()).String(), "auth", optionsv1.AuditKind_AUDIT_KIND_CHANGE
	_, err := events.Add(tx, events.Event{
		Firm: e.GetFirm(), Message: &auditeventsv1.AuditRecorded{Entries: []*auditeventsv1.AuditEntry{e}},
	})
	return err
}
