package factors

import (
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/session"
	"github.com/concord-suite/concord/services/auth/internal/store"
	"github.com/concord-suite/concord/services/auth/internal/store/factors"
)

// pass is on what an enrolment is let through.
type pass struct {
	// approval is true when it uses up the approval of somebody above, once it is finished.
	approval bool
}

// confirmed tells whether the session is strong and freshly so.
func confirmed(s session.Session, now time.Time) bool {
	return s.Strength == session.Strong && now.Before(s.StepUpUntil)
}

// gate decides whether the caller may begin to enrol a kind of factor. The verdict is why not, told after a commit: a
// wrong recovery code is counted, a right one is used up.
func (s *Server) gate(tx *sqldb.Tx, c caller, kind account.Factor, recoveryCode string) (p pass, verdict, err error) {
	now := s.Now()
	switch {
	case !c.firm.Allows(c.account, kind):
		return p, errNotAllowed, nil
	case confirmed(c.session, now), now.Before(c.session.EnrolUntil):
		return p, nil, nil
	case recoveryCode != "" && c.session.Strength >= session.Weak:
		verdict, err = s.SignIn.ShowRecovery(tx, c.account, recoveryCode, c.address)
		return p, verdict, err
	case c.session.Strength != session.Weak:
		return p, errStepUp, nil
	}
	if p.approval, err = factors.Approved(tx, c.account.ID, now); err != nil {
		return p, nil, err
	}
	if !p.approval {
		verdict = errEnrolment
	}
	return p, verdict, nil
}

// waiting returns an enrolment of the caller that can be finished, or ENROLMENT_EXPIRED. The policy is read again.
func (s *Server) waiting(tx *sqldb.Tx, c caller, id string, kind account.Factor) (factors.Enrolment, error) {
	e, err := factors.EnrolmentBy(tx, factors.EnrolmentID(session.Hash(id)))
	switch {
	case err != nil:
		return e, cmpNotFound(err, errExpired)
	case e.Account != c.account.ID || e.Session != c.session.ID || e.Kind != kind, !e.Closed.IsZero(),
		!s.Now().Before(e.Expires), session.Ahead(e.Created, s.Now()):
		return e, errExpired
	case !c.firm.Allows(c.account, kind):
		return e, errNotAllowed
	}
	return e, nil
}

// close finishes an enrolment: once, and with it an approval, whatever the enrolment rests on. Then codes may be used again,
// sessions end that may rest on what it replaced, and so does one that was good for enrolling only: its holder signs in with
// the new factor.
func (s *Server) close(tx *sqldb.Tx, c caller, e factors.Enrolment, replaced bool) error {
	now := s.Now()
	e.Closed = now
	if ok, err := factors.UpdateEnrolment(tx, e); err != nil || !ok {
		return orExpired(err)
	}
	used, err := factors.UseApproval(tx, c.account.ID, now)
	if err == nil && e.Approval && !used {
		err = errEnrolment
	}
	if err != nil {
		return err
	}
	if err := rebound(tx, c.account); err != nil {
		return err
	}
	if replaced {
		if err := s.endOthers(tx, c); err != nil {
			return err
		}
	}
	if !c.session.MustEnrol {
		return nil
	}
	_, err = store.Ended(tx, store.End{Session: c.session.ID}, now)
	return err
}

// firstCodes makes recovery codes for who enrols a strong factor and has none.
func (s *Server) firstCodes(tx *sqldb.Tx, c caller) ([]string, error) {
	left, err := s.Proofs.RecoveryLeft(tx, c.account.ID, s.Now())
	if err != nil || left.Kept > 0 {
		return nil, err
	}
	return s.Proofs.MakeRecovery(tx, c.account, s.Now())
}

func orExpired(err error) error {
	if err == nil {
		return errExpired
	}
	return err
}
