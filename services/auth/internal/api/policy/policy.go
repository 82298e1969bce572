// Package policy changes what a firm asks of those who sign in, and makes it so: in one transaction with the change it ends
// the sessions that have shown less, tells the suite, tells the staff, and writes down who did it.
//
// Whether a session is enough is decided by what opened it, not by how strong that was: a firm that forbids a kind of
// factor keeps no session that it alone opened. Sessions that are opened at the same time read the policy in their own
// transaction; the database lets one of the two go first.
package policy

import (
	"errors"
	"reflect"
	"time"

	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/api/acts"
	"github.com/concord-suite/concord/services/auth/internal/api/outbound"
	"github.com/concord-suite/concord/services/auth/internal/store"
)

// ErrChanged: somebody else has changed the policy since it was read.
var ErrChanged = errors.New("policy: changed since it was read")

// Keeper changes policies. Its fields are set once, before use.
type Keeper struct {
	// Post tells the staff. It may be nil: then nobody is told.
	Post *outbound.Post
	Now  func() time.Time
}

// Change writes the policy that wanted has, in place of the one before, and ends the sessions that it asks more of. What
// changes nothing is not written. It returns how many sessions ended.
func (k *Keeper) Change(tx *sqldb.Tx, before, wanted account.Firm, by store.PolicyChange) (ended int, err error) {
	if reflect.DeepEqual(before, wanted) {
		return 0, nil
	}
	return k.write(tx, before, wanted, by)
}

// write puts a state of the policy in place of the one before, be it the same: then something beside it has changed that
// the history tells of.
func (k *Keeper) write(tx *sqldb.Tx, before, after account.Firm, by store.PolicyChange) (ended int, err error) {
	after.Revision = before.Revision + 1
	ok, err := store.UpdatePolicy(tx, after, before.Revision, by)
	if err == nil && !ok {
		err = ErrChanged
	}
	if err != nil {
		return 0, err
	}
	if before.Enforced.IsZero() && !after.Enforced.IsZero() {
		if err := k.tell(tx, after, by); err != nil {
			return 0, err
		}
	}
	return k.endInsufficient(tx, after)
}

// tell says to the suite and to the staff that a second factor is asked for from now on.
func (k *Keeper) tell(tx *sqldb.Tx, f account.Firm, by store.PolicyChange) error {
	connection := ""
	if by.Connection != "" {
		connection = names.Format(store.ConnectionName, f.ID, by.Connection)
	}
	if err := store.AnnounceEnforced(tx, f, connection); err != nil || k.Post == nil {
		return err
	}
	const batch = 200 // accounts read at a time; a firm has dozens
	var after store.NameCursor
	for {
		staff, err := store.ListStaff(tx, f.ID, after, batch)
		if err != nil {
			return err
		}
		for _, a := range staff {
			after = store.NameCursor{Name: a.DisplayName, ID: a.ID}
			if a.State != account.Active {
				continue // who has not come yet learns it at the first sign-in
			}
			if err := k.Post.Enforced(tx, a, f); err != nil {
				return err
			}
		}
		if len(staff) < batch {
			return nil
		}
	}
}

// endInsufficient ends the sessions of the firm's people, Add-Ins' included, that were opened by less than its policy asks
// for, locked ones as well.
func (k *Keeper) endInsufficient(tx *sqldb.Tx, f account.Firm) (ended int, err error) {
	now := k.Now()
	sessions, err := store.FirmSessions(tx, f.ID, now)
	if err != nil {
		return 0, err
	}
	for _, s := range sessions {
		if s.Allowed(f, account.Account{Kind: s.HolderKind}) {
			continue
		}
		n, err := store.Ended(tx, store.End{Session: s.ID}, now)
		if err != nil {
			return 0, err
		}
		ended += n // those that hung on it included; they are found ended in their turn
	}
	return ended, nil
}

// Outcome is what requiring a second factor did.
type Outcome struct {
	// SwitchedOn is true when enforcement was off before.
	SwitchedOn bool
	// Ended is how many sessions ended.
	Ended int
}

// Require notes that a connection requires a second factor of the firm's people as of by.At, and switches it on. Repeating it changes
// nothing. The error is sqldb.ErrNotFound when there is no such firm.
func (k *Keeper) Require(tx *sqldb.Tx, firm string, by store.PolicyChange) (Outcome, error) {
	before, err := store.Firm(tx, firm)
	if err != nil {
		return Outcome{}, err
	}
	added, err := store.AddRequirement(tx, firm, by.Connection, by.At)
	out := Outcome{SwitchedOn: before.Enforced.IsZero()}
	if err != nil || (!added && !out.SwitchedOn) {
		return out, err
	}
	by.At = k.Now()
	after := before
	if out.SwitchedOn {
		after.Enforced = by.At
	}
	out.Ended, err = k.write(tx, before, after, by)
	return out, err
}

// Release notes that a connection does not require it any more as of by.At; enforcement stays on. The error is sqldb.ErrNotFound when
// there is no such firm.
func (k *Keeper) Release(tx *sqldb.Tx, firm string, by store.PolicyChange) error {
	f, err := store.Firm(tx, firm)
	if err != nil {
		return err
	}
	dropped, err := store.DropRequirement(tx, firm, by.Connection, by.At)
	if err != nil || !dropped {
		return err
	}
	by.At = k.Now()
	_, err = k.write(tx, f, f, by)
	return err
}

// Repair makes true what a call of the connector should have: at that time a connection was there, or was not any more. It
// does nothing when somebody has said otherwise since, and answers whether it did something.
func (k *Keeper) Repair(tx *sqldb.Tx, firm, connection string, there bool, at time.Time) (bool, error) {
	required, released, err := store.RequirementTimes(tx, firm, connection)
	if err != nil {
		return false, err
	}
	by := store.PolicyChange{At: at, ActorKind: "SERVICE", Actor: "connector", Connection: connection}
	requires := !required.IsZero() && released.IsZero()
	switch {
	case there && !requires && !released.After(at):
		by.Cause = store.PolicyRequired
		if _, err = k.Require(tx, firm, by); err != nil {
			return false, err
		}
	case !there && requires && !required.After(at):
		by.Cause = store.PolicyReleased
		if err = k.Release(tx, firm, by); err != nil {
			return false, err
		}
	case !there && !requires && !released.After(at):
		// Noted although it changes nothing: the word that the connection was there may still come, and is late then.
		return false, k.Release(tx, firm, by)
	default:
		return false, nil
	}
	return true, acts.Repaired(tx, firm, names.Format(store.ConnectionName, firm, connection), k.Now())
}
