package store

import (
	"errors"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/sync/internal/run"
)

const (
	// TopicRuns is notified when there is a run to work on.
	TopicRuns = "sync.runs"
	// TopicRun, followed by a run's id, is notified when that run moved.
	TopicRun = "sync.run/"
)

const runColumns = `r.id, r.firm, r.connection, r.kind, r.state, r.step, r.tenant, r.selection, r.is_first, r.page_token,
	r.since, r.server_start, r.step_cursor, r.done, r.total, r.step_at, r.listing_page, r.listing_messages, r.pages, r.calls,
	r.clients_created, r.clients_updated, r.clients_unchanged, r.clients_restored, r.contacts_created,
	r.contacts_updated, r.contacts_left, r.suggestions, r.out_of_scope, r.plan, r.has_plan, r.proven, r.unproven_reason,
	r.withheld_reason, r.message, r.attempts, r.garbled, r.restarts, r.wait_until, r.cancel_requested, r.started_by, r.initiator,
	r.epoch, r.version, r.created_at, r.started_at, r.first_visible_at, r.ended_at, r.legacy_mapped, r.legacy_suggested,
	r.legacy_unmapped, r.listed_clients, r.listed_contacts`

func scanRun(scan func(...any) error) (r run.Run, err error) {
	var since, start, stepAt, wait, created, started, visible, ended int64
	err = scan(&r.ID, &r.Firm, &r.Connection, &r.Kind, &r.State, &r.Step, &r.Tenant, &r.Selection, &r.First, &r.PageToken,
		&since, &start, &r.Cursor, &r.Done, &r.Total, &stepAt, &r.ListingPage, &r.ListingMessages, &r.Pages, &r.Calls,
		&r.Counts.ClientsCreated, &r.Counts.ClientsUpdated, &r.Counts.ClientsUnchanged, &r.Counts.ClientsRestored,
		&r.Counts.ContactsCreated, &r.Counts.ContactsUpdated, &r.ContactsLeft, &r.Counts.Suggestions,
		&r.Counts.OutOfScope, &r.Plan, &r.HasPlan, &r.Proven, &r.UnprovenReason, &r.WithheldReason, &r.Message,
		&r.Attempts, &r.Garbled, &r.Restarts, &wait, &r.CancelRequested, &r.StartedBy, &r.Initiator, &r.Epoch, &r.Version,
		&created, &started, &visible, &ended, &r.Counts.LegacyMapped, &r.Counts.LegacySuggested, &r.Counts.LegacyUnmapped,
		&r.ListedClients, &r.ListedContacts)
	r.Since, r.ServerStart, r.StepAt, r.WaitUntil = fromMicros(since), fromMicros(start), fromMicros(stepAt), fromMicros(wait)
	r.CreatedAt, r.StartedAt = fromMicros(created), fromMicros(started)
	r.FirstVisibleAt, r.EndedAt = fromMicros(visible), fromMicros(ended)
	return r, err
}

func scanRunRow(r *sqldb.Rows) (run.Run, error) { return scanRun(r.Scan) }

// sinceOverlap is how far before the last run's start a listing of changes begins: records changed in the second in
// which the last listing began, and clocks of a provider's several servers, fall into it. What comes twice changes nothing.
const sinceOverlap = 5 * time.Minute

// StartRun makes a run of a connection, or returns the id of the one under way and false.
func StartRun(tx *sqldb.Tx, c run.Connection, kind run.Kind, startedBy, initiator string, now time.Time) (id string, made bool, err error) {
	id = NewID()
	since, first, err := before(tx, c)
	if err != nil {
		return "", false, err
	}
	n, err := tx.Exec(`INSERT INTO runs (id, firm, connection, kind, state, step, tenant, selection, is_first, since, plan,
			started_by, initiator, created_at)
		VALUES ($1, $2, $3, $4, 'QUEUED', $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING`,
		id, c.Firm, c.ID, string(kind), string(run.FirstStep(kind, since)), c.Tenant, c.Selection, first, micros(since),
		NewID(), startedBy, initiator, micros(now))
	if err != nil {
		return "", false, err
	}
	if n == 0 {
		err = tx.QueryRow(`SELECT id FROM runs WHERE connection = $1 AND state IN ('QUEUED', 'RUNNING', 'PARKED')`, c.ID).Scan(&id)
		return id, false, err
	}
	if kind != run.Upgrade {
		// What a run reads that begins now answers those who wanted one before.
		if _, err := tx.Exec(`UPDATE connections SET manual_wanted = FALSE, full_wanted = full_wanted AND $2
			WHERE id = $1 AND (manual_wanted OR full_wanted AND NOT $2)`, c.ID, kind != run.Full); err != nil {
			return "", false, err
		}
	}
	tx.Notify(TopicRuns)
	return id, true, nil
}

// before returns from when on a manual run of the connection reads, and whether a full run would be its first: none
// before it has proven what the tenant holds.
func before(tx *sqldb.Tx, c run.Connection) (since time.Time, first bool, err error) {
	var start, fulls int64
	err = tx.QueryRow(`SELECT coalesce(max(server_start), 0), coalesce(sum(CASE WHEN kind = 'FULL' AND proven THEN 1 ELSE 0 END), 0)
		FROM runs WHERE connection = $1 AND tenant = $2 AND kind <> 'UPGRADE' AND state IN ('SUCCEEDED', 'REMOVALS_WITHHELD')`, c.ID, c.Tenant).
		Scan(&start, &fulls)
	if since = fromMicros(start); !since.IsZero() {
		since = since.Add(-sinceOverlap)
	}
	return since, fulls == 0, err
}

// FormerSelection returns what was chosen when a full run of a tenant was proven complete for the last time before a run:
// one of the same connection, or else of a removed one whose links it took over. known is false when there was none. A run
// that proved nothing, or that did not end well, says nothing of what its selection leaves out.
func FormerSelection(tx *sqldb.Tx, r *run.Run) (selection string, known bool, err error) {
	err = tx.QueryRow(`SELECT f.selection FROM runs f JOIN connections c ON c.id = f.connection
		WHERE f.kind = 'FULL' AND f.proven AND f.state IN ('SUCCEEDED', 'REMOVALS_WITHHELD') AND f.id <> $3 AND f.tenant = $2
			AND (f.connection = $1 OR c.state = 'DISCONNECTED' AND c.firm = $4
				AND c.provider = (SELECT k.provider FROM connections k WHERE k.id = $1))
		ORDER BY CASE WHEN f.connection = $1 THEN 0 ELSE 1 END, f.created_at DESC, f.id DESC LIMIT 1`,
		r.Connection, r.Tenant, r.ID, r.Firm).Scan(&selection)
	if errors.Is(err, sqldb.ErrNotFound) {
		return "", false, nil
	}
	return selection, err == nil, err
}

// Run returns a run of a firm, or sqldb.ErrNotFound. Its counts of removals are those of its plan by now.
func Run(tx *sqldb.Tx, firm, id string) (run.Run, error) {
	r, err := scanRun(tx.QueryRow(`SELECT `+runColumns+` FROM runs r WHERE r.id = $1 AND r.firm = $2`, id, firm).Scan)
	if err != nil {
		return r, err
	}
	all := []run.Run{r}
	err = countRemovals(tx, all)
	return all[0], err
}

// Runs lists up to limit runs of a firm, newest first, before a time and id; those of one connection, when given.
func Runs(tx *sqldb.Tx, firm, connection string, beforeAt int64, beforeID string, limit int) ([]run.Run, error) {
	all, err := sqldb.Collect(tx, scanRunRow, `SELECT `+runColumns+` FROM runs r
		WHERE r.firm = $1 AND ($2 = '' OR r.connection = $2) AND (r.created_at, r.id) < ($3, $4)
		ORDER BY r.created_at DESC, r.id DESC LIMIT $5`, firm, connection, beforeAt, beforeID, limit)
	if err != nil {
		return nil, err
	}
	return all, countRemovals(tx, all)
}

// countRemovals fills in what became of the removals of the runs' plans. It is counted and not kept, since it goes on
// after the run: people decide, and off-boardings are blocked and unblocked.
func countRemovals(tx *sqldb.Tx, runs []run.Run) error {
	at := make(map[string]*run.Counts, len(runs))
	var plans []string
	for i := range runs {
		if runs[i].HasPlan {
			at[runs[i].Plan] = &runs[i].Counts
			plans = append(plans, runs[i].Plan)
		}
	}
	if len(plans) == 0 {
		return nil
	}
	rows, err := tx.Query(`SELECT plan, count(*), sum(CASE WHEN confirmed THEN 1 ELSE 0 END),
			sum(CASE WHEN offboarding <> '' THEN 1 ELSE 0 END), sum(CASE WHEN state = 'REFUTED' THEN 1 ELSE 0 END),
			sum(CASE WHEN state = 'BLOCKED' THEN 1 ELSE 0 END)
		FROM changes WHERE kind = 'ARCHIVE' AND `+anyOf(tx, "plan", 1)+` GROUP BY plan`, ids(tx, plans))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		var c run.Counts
		if err := rows.Scan(&id, &c.Candidates, &c.Confirmed, &c.Started, &c.Refuted, &c.Blocked); err != nil {
			return err
		}
		t := at[id]
		t.Candidates, t.Confirmed, t.Started, t.Refuted, t.Blocked = c.Candidates, c.Confirmed, c.Started, c.Refuted, c.Blocked
	}
	return rows.Err()
}

// ClaimRun takes the oldest run that nobody works on for owner, or returns sqldb.ErrNotFound.
func ClaimRun(tx *sqldb.Tx, owner string, now time.Time, lease time.Duration) (run.Run, error) {
	at := micros(now)
	var id string
	err := tx.QueryRow(`SELECT id FROM runs WHERE state IN ('QUEUED', 'RUNNING', 'PARKED')
			AND (state = 'QUEUED' OR (state = 'RUNNING' AND lease_until < $1) OR (state = 'PARKED' AND wait_until <= $1))
		ORDER BY created_at, id LIMIT 1`+tx.Dialect().SkipLocked(), at).Scan(&id)
	if err != nil {
		return run.Run{}, err
	}
	if _, err = tx.Exec(`UPDATE runs SET state = 'RUNNING', lease_owner = $2, lease_until = $3, epoch = epoch + 1,
			version = version + 1, wait_until = 0, started_at = CASE WHEN started_at = 0 THEN $4 ELSE started_at END,
			step_at = CASE WHEN step_at = 0 THEN $4 ELSE step_at END
		WHERE id = $1`, id, owner, micros(now.Add(lease)), at); err != nil {
		return run.Run{}, err
	}
	tx.Notify(TopicRun + id)
	return scanRun(tx.QueryRow(`SELECT `+runColumns+` FROM runs r WHERE r.id = $1`, id).Scan)
}

// LockRun locks a run that was claimed in an epoch, or says ErrLeaseLost.
func LockRun(tx *sqldb.Tx, id string, epoch int64) (run.Run, error) {
	r, err := scanRun(tx.QueryRow(`SELECT `+runColumns+` FROM runs r WHERE r.id = $1 AND r.epoch = $2 AND r.state = 'RUNNING'`+
		tx.Dialect().ForUpdate(), id, epoch).Scan)
	if errors.Is(err, sqldb.ErrNotFound) {
		return r, ErrLeaseLost
	}
	return r, err
}

// SaveRun writes a locked run back. A run that no longer runs gives up its lease.
func SaveRun(tx *sqldb.Tx, r *run.Run, leaseUntil time.Time) error {
	if r.State != run.Running {
		leaseUntil = time.Time{}
	}
	c := r.Counts
	n, err := tx.Exec(`UPDATE runs SET state = $3, step = $4, page_token = $5, server_start = $6, step_cursor = $7, done = $8,
			total = $9, step_at = $10, listing_page = $11, pages = $12, calls = $13, clients_created = $14,
			clients_updated = $15, clients_unchanged = $16, clients_restored = $17, contacts_created = $18,
			contacts_updated = $19, contacts_left = $20, suggestions = $21, out_of_scope = $22, has_plan = $23, proven = $24,
			unproven_reason = $25, withheld_reason = $26, message = $27, attempts = $28, restarts = $29, wait_until = $30,
			cancel_requested = $31, lease_until = $32, first_visible_at = $33, ended_at = $34, listing_messages = $35, garbled = $36,
			legacy_mapped = $37, legacy_suggested = $38, legacy_unmapped = $39, listed_clients = $40, listed_contacts = $41,
			version = version + 1
		WHERE id = $1 AND epoch = $2`,
		r.ID, r.Epoch, string(r.State), string(r.Step), r.PageToken, micros(r.ServerStart), r.Cursor, r.Done,
		r.Total, micros(r.StepAt), r.ListingPage, r.Pages, r.Calls, c.ClientsCreated,
		c.ClientsUpdated, c.ClientsUnchanged, c.ClientsRestored, c.ContactsCreated,
		c.ContactsUpdated, r.ContactsLeft, c.Suggestions, c.OutOfScope, r.HasPlan, r.Proven,
		r.UnprovenReason, r.WithheldReason, r.Message, r.Attempts, r.Restarts, micros(r.WaitUntil),
		r.CancelRequested, micros(leaseUntil), micros(r.FirstVisibleAt), micros(r.EndedAt), r.ListingMessages, r.Garbled,
		c.LegacyMapped, c.LegacySuggested, c.LegacyUnmapped, r.ListedClients, r.ListedContacts)
	if err == nil && n != 1 {
		err = ErrLeaseLost
	}
	r.Version++
	tx.Notify(TopicRun + r.ID)
	return err
}

// AddCalls adds calls that were spent for a run after it ended, on removals that a person approved.
func AddCalls(tx *sqldb.Tx, id string, calls int64) error {
	if calls == 0 {
		return nil
	}
	_, err := tx.Exec(`UPDATE runs SET calls = calls + $2, version = version + 1 WHERE id = $1`, id, calls)
	return err
}

// RenewRun extends the lease of a run that was claimed in an epoch, or says ErrLeaseLost.
func RenewRun(tx *sqldb.Tx, id string, epoch int64, until time.Time) error {
	n, err := tx.Exec(`UPDATE runs SET lease_until = $3 WHERE id = $1 AND epoch = $2 AND state = 'RUNNING'`, id, epoch, micros(until))
	if err == nil && n != 1 {
		return ErrLeaseLost
	}
	return err
}

// CancelRun asks a run to end, or ends it when nobody works on it. It reports false when it had ended before.
func CancelRun(tx *sqldb.Tx, firm, id string, by string, now time.Time) (bool, error) {
	r, err := scanRun(tx.QueryRow(`SELECT `+runColumns+` FROM runs r WHERE r.id = $1 AND r.firm = $2`+
		tx.Dialect().ForUpdate(), id, firm).Scan)
	if err != nil || r.State.Ended() {
		return false, err
	}
	if r.State == run.Running {
		_, err := tx.Exec(`UPDATE runs SET cancel_requested = TRUE, message = $2, version = version + 1 WHERE id = $1`,
			id, "cancelled by "+by+"; ends after the present step")
		tx.Notify(TopicRun + id)
		return true, err
	}
	r.State, r.Message, r.EndedAt = run.Cancelled, "cancelled by "+by, now
	return true, EndRun(tx, &r)
}

// EndRun writes an ended run back, throws away what was kept for it, and tells about it.
func EndRun(tx *sqldb.Tx, r *run.Run) error {
	for _, table := range []string{"run_pages", "staged_contacts"} {
		if _, err := tx.Exec(`DELETE FROM `+table+` WHERE run = $1`, r.ID); err != nil {
			return err
		}
	}
	if err := endUpgrade(tx, r); err != nil {
		return err
	}
	switch {
	case r.State == run.Failed || r.State == run.Cancelled:
		if err := dropRemovals(tx, r); err != nil {
			return err
		}
	case r.Kind == run.Full && r.Proven:
		if err := Supersede(tx, r.Connection, r.Plan); err != nil {
			return err
		}
	}
	if err := SaveRun(tx, r, time.Time{}); err != nil {
		return err
	}
	if c := r.Counts; c.ClientsCreated+c.ClientsUpdated+c.ClientsRestored > 0 {
		if err := ReadDetails(tx, r.Connection); err != nil {
			return err
		}
	}
	tx.Notify(TopicRuns) // a full run may have waited for this one
	return EmitFinished(tx, r)
}

// endUpgrade keeps the listing of an UPGRADE run for those who decide from it, in the place of earlier ones. One that was not
// read to its end, or is of no use, goes at once, and all go when nothing is left to decide.
func endUpgrade(tx *sqldb.Tx, r *run.Run) error {
	if r.Kind != run.Upgrade {
		return nil
	}
	which := `run <> $2`
	if r.Step == run.Legacy || r.State == run.Failed {
		which = `run = $2`
	}
	if _, err := tx.Exec(`DELETE FROM legacy_records WHERE connection = $1 AND `+which, r.Connection, r.ID); err != nil {
		return err
	}
	return DropDecided(tx, r.Connection)
}

// DropDecided throws the listings of UPGRADE runs of a connection away when nothing is left to decide from them.
func DropDecided(tx *sqldb.Tx, connection string) error {
	_, err := tx.Exec(`DELETE FROM legacy_records WHERE connection = $1 AND NOT EXISTS (SELECT 1 FROM legacy_links g
		WHERE g.connection = $1 AND g.state IN ('PENDING', 'SUGGESTED', 'UNMAPPED'))`, connection)
	return err
}

// TopicDetails is notified when there may be details to read.
const TopicDetails = "sync.details"

// ReadDetails has the details of a connection's clients looked at again, if its listings leave some out.
func ReadDetails(tx *sqldb.Tx, connection string) error {
	n, err := tx.Exec(`UPDATE detail_work SET pending = TRUE, step_cursor = '', asked = asked + 1 WHERE connection = $1`, connection)
	if n > 0 {
		tx.Notify(TopicDetails)
	}
	return err
}
