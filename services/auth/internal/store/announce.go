package store

import (
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/sqldb"
	autheventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/auth/v1"
	"github.com/concord-suite/concord/services/auth/internal/account"
)

// The patterns of the resource names that events and answers carry.
const (
	FirmName         = "firms/{firm}"
	PolicyName       = "firms/{firm}/securityPolicy"
	StaffName        = "firms/{firm}/staff/{staff}"
	ContactLoginName = "firms/{firm}/contactLogins/{login}"
	ContactName      = "firms/{firm}/contacts/{contact}"
	ConnectionName   = "firms/{firm}/connections/{connection}"
	AgentName        = "firms/{firm}/agents/{agent}"
	OperatorName     = "operators/{operator}"
	SessionName      = "sessions/{session}"
)

func announce(tx *sqldb.Tx, firm, entity string, sequence int64, m proto.Message) error {
	_, err := events.Add(tx, events.Event{Firm: firm, Entity: entity, Sequence: sequence, Message: m})
	return err
}

// AnnounceFirm tells that a firm was made.
func AnnounceFirm(tx *sqldb.Tx, f account.Firm) error {
	name := names.Format(FirmName, f.ID)
	return announce(tx, f.ID, name, 1, &autheventsv1.FirmCreated{Firm: name, DisplayName: f.DisplayName})
}

// AnnounceStaff tells that somebody was invited.
func AnnounceStaff(tx *sqldb.Tx, a account.Account) error {
	name := names.Format(StaffName, a.Firm, a.ID)
	return announce(tx, a.Firm, name, a.Revision, &autheventsv1.StaffInvited{Staff: name})
}

// AnnounceEnforced tells that a firm's staff needs a second factor from now on. RequiredBy is a connection's resource
// name, or empty.
func AnnounceEnforced(tx *sqldb.Tx, f account.Firm, requiredBy string) error {
	name := names.Format(FirmName, f.ID)
	return announce(tx, f.ID, names.Format(PolicyName, f.ID), f.Revision, &autheventsv1.TwoFactorEnforced{
		Firm: name, RequiredBy: requiredBy, EnforceTime: timestamppb.New(f.Enforced),
	})
}

// AnnounceContactLogin tells whether the contact of an account has a login now.
func AnnounceContactLogin(tx *sqldb.Tx, a account.Account) error {
	return announce(tx, a.Firm, names.Format(ContactLoginName, a.Firm, a.ID), a.Revision, &autheventsv1.ContactLoginChanged{
		Contact: names.Format(ContactName, a.Firm, a.Contact), HasLogin: a.MayUse(),
	})
}

// Ended ends sessions and tells the suite of each one; it returns how many there were.
func Ended(tx *sqldb.Tx, e End, now time.Time) (int, error) {
	sessions, err := endSessions(tx, e, now)
	if err != nil {
		return 0, err
	}
	for _, s := range sessions {
		if err := announceEnd(tx, s.firm, s.id, now); err != nil {
			return 0, err
		}
	}
	return len(sessions), nil
}

// EndedBeyond ends all but so many of the sessions of a person, those first that were unused longest.
func EndedBeyond(tx *sqldb.Tx, account string, most int, now time.Time) error {
	ids, err := sqldb.Collect(tx, scanText, `SELECT id FROM sessions WHERE account = $1 AND kind = 'PERSON' AND ended_at = 0
		AND expires_at > $2 ORDER BY used_at DESC, created_at DESC, id DESC LIMIT 1000 OFFSET $3`, account, micros(now), most)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if _, err := Ended(tx, End{Session: id}, now); err != nil {
			return err
		}
	}
	return nil
}

// announceEnd tells that the tokens of a session are to be refused from now on.
func announceEnd(tx *sqldb.Tx, firm, session string, now time.Time) error {
	return announce(tx, firm, names.Format(SessionName, session), 1, &autheventsv1.SessionRevoked{
		Session: session, RevokeTime: timestamppb.New(now),
	})
}
