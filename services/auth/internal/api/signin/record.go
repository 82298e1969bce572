package signin

import (
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	auditeventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/audit/v1"
	optionsv1 "github.com/concord-suite/concord/proto/gen/concord/options/v1"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/api/who"
	"github.com/concord-suite/concord/services/auth/internal/session"
)

// The acts that a sign-in leaves in the ledger of the firm it was for. The calls themselves are recorded as well, outside
// every firm: nobody was signed in yet.
const (
	actPassword = "sign_in.password"
	actPIN      = "sign_in.pin"
	actTOTP     = "sign_in.totp"
	actPasskey  = "sign_in.passkey"
	actRecovery = "sign_in.recovery_code"
	actOpened   = "session.opened"
)

// triedBy is what a refused act tried to show, by the names of RFC 8176.
var triedBy = map[string]string{
	actPassword: session.MethodPassword, actPIN: session.MethodOTP, actTOTP: session.MethodOTP,
	actPasskey: session.MethodHardware, actRecovery: session.MethodRecovery,
}

// actsOfFactors are the acts of showing a second factor.
var actsOfFactors = map[account.Factor]string{
	account.SMSPIN: actPIN, account.EmailPIN: actPIN, account.TOTP: actTOTP, account.Passkey: actPasskey,
	account.RecoveryCode: actRecovery,
}

// recordOpened notes who signed in, from where, with what.
func recordOpened(tx *sqldb.Tx, a account.Account, s session.Session, now time.Time) error {
	return record(tx, &auditeventsv1.AuditEntry{
		Firm: a.Firm, OccurredAt: timestamppb.New(now), ActorKind: who.Kind(a.Kind, a.Role),
		Actor: who.ID(a.Kind, a.ID, a.Contact), Session: s.ID, Address: s.Address, Action: actOpened,
		Permission: "session.verify", Resource: who.Name(a.Kind, a.Firm, a.ID), Success: true,
		Methods: strings.Join(s.Methods, " "),
	})
}

// maxRecorded bounds the ledger entries of one wrong password, for an address with accounts in many firms.
const maxRecorded = 10

// recordWrongPassword notes a wrong password in the ledger of each firm it was tried at. For an address that nobody has
// it writes as much, outside every firm: the time an answer takes is no hint.
func recordWrongPassword(tx *sqldb.Tx, candidates []account.Account, address string, now time.Time) error {
	if len(candidates) == 0 {
		return recordRefused(tx, actPassword, account.Account{}, "", address, now)
	}
	for _, a := range candidates[:min(len(candidates), maxRecorded)] {
		if err := recordRefused(tx, actPassword, a, who.Name(a.Kind, a.Firm, a.ID), address, now); err != nil {
			return err
		}
	}
	return nil
}

// recordWrong notes a wrong answer to a challenge. One by a passkey that is nobody's is noted outside every firm.
func recordWrong(tx *sqldb.Tx, a account.Account, kind account.Factor, address string, now time.Time) error {
	resource := ""
	if a.ID != "" {
		resource = who.Name(a.Kind, a.Firm, a.ID)
	}
	return recordRefused(tx, actsOfFactors[kind], a, resource, address, now)
}

func recordRefused(tx *sqldb.Tx, act string, a account.Account, resource, address string, now time.Time) error {
	return record(tx, &auditeventsv1.AuditEntry{
		Firm: a.Firm, OccurredAt: timestamppb.New(now), ActorKind: access.Anonymous, Address: address, Action: act,
		Permission: "session.start", Resource: resource, Methods: triedBy[act],
		Reason: rpcerr.Normalize(authv1.ErrorReason_ERROR_REASON_SIGN_IN_REFUSED),
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
