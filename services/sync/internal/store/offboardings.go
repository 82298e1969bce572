package store

import (
	"errors"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/offboard"
)

// TopicOffboardings is notified when there is an off-boarding to work on.
const TopicOffboardings = "sync.offboardings"

const offboardingColumns = `o.id, o.firm, o.client, o.client_name, o.state, o.step, o.origin, o.reason, o.started_by,
	o.initiator, o.override, o.plan, o.change, o.proof_at, o.blockers, o.trail_seq, o.filed_seq, o.history_document,
	o.folder, o.folder_removed, o.document_count, o.fenced, o.logins, o.contacts_removed, o.contacts_released,
	o.contacts_kept, o.missing, o.cancel_requested, o.reverse_requested, o.attempts, o.last_error, o.next_at, o.epoch, o.woken,
	o.created_at, o.archived_at, o.ended_at`

func scanOffboarding(scan func(...any) error) (o offboard.Offboarding, err error) {
	var blockers, fenced, logins, missing string
	var proof, next, created, archived, ended int64
	err = scan(&o.ID, &o.Firm, &o.Client, &o.ClientName, &o.State, &o.Step, &o.Origin, &o.Reason, &o.StartedBy, &o.Initiator,
		&o.Override, &o.Plan, &o.Change, &proof, &blockers, &o.TrailSeq, &o.FiledSeq, &o.HistoryDocument, &o.Folder,
		&o.FolderRemoved, &o.DocumentCount, &fenced, &logins, &o.ContactsRemoved, &o.ContactsReleased, &o.ContactsKept,
		&missing, &o.CancelRequested, &o.ReverseRequested, &o.Attempts, &o.LastError, &next, &o.Epoch,
		&o.Woken, &created, &archived, &ended)
	o.Blockers, o.Fenced, o.Logins, o.Missing = client.ParseBlockers(blockers), parseList(fenced), parseList(logins), parseList(missing)
	o.ProofAt, o.NextAt = fromMicros(proof), fromMicros(next)
	o.CreatedAt, o.ArchivedAt, o.EndedAt = fromMicros(created), fromMicros(archived), fromMicros(ended)
	return o, err
}

// StartOffboarding makes the saga of a client that leaves. The caller has locked the client and knows that it has none
// under way.
func StartOffboarding(tx *sqldb.Tx, o offboard.Offboarding, firstLine string, now time.Time) error {
	_, err := tx.Exec(`INSERT INTO offboardings (id, firm, client, client_name, state, step, origin, reason, started_by,
			initiator, override, plan, change, proof_at, next_at, created_at)
		VALUES ($1, $2, $3, $4, 'PREPARING', 'BEGIN', $5, $6, $7, $8, $9, $10, $11, $12, $13, $13)`,
		o.ID, o.Firm, o.Client, o.ClientName, string(o.Origin), o.Reason, o.StartedBy, o.Initiator, o.Override, o.Plan,
		o.Change, micros(o.ProofAt), micros(now))
	if err != nil {
		return err
	}
	tx.Notify(TopicOffboardings)
	return AddLine(tx, o.ID, firstLine, now)
}

// AddLine adds a line to the receipt of an off-boarding.
func AddLine(tx *sqldb.Tx, id, text string, now time.Time) error {
	_, err := tx.Exec(`INSERT INTO offboarding_steps (offboarding, seq, occurred_at, description)
		SELECT $1, coalesce(max(seq), 0) + 1, $2, $3 FROM offboarding_steps WHERE offboarding = $1`, id, micros(now), text)
	return err
}

// LastLine is when the last line of the receipt was written: since when the off-boarding stands where it is.
func LastLine(tx *sqldb.Tx, id string) (time.Time, error) {
	var at int64
	err := tx.QueryRow(`SELECT coalesce(max(occurred_at), 0) FROM offboarding_steps WHERE offboarding = $1`, id).Scan(&at)
	return fromMicros(at), err
}

// Offboarding returns an off-boarding of a firm with its receipt, or sqldb.ErrNotFound.
func Offboarding(tx *sqldb.Tx, firm, id string) (offboard.Offboarding, error) {
	o, err := scanOffboarding(tx.QueryRow(`SELECT `+offboardingColumns+` FROM offboardings o
		WHERE o.id = $1 AND o.firm = $2`, id, firm).Scan)
	if err != nil {
		return o, err
	}
	o.Steps, err = sqldb.Collect(tx, func(r *sqldb.Rows) (l offboard.Line, err error) {
		var at int64
		err = r.Scan(&at, &l.Text)
		l.At = fromMicros(at)
		return l, err
	}, `SELECT occurred_at, description FROM offboarding_steps WHERE offboarding = $1 ORDER BY seq`, id)
	return o, err
}

// LockOffboarding returns an off-boarding with its row locked until the transaction ends, or sqldb.ErrNotFound.
func LockOffboarding(tx *sqldb.Tx, firm, id string) (offboard.Offboarding, error) {
	return scanOffboarding(tx.QueryRow(`SELECT `+offboardingColumns+` FROM offboardings o
		WHERE o.id = $1 AND o.firm = $2`+tx.Dialect().ForUpdate(), id, firm).Scan)
}

// Offboardings lists up to limit off-boardings of a firm, newest first and without receipts, before a time and id; those
// in a state, when given.
func Offboardings(tx *sqldb.Tx, firm, state string, beforeAt int64, beforeID string, limit int) ([]offboard.Offboarding, error) {
	return sqldb.Collect(tx, func(r *sqldb.Rows) (offboard.Offboarding, error) { return scanOffboarding(r.Scan) },
		`SELECT `+offboardingColumns+` FROM offboardings o WHERE o.firm = $1 AND ($2 = '' OR o.state = $2)
			AND (o.created_at, o.id) < ($3, $4) ORDER BY o.created_at DESC, o.id DESC LIMIT $5`,
		firm, state, beforeAt, beforeID, limit)
}

// ClaimOffboarding takes an off-boarding that is due and nobody works on for owner, or returns sqldb.ErrNotFound.
func ClaimOffboarding(tx *sqldb.Tx, owner string, now time.Time, lease time.Duration) (offboard.Offboarding, error) {
	var id string
	err := tx.QueryRow(`SELECT id FROM offboardings WHERE state IN ('PREPARING', 'BLOCKED', 'SECURING', 'REVERSING')
			AND next_at <= $1 AND lease_until < $1 ORDER BY next_at, id LIMIT 1`+tx.Dialect().SkipLocked(), micros(now)).Scan(&id)
	if err != nil {
		return offboard.Offboarding{}, err
	}
	if _, err := tx.Exec(`UPDATE offboardings SET lease_owner = $2, lease_until = $3, epoch = epoch + 1 WHERE id = $1`,
		id, owner, micros(now.Add(lease))); err != nil {
		return offboard.Offboarding{}, err
	}
	return scanOffboarding(tx.QueryRow(`SELECT `+offboardingColumns+` FROM offboardings o WHERE o.id = $1`, id).Scan)
}

// HoldOffboarding locks an off-boarding that was claimed in an epoch, or says ErrLeaseLost.
func HoldOffboarding(tx *sqldb.Tx, id string, epoch int64) (offboard.Offboarding, error) {
	o, err := scanOffboarding(tx.QueryRow(`SELECT `+offboardingColumns+` FROM offboardings o
		WHERE o.id = $1 AND o.epoch = $2 AND o.lease_owner <> ''`+tx.Dialect().ForUpdate(), id, epoch).Scan)
	if errors.Is(err, sqldb.ErrNotFound) {
		return o, ErrLeaseLost
	}
	return o, err
}

// SaveOffboarding writes a held off-boarding back. A zero leaseUntil gives it up; it is taken up again at NextAt.
func SaveOffboarding(tx *sqldb.Tx, o *offboard.Offboarding, leaseUntil time.Time) error {
	n, err := tx.Exec(`UPDATE offboardings SET state = $3, step = $4, reason = $5, override = $6, blockers = $7, trail_seq = $8,
			filed_seq = $9, history_document = $10, folder = $11, folder_removed = $12, document_count = $13, fenced = $14,
			logins = $15, contacts_removed = $16, contacts_released = $17, contacts_kept = $18, missing = $19,
			cancel_requested = $20, reverse_requested = $21, attempts = $22, last_error = $23, next_at = $24,
			archived_at = $25, ended_at = $26, lease_until = $27, initiator = $28,
			lease_owner = CASE WHEN CAST($27 AS BIGINT) = 0 THEN '' ELSE lease_owner END
		WHERE id = $1 AND epoch = $2`,
		o.ID, o.Epoch, string(o.State), string(o.Step), o.Reason, o.Override, client.BlockersJSON(o.Blockers), o.TrailSeq,
		o.FiledSeq, o.HistoryDocument, o.Folder, o.FolderRemoved, o.DocumentCount, list(o.Fenced), list(o.Logins),
		o.ContactsRemoved, o.ContactsReleased, o.ContactsKept, list(o.Missing), o.CancelRequested, o.ReverseRequested,
		o.Attempts, o.LastError, micros(o.NextAt), micros(o.ArchivedAt), micros(o.EndedAt), micros(leaseUntil), o.Initiator)
	if err == nil && n != 1 {
		return ErrLeaseLost
	}
	if leaseUntil.IsZero() {
		tx.Notify(TopicOffboardings)
	}
	return err
}

// RenewOffboarding extends the lease of a held off-boarding, or says ErrLeaseLost.
func RenewOffboarding(tx *sqldb.Tx, id string, epoch int64, until time.Time) error {
	n, err := tx.Exec(`UPDATE offboardings SET lease_until = $3 WHERE id = $1 AND epoch = $2 AND lease_owner <> ''`,
		id, epoch, micros(until))
	if err == nil && n != 1 {
		return ErrLeaseLost
	}
	return err
}

// LockOffboardings locks off-boardings in id order and returns them by id. It comes before the locks on clients.
func LockOffboardings(tx *sqldb.Tx, firm string, offboardings []string) (map[string]offboard.Offboarding, error) {
	if len(offboardings) == 0 {
		return nil, nil
	}
	all, err := sqldb.Collect(tx, func(r *sqldb.Rows) (offboard.Offboarding, error) { return scanOffboarding(r.Scan) },
		`SELECT `+offboardingColumns+` FROM offboardings o WHERE o.firm = $1 AND `+anyOf(tx, "o.id", 2)+` ORDER BY o.id`+
			tx.Dialect().ForUpdate(), firm, ids(tx, offboardings))
	out := make(map[string]offboard.Offboarding, len(all))
	for _, o := range all {
		out[o.ID] = o
	}
	return out, err
}

// AskBack asks a locked off-boarding to turn back: one that has not passed the point of no return is cancelled, one that
// is done is inverted, one in between is inverted when it is done. It reports false when there is nothing to turn back.
func AskBack(tx *sqldb.Tx, o offboard.Offboarding, why, initiator string, now time.Time) (bool, error) {
	set, line := "", ""
	switch {
	case o.Cancellable() && !o.CancelRequested:
		set, line = `cancel_requested = TRUE`, "to be cancelled: "+why
	case o.State == offboard.Done:
		set, line = `state = 'REVERSING', step = 'REVERSE_FOLDER', ended_at = 0, attempts = 0`, "the client comes back: "+why
	case o.State == offboard.Securing && !o.ReverseRequested:
		set, line = `reverse_requested = TRUE`, "the client will come back: "+why
	default:
		return false, nil
	}
	if err := one(tx.Exec(`UPDATE offboardings SET `+set+`, next_at = $2, woken = woken + 1,
			initiator = CASE WHEN $3 <> '' THEN $3 ELSE initiator END WHERE id = $1`, o.ID, micros(now), initiator)); err != nil {
		return false, err
	}
	tx.Notify(TopicOffboardings)
	return true, AddLine(tx, o.ID, line, now)
}

// PushOffboarding has a locked off-boarding that has not passed the point of no return looked at again, now by hand: for a
// person's reason, and withdrawing what blocks it when override is set.
func PushOffboarding(
	tx *sqldb.Tx, o offboard.Offboarding, override bool, reason, by, initiator string, now time.Time,
) error {
	err := one(tx.Exec(`UPDATE offboardings SET override = (override OR $2), reason = $3, started_by = $4, initiator = $5,
			origin = 'HAND', next_at = $6, woken = woken + 1 WHERE id = $1`, o.ID, override, reason, by, initiator, micros(now)))
	if err != nil {
		return err
	}
	tx.Notify(TopicOffboardings)
	line := "pushed on by hand: " + reason
	if override {
		line = "pushed on by hand, withdrawing what blocks it: " + reason
	}
	return AddLine(tx, o.ID, line, now)
}

// WakeBlocked has the off-boarding of a client that waits looked at again, if there is one. One that is being worked on is
// looked at once more after that: what it was told may be older.
func WakeBlocked(tx *sqldb.Tx, clientID string, now time.Time) error {
	_, err := tx.Exec(`UPDATE offboardings SET woken = woken + 1, next_at = CASE WHEN next_at > $2 THEN $2 ELSE next_at END
		WHERE client = $1 AND state IN ('PREPARING', 'BLOCKED')`, clientID, micros(now))
	tx.Notify(TopicOffboardings)
	return err
}

// PutFates writes down what became of the contacts a client left behind.
func PutFates(tx *sqldb.Tx, offboarding string, fates map[string]offboard.Fate) error {
	_, err := tx.CopyIn("offboarding_contacts", []string{"offboarding", "contact", "fate"}, func(yield func([]any) bool) {
		for contact, fate := range fates {
			if !yield([]any{offboarding, contact, string(fate)}) {
				return
			}
		}
	})
	return err
}

// Fates returns what PutFates wrote.
func Fates(tx *sqldb.Tx, offboarding string) (map[string]offboard.Fate, error) {
	out := map[string]offboard.Fate{}
	return out, pairs(tx, func(contact, fate string) { out[contact] = offboard.Fate(fate) },
		`SELECT contact, fate FROM offboarding_contacts WHERE offboarding = $1`, offboarding)
}

// TopicChecks is notified when there are contacts whose logins are to be asked about.
const TopicChecks = "sync.checks"

// LoginCheck is a number of contacts that a sync left without a client: auth is to be asked which of them have a login.
type LoginCheck struct {
	// ID is also the name of the fence at auth.
	ID, Firm string
	Contacts []string
	// Settled: it is known what becomes of them; the fence is still to be lifted.
	Settled  bool
	Attempts int64
	Epoch    int64
}

// AddLoginCheck writes down that auth is to be asked about contacts.
func AddLoginCheck(tx *sqldb.Tx, firm string, contacts []string, now time.Time) error {
	if len(contacts) == 0 {
		return nil
	}
	id := NewID()
	if _, err := tx.Exec(`INSERT INTO login_checks (id, firm, next_at, created_at) VALUES ($1, $2, $3, $3)`, id, firm, micros(now)); err != nil {
		return err
	}
	tx.Notify(TopicChecks)
	_, err := tx.CopyIn("login_check_contacts", []string{"login_check", "contact"}, func(yield func([]any) bool) {
		for _, c := range contacts {
			if !yield([]any{id, c}) {
				return
			}
		}
	})
	return err
}

// ClaimLoginCheck takes a check that is due and nobody works on for owner, or returns sqldb.ErrNotFound.
func ClaimLoginCheck(tx *sqldb.Tx, owner string, now time.Time, lease time.Duration) (c LoginCheck, err error) {
	err = tx.QueryRow(`SELECT id FROM login_checks WHERE next_at <= $1 AND lease_until < $1 ORDER BY next_at, id LIMIT 1`+
		tx.Dialect().SkipLocked(), micros(now)).Scan(&c.ID)
	if err != nil {
		return c, err
	}
	err = tx.QueryRow(`UPDATE login_checks SET lease_owner = $2, lease_until = $3, epoch = epoch + 1 WHERE id = $1
		RETURNING firm, settled, attempts, epoch`, c.ID, owner, micros(now.Add(lease))).Scan(&c.Firm, &c.Settled, &c.Attempts, &c.Epoch)
	if err != nil {
		return c, err
	}
	c.Contacts, err = sqldb.Collect(tx, scanString, `SELECT contact FROM login_check_contacts WHERE login_check = $1 ORDER BY contact`, c.ID)
	return c, err
}

// HoldLoginCheck locks a check that was claimed in an epoch and extends its lease, or says ErrLeaseLost.
func HoldLoginCheck(tx *sqldb.Tx, id string, epoch int64, until time.Time) error {
	return held(tx.Exec(`UPDATE login_checks SET lease_until = $3 WHERE id = $1 AND epoch = $2 AND lease_owner <> ''`, id, epoch, micros(until)))
}

func held(n int64, err error) error {
	if err == nil && n != 1 {
		return ErrLeaseLost
	}
	return err
}

// SettleLoginCheck notes that only the fence of a check is still to be lifted.
func SettleLoginCheck(tx *sqldb.Tx, id string) error {
	return one(tx.Exec(`UPDATE login_checks SET settled = TRUE WHERE id = $1`, id))
}

// ReleaseLoginCheck gives a check back, to be taken up again at a time.
func ReleaseLoginCheck(tx *sqldb.Tx, id string, epoch int64, nextAt time.Time, attempts int64) error {
	_, err := tx.Exec(`UPDATE login_checks SET lease_owner = '', lease_until = 0, next_at = $3, attempts = $4 WHERE id = $1 AND epoch = $2`,
		id, epoch, micros(nextAt), attempts)
	if errors.Is(err, sqldb.ErrNotFound) {
		return nil
	}
	return err
}

// EndLoginCheck forgets a check whose fence was lifted, or says ErrLeaseLost.
func EndLoginCheck(tx *sqldb.Tx, id string, epoch int64) error {
	if err := HoldLoginCheck(tx, id, epoch, time.Time{}); err != nil {
		return err
	}
	if _, err := tx.Exec(`DELETE FROM login_check_contacts WHERE login_check = $1`, id); err != nil {
		return err
	}
	_, err := tx.Exec(`DELETE FROM login_checks WHERE id = $1`, id)
	return err
}
