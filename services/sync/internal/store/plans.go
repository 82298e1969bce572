package store

import (
	"errors"
	"strings"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/plan"
	"github.com/concord-suite/concord/services/sync/internal/run"
)

// TopicPlans is notified when removals were approved.
const TopicPlans = "sync.plans"

const planColumns = `p.id, p.firm, p.run, p.connection, p.tenant, p.state, p.withheld_reason, p.linked, p.wait_until,
	p.message, p.attempts, p.epoch, p.version, p.created_at,
	(SELECT count(*) FROM changes w WHERE w.plan = p.id AND w.kind = 'ARCHIVE' AND w.state = 'WAITING')`

func scanPlan(scan func(...any) error) (p plan.Plan, err error) {
	var wait, created int64
	err = scan(&p.ID, &p.Firm, &p.Run, &p.Connection, &p.Tenant, &p.State, &p.WithheldReason, &p.Linked, &wait, &p.Message, &p.Attempts,
		&p.Epoch, &p.Version, &created, &p.Waiting)
	p.WaitUntil, p.CreatedAt = fromMicros(wait), fromMicros(created)
	return p, err
}

// NeedPlan makes the plan of a run unless it is there: a run that finds nothing to do has none.
func NeedPlan(tx *sqldb.Tx, r *run.Run, now time.Time) error {
	if r.HasPlan {
		return nil
	}
	r.HasPlan = true
	_, err := tx.Exec(`INSERT INTO plans (id, firm, run, connection, tenant, state, created_at)
		VALUES ($1, $2, $3, $4, $5, 'SETTLED', $6) ON CONFLICT DO NOTHING`, r.Plan, r.Firm, r.ID, r.Connection, r.Tenant, micros(now))
	return err
}

// Plan returns a plan of a firm, or sqldb.ErrNotFound.
func Plan(tx *sqldb.Tx, firm, id string) (plan.Plan, error) {
	return scanPlan(tx.QueryRow(`SELECT `+planColumns+` FROM plans p WHERE p.id = $1 AND p.firm = $2`, id, firm).Scan)
}

// LockPlan is Plan with the row locked until the transaction ends.
func LockPlan(tx *sqldb.Tx, firm, id string) (plan.Plan, error) {
	return scanPlan(tx.QueryRow(`SELECT `+planColumns+` FROM plans p WHERE p.id = $1 AND p.firm = $2`+
		tx.Dialect().ForUpdate(), id, firm).Scan)
}

// Plans lists up to limit plans of a firm, newest first, before a time and id; those in a state, when given.
func Plans(tx *sqldb.Tx, firm, state string, beforeAt int64, beforeID string, limit int) ([]plan.Plan, error) {
	return sqldb.Collect(tx, func(r *sqldb.Rows) (plan.Plan, error) { return scanPlan(r.Scan) },
		`SELECT `+planColumns+` FROM plans p WHERE p.firm = $1 AND ($2 = '' OR p.state = $2)
			AND (p.created_at, p.id) < ($3, $4) ORDER BY p.created_at DESC, p.id DESC LIMIT $5`,
		firm, state, beforeAt, beforeID, limit)
}

// SetPlan writes the state of a plan, with a new etag.
func SetPlan(tx *sqldb.Tx, id string, state plan.State, withheld string, linked int64) error {
	return one(tx.Exec(`UPDATE plans SET state = $2, withheld_reason = $3, linked = $4, version = version + 1 WHERE id = $1`,
		id, string(state), withheld, linked))
}

// Withhold lets a plan wait for an administrator, for a reason, when removals in it wait.
func Withhold(tx *sqldb.Tx, id, reason string) error {
	_, err := tx.Exec(`UPDATE plans SET state = 'WAITING', withheld_reason = $2, version = version + 1
		WHERE id = $1 AND state <> 'SUPERSEDED' AND EXISTS (
			SELECT 1 FROM changes w WHERE w.plan = plans.id AND w.kind = 'ARCHIVE' AND w.state = 'WAITING')`, id, reason)
	return err
}

// HoldBack lets approved removals of a locked plan wait for a person after all, for a reason: those the policy approved,
// and those a person approved up to a time. Where a newer plan waits, which has them too, they are stale.
func HoldBack(tx *sqldb.Tx, p plan.Plan, until time.Time, reason string) error {
	var newer int64
	if err := tx.QueryRow(`SELECT count(*) FROM plans WHERE connection = $1 AND state = 'WAITING' AND created_at > $2`,
		p.Connection, micros(p.CreatedAt)).Scan(&newer); err != nil {
		return err
	}
	state := plan.ChangeWaiting
	if newer > 0 || p.State == plan.Superseded {
		state = plan.ChangeStale
	}
	if _, err := tx.Exec(`UPDATE changes SET state = $3, decided_by = '', decided_at = 0 WHERE plan = $1 AND kind = 'ARCHIVE'
		AND state = 'APPROVED' AND (decided_by = $4 OR decided_at <= $2)`, p.ID, micros(until), string(state), plan.Policy); err != nil {
		return err
	}
	if state == plan.ChangeWaiting {
		if err := Supersede(tx, p.Connection, p.ID); err != nil {
			return err
		}
	}
	return Withhold(tx, p.ID, reason)
}

// CountRemovals counts the removals of a plan, whatever became of them.
func CountRemovals(tx *sqldb.Tx, planID string) (n int64, err error) {
	return n, tx.QueryRow(`SELECT count(*) FROM changes WHERE plan = $1 AND kind = 'ARCHIVE'`, planID).Scan(&n)
}

// SettlePlan closes a waiting plan of which nothing waits any more, and gives it a new etag in any case.
func SettlePlan(tx *sqldb.Tx, id string) error {
	_, err := tx.Exec(`UPDATE plans SET version = version + 1, state = CASE WHEN state = 'WAITING' AND NOT EXISTS (SELECT 1
			FROM changes w WHERE w.plan = plans.id AND w.kind = 'ARCHIVE' AND w.state = 'WAITING') THEN 'SETTLED' ELSE state END
		WHERE id = $1`, id)
	return err
}

// Supersede puts a plan in the place of the connection's waiting ones. What waited there is stale.
func Supersede(tx *sqldb.Tx, connection, planID string) error {
	older, err := sqldb.Collect(tx, scanString, `SELECT id FROM plans WHERE connection = $1 AND state = 'WAITING' AND id <> $2
		ORDER BY id`+tx.Dialect().ForUpdate(), connection, planID)
	if err != nil || len(older) == 0 {
		return err
	}
	if _, err := tx.Exec(`UPDATE changes SET state = 'STALE' WHERE kind = 'ARCHIVE' AND state = 'WAITING' AND `+
		anyOf(tx, "plan", 1), ids(tx, older)); err != nil {
		return err
	}
	_, err = tx.Exec(`UPDATE plans SET state = 'SUPERSEDED', version = version + 1 WHERE `+anyOf(tx, "id", 1), ids(tx, older))
	return err
}

const changeColumns = `h.id, h.plan, h.firm, h.connection, h.tenant, h.kind, h.state, h.client, h.display_name, h.record_id,
	h.record, h.hash, h.record_at, h.evidence, h.blockers, h.link_version, h.client_version, h.confirmed, h.decided_by,
	h.decided_at, h.offboarding`

func scanChange(scan func(...any) error) (c plan.Change, err error) {
	var evidence, blockers string
	var recordAt, decidedAt int64
	err = scan(&c.ID, &c.Plan, &c.Firm, &c.Connection, &c.Tenant, &c.Kind, &c.State, &c.Client, &c.DisplayName, &c.RecordID,
		&c.Record, &c.Hash, &recordAt, &evidence, &blockers, &c.LinkVersion, &c.ClientVersion, &c.Confirmed, &c.DecidedBy,
		&decidedAt, &c.Offboarding)
	c.Evidence, c.Blockers = parseList(evidence), client.ParseBlockers(blockers)
	c.RecordAt, c.DecidedAt = fromMicros(recordAt), fromMicros(decidedAt)
	return c, err
}

func scanChangeRow(r *sqldb.Rows) (plan.Change, error) { return scanChange(r.Scan) }

// AddChanges writes changes into a plan.
func AddChanges(tx *sqldb.Tx, changes []plan.Change) error {
	if len(changes) == 0 {
		return nil
	}
	_, err := tx.CopyIn("changes", []string{
		"id", "plan", "firm", "connection", "tenant", "kind", "state", "client", "display_name", "record_id", "record", "hash",
		"record_at", "evidence", "link_version", "client_version", "decided_by", "decided_at", "offboarding",
	}, func(yield func([]any) bool) {
		for _, c := range changes {
			if !yield([]any{
				c.ID, c.Plan, c.Firm, c.Connection, c.Tenant, string(c.Kind), string(c.State), c.Client, c.DisplayName,
				c.RecordID, c.Record, c.Hash, micros(c.RecordAt), list(c.Evidence), c.LinkVersion, c.ClientVersion,
				c.DecidedBy, micros(c.DecidedAt), c.Offboarding,
			}) {
				return
			}
		}
	})
	return err
}

// Change returns a change of a firm's plan, or sqldb.ErrNotFound.
func Change(tx *sqldb.Tx, firm, planID, id string) (plan.Change, error) {
	return scanChange(tx.QueryRow(`SELECT `+changeColumns+` FROM changes h
		WHERE h.id = $1 AND h.plan = $2 AND h.firm = $3`, id, planID, firm).Scan)
}

// LockChange is Change with the row locked until the transaction ends.
func LockChange(tx *sqldb.Tx, firm, planID, id string) (plan.Change, error) {
	return scanChange(tx.QueryRow(`SELECT `+changeColumns+` FROM changes h
		WHERE h.id = $1 AND h.plan = $2 AND h.firm = $3`+tx.Dialect().ForUpdate(), id, planID, firm).Scan)
}

// Changes lists up to limit changes of a plan in their order, after one; of a kind and in a state, when given.
func Changes(tx *sqldb.Tx, planID, kind, state, after string, limit int) ([]plan.Change, error) {
	return sqldb.Collect(tx, scanChangeRow, `SELECT `+changeColumns+` FROM changes h
		WHERE h.plan = $1 AND ($2 = '' OR h.kind = $2) AND ($3 = '' OR h.state = $3) AND h.id > $4
		ORDER BY h.id LIMIT $5`, planID, kind, state, after, limit)
}

// Undecided returns the changes that wait for a decision on records, by record id.
func Undecided(tx *sqldb.Tx, connection, tenant string, records []string) (map[string]plan.Change, error) {
	all, err := sqldb.Collect(tx, scanChangeRow, `SELECT `+changeColumns+` FROM `+lookup(tx, 3, "changes", "h",
		strings.ReplaceAll(changeColumns, "h.", ""),
		"h.connection = $1 AND h.tenant = $2 AND h.state = 'WAITING' AND h.kind IN ('LINK', 'NEW') AND h.record_id = q.value"),
		connection, tenant, ids(tx, records))
	out := make(map[string]plan.Change, len(all))
	for _, c := range all {
		out[c.RecordID] = c
	}
	return out, err
}

// SetChange writes what may move of a change.
func SetChange(tx *sqldb.Tx, c plan.Change) error {
	return one(tx.Exec(`UPDATE changes SET kind = $2, state = $3, client = $4, display_name = $5, record = $6, hash = $7,
			record_at = $8, evidence = $9, blockers = $10, confirmed = $11, decided_by = $12, decided_at = $13, offboarding = $14
		WHERE id = $1`, c.ID, string(c.Kind), string(c.State), c.Client, c.DisplayName, c.Record, c.Hash, micros(c.RecordAt),
		list(c.Evidence), client.BlockersJSON(c.Blockers), c.Confirmed, c.DecidedBy, micros(c.DecidedAt), c.Offboarding))
}

// SetChangeState moves a change that waits, or is blocked, as its off-boarding moves.
func SetChangeState(tx *sqldb.Tx, id string, state plan.ChangeState, blockers []client.Blocker) error {
	_, err := tx.Exec(`UPDATE changes SET state = $2, blockers = $3 WHERE id = $1`, id, string(state), client.BlockersJSON(blockers))
	return err
}

// SetChangeBlockers notes what would block removals, by change id.
func SetChangeBlockers(tx *sqldb.Tx, blockers map[string][]client.Blocker) error {
	for id, b := range blockers { // only those that something blocks: few
		if _, err := tx.Exec(`UPDATE changes SET blockers = $2 WHERE id = $1`, id, client.BlockersJSON(b)); err != nil {
			return err
		}
	}
	return nil
}

// SeenAgain makes removals of records stale that wait in other plans than the run's: the records were just seen.
func SeenAgain(tx *sqldb.Tx, r *run.Run, records []string) error {
	_, err := tx.Exec(`UPDATE changes SET state = 'STALE' WHERE connection = $1 AND tenant = $2 AND kind = 'ARCHIVE'
		AND state IN ('WAITING', 'APPROVED') AND plan <> $3 AND `+anyOf(tx, "record_id", 4),
		r.Connection, r.Tenant, r.Plan, ids(tx, records))
	return err
}

// DropAbsent makes suggestions stale whose records a complete listing no longer holds.
func DropAbsent(tx *sqldb.Tx, r *run.Run) error {
	_, err := tx.Exec(`UPDATE changes SET state = 'STALE', record = '' WHERE connection = $1 AND tenant = $2
		AND state = 'WAITING' AND kind IN ('LINK', 'NEW') AND NOT `+listed(tx, "seen", "changes.record_id", run.Clients),
		r.Connection, r.Tenant, r.ID)
	return err
}

// DropSuggestions makes suggestions stale whose records found their client, or are not to be synced any more.
func DropSuggestions(tx *sqldb.Tx, connection, tenant string, records []string) error {
	if len(records) == 0 {
		return nil
	}
	_, err := tx.Exec(`UPDATE changes SET state = 'STALE', record = '' WHERE connection = $1 AND tenant = $2 AND state = 'WAITING'
		AND kind IN ('LINK', 'NEW') AND `+anyOf(tx, "record_id", 3), connection, tenant, ids(tx, records))
	return err
}

// dropRemovals makes the removals of a run stale that did not end well. It removes nothing more by itself. What waits for a
// person is decidable all the same when it was written to its end, and has taken the place of the plan that waited before;
// and what a person approved stands.
func dropRemovals(tx *sqldb.Tx, r *run.Run) error {
	which := ` AND state IN ('WAITING', 'APPROVED')`
	if !r.Step.Drafting() {
		which = ` AND state = 'APPROVED' AND decided_by = '` + plan.Policy + `'`
	}
	n, err := tx.Exec(`UPDATE changes SET state = 'STALE' WHERE plan = $1 AND kind = 'ARCHIVE'`+which, r.Plan)
	if err != nil || n == 0 {
		return err
	}
	return SettlePlan(tx, r.Plan)
}

const unmoved = ` EXISTS (SELECT 1 FROM links l JOIN clients c ON c.id = l.client
	WHERE l.connection = changes.connection AND l.tenant = changes.tenant AND l.record_id = changes.record_id
		AND l.client = changes.client AND l.version = changes.link_version AND l.presence = 'PRESENT'
		AND c.version = changes.client_version AND c.state = 'LISTED')`

// DropMoved makes waiting removals of a plan stale whose ground moved, and returns their ids.
func DropMoved(tx *sqldb.Tx, planID string) ([]string, error) {
	return sqldb.Collect(tx, scanString, `UPDATE changes SET state = 'STALE' WHERE plan = $1 AND kind = 'ARCHIVE'
		AND state = 'WAITING' AND NOT`+unmoved+` RETURNING id`, planID)
}

// Decide moves waiting removals of a plan to a state, and returns their ids: those with the ids, or all when all is set.
func Decide(tx *sqldb.Tx, planID string, state plan.ChangeState, all bool, changes []string, by string, now time.Time) ([]string, error) {
	if !all && len(changes) == 0 {
		return nil, nil
	}
	decided, err := sqldb.Collect(tx, scanString, `UPDATE changes SET state = $2, decided_by = $3, decided_at = $4 WHERE plan = $1 AND kind = 'ARCHIVE'
		AND state = 'WAITING' AND ($5 OR `+anyOf(tx, "id", 6)+`) RETURNING id`, planID, string(state), by, micros(now), all, ids(tx, changes))
	if err == nil && state == plan.ChangeApproved {
		tx.Notify(TopicPlans)
	}
	return decided, err
}

// KeepRejected notes that a person keeps the clients of removals that were refused just now.
func KeepRejected(tx *sqldb.Tx, rejected []string) error {
	if len(rejected) == 0 {
		return nil
	}
	_, err := tx.Exec(`UPDATE links SET presence = 'KEPT', version = version + 1 WHERE presence = 'PRESENT' AND EXISTS (
		SELECT 1 FROM changes h WHERE h.connection = links.connection AND h.tenant = links.tenant AND h.record_id = links.record_id
			AND `+anyOf(tx, "h.id", 1)+`)`, ids(tx, rejected))
	return err
}

// ChangeStates returns the states of the removals of a plan with the ids.
func ChangeStates(tx *sqldb.Tx, planID string, changes []string) (map[string]plan.ChangeState, error) {
	out := map[string]plan.ChangeState{}
	return out, pairs(tx, func(id, state string) { out[id] = plan.ChangeState(state) },
		`SELECT id, state FROM changes WHERE plan = $1 AND kind = 'ARCHIVE' AND `+anyOf(tx, "id", 2), planID, ids(tx, changes))
}

// Approved returns up to limit removals of a plan that are approved and not yet done.
func Approved(tx *sqldb.Tx, planID string, limit int) ([]plan.Change, error) {
	return sqldb.Collect(tx, scanChangeRow, `SELECT `+changeColumns+` FROM changes h
		WHERE h.plan = $1 AND h.kind = 'ARCHIVE' AND h.state = 'APPROVED' ORDER BY h.id LIMIT $2`, planID, limit)
}

// ClaimPlan takes a plan with approved removals that nobody works on, and whose run has ended, or returns
// sqldb.ErrNotFound.
func ClaimPlan(tx *sqldb.Tx, owner string, now time.Time, lease time.Duration) (plan.Plan, error) {
	var id string
	err := tx.QueryRow(`SELECT p.id FROM plans p WHERE p.lease_until < $1 AND p.wait_until <= $1 AND p.id IN (
			SELECT h.plan FROM changes h WHERE h.kind = 'ARCHIVE' AND h.state = 'APPROVED')
			AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = p.run AND r.state IN ('QUEUED', 'RUNNING', 'PARKED'))
		ORDER BY p.created_at, p.id LIMIT 1`+tx.Dialect().SkipLocked(), micros(now)).Scan(&id)
	if err != nil {
		return plan.Plan{}, err
	}
	if _, err := tx.Exec(`UPDATE plans SET lease_owner = $2, lease_until = $3, epoch = epoch + 1, wait_until = 0 WHERE id = $1`,
		id, owner, micros(now.Add(lease))); err != nil {
		return plan.Plan{}, err
	}
	return scanPlan(tx.QueryRow(`SELECT `+planColumns+` FROM plans p WHERE p.id = $1`, id).Scan)
}

// wakePlans has approved removals of a connection that can be used again tried at once.
func wakePlans(tx *sqldb.Tx, connection string) error {
	n, err := tx.Exec(`UPDATE plans SET wait_until = 0 WHERE connection = $1 AND wait_until > 0`, connection)
	if n > 0 {
		tx.Notify(TopicPlans)
	}
	return err
}

// HoldPlan locks a plan that was claimed in an epoch and extends its lease, or says ErrLeaseLost.
func HoldPlan(tx *sqldb.Tx, id string, epoch int64, until time.Time) error {
	n, err := tx.Exec(`UPDATE plans SET lease_until = $3, attempts = 0, message = '' WHERE id = $1 AND epoch = $2 AND lease_owner <> ''`,
		id, epoch, micros(until))
	if err == nil && n != 1 {
		return ErrLeaseLost
	}
	return err
}

// RenewPlan extends the lease of a plan that was claimed in an epoch, or says ErrLeaseLost.
func RenewPlan(tx *sqldb.Tx, id string, epoch int64, until time.Time) error {
	n, err := tx.Exec(`UPDATE plans SET lease_until = $3 WHERE id = $1 AND epoch = $2 AND lease_owner <> ''`, id, epoch, micros(until))
	if err == nil && n != 1 {
		return ErrLeaseLost
	}
	return err
}

// ReleasePlan gives a plan back, to be taken up again at a time when something is left to do, with what it waits for.
func ReleasePlan(tx *sqldb.Tx, id string, epoch int64, waitUntil time.Time, attempts int64, message string) error {
	_, err := tx.Exec(`UPDATE plans SET lease_owner = '', lease_until = 0, wait_until = $3, attempts = $4, message = $5
		WHERE id = $1 AND epoch = $2`, id, epoch, micros(waitUntil), attempts, message)
	if errors.Is(err, sqldb.ErrNotFound) {
		return nil
	}
	return err
}
