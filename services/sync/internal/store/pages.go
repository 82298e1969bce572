package store

import (
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/plan"
	"github.com/concord-suite/concord/services/sync/internal/run"
)

// Page is what is kept of a page of a listing: the ids on it, and what it said of the listing. An unchanged record
// costs its id here, in one row per page, until the run ends.
type Page struct {
	Run     string
	Listing run.Step
	// Message counts the messages of the listing; Number is the provider's page, of which there may be several.
	Message, Number int64
	// Seen are the ids of active records, Flagged those listed as archived or deleted, Outside those in use that are of none
	// of the chosen contact types.
	Seen, Flagged     []string
	Outside           []string
	Records           int64
	Complete, Drifted bool
	Announced         int64
	Tenant            string
	ServerTime        time.Time
}

// AddPage keeps a page.
func AddPage(tx *sqldb.Tx, p Page) error {
	_, err := tx.Exec(`INSERT INTO run_pages (run, listing, message, number, records, seen, flagged, complete, drifted, announced,
			tenant, server_time, outside)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
		p.Run, string(p.Listing), p.Message, p.Number, p.Records, array(p.Seen), array(p.Flagged), p.Complete, p.Drifted, p.Announced,
		p.Tenant, micros(p.ServerTime), array(p.Outside))
	return err
}

// array is list, with [] for none.
func array(items []string) string {
	if len(items) == 0 {
		return "[]"
	}
	return list(items)
}

// DropPages forgets the pages of a listing from one number on, and what was kept of contacts with them: they come again.
func DropPages(tx *sqldb.Tx, runID string, listing run.Step, from int64) error {
	if _, err := tx.Exec(`DELETE FROM run_pages WHERE run = $1 AND listing = $2 AND number >= $3`, runID, string(listing), from); err != nil {
		return err
	}
	if listing == run.Legacy {
		_, err := tx.Exec(`DELETE FROM legacy_records WHERE run = $1 AND page >= $2`, runID, from)
		return err
	}
	_, err := tx.Exec(`DELETE FROM staged_contacts WHERE run = $1 AND page >= $2`, runID, from)
	return err
}

// ListingOf takes the pages of a listing together. NowTenant and SelectionMoved are the caller's to fill in.
func ListingOf(tx *sqldb.Tx, r *run.Run, listing run.Step) (plan.Listing, error) {
	l := plan.Listing{WantTenant: r.Tenant, NowTenant: r.Tenant}
	var complete, drifted int64
	err := tx.QueryRow(`SELECT count(*), coalesce(max(CASE WHEN complete THEN 1 ELSE 0 END), 0),
			coalesce(max(CASE WHEN drifted THEN 1 ELSE 0 END), 0), coalesce(sum(records), 0), coalesce(min(announced), -1),
			coalesce(max(announced), -1), count(DISTINCT tenant), coalesce(max(tenant), '')
		FROM run_pages WHERE run = $1 AND listing = $2`, r.ID, string(listing)).
		Scan(&l.Pages, &complete, &drifted, &l.Records, &l.AnnouncedMin, &l.AnnouncedMax, &l.Tenants, &l.Tenant)
	if err != nil {
		return l, err
	}
	l.Complete, l.Drifted = complete == 1, drifted == 1
	err = tx.QueryRow(`SELECT count(*) FROM (SELECT e.value FROM run_pages p, `+each(tx, "p.seen")+`
			WHERE p.run = $1 AND p.listing = $2 UNION SELECT e.value FROM run_pages p, `+each(tx, "p.flagged")+`
			WHERE p.run = $1 AND p.listing = $2 UNION SELECT e.value FROM run_pages p, `+each(tx, "p.outside")+`
			WHERE p.run = $1 AND p.listing = $2) AS d`, r.ID, string(listing)).Scan(&l.Distinct)
	return l, err
}

// listed is the condition that a column holds an id that stands on a page of the run in parameter 3, among the "seen" ones,
// listed as active, or the "flagged" ones. Both engines make one list of the ids and look into it for every row. IS TRUE is
// there for PostgreSQL: it keeps the planner, which knows nothing of how many ids a page holds, from making a join of it that
// reads all pages again for every row.
func listed(tx *sqldb.Tx, as, column string, listing run.Step) string {
	return `(` + column + ` IN (SELECT e.value FROM run_pages p, ` + each(tx, "p."+as) + ` WHERE p.run = $3
		AND p.listing = '` + string(listing) + `')) IS TRUE`
}

// SeenOf returns those of the ids that a listing of the run held as active.
func SeenOf(tx *sqldb.Tx, runID string, listing run.Step, records []string) (map[string]bool, error) {
	return set(sqldb.Collect(tx, scanString, `SELECT DISTINCT e.value FROM run_pages p, `+each(tx, "p.seen")+`
		WHERE p.run = $1 AND p.listing = $2 AND e.value IN (SELECT q.value FROM `+among(tx, 3)+`)`, runID, string(listing), ids(tx, records)))
}

// there is the condition that a record stands on a page of the run as one in use, whether or not it is to be synced.
func there(tx *sqldb.Tx, column string, listing run.Step) string {
	return `(` + listed(tx, "seen", column, listing) + ` OR ` + listed(tx, "outside", column, listing) + `)`
}

// missing are the linked records that may be gone when the complete listing of the run does not hold them as active: their
// client is in the list by this connection's word, and nothing about it is under way.
const missing = ` FROM links l JOIN clients c ON c.id = l.client
	WHERE l.connection = $1 AND l.tenant = $2 AND l.presence = 'PRESENT'
		AND c.list_source = $1 AND c.state = 'LISTED'
		AND NOT EXISTS (SELECT 1 FROM offboardings o WHERE o.client = c.id
			AND o.state IN ('PREPARING', 'BLOCKED', 'SECURING', 'REVERSING')) AND `

// candidates are those of them about which it is not remembered that they were in use or out of scope, and those that were
// recalled in spite of it.
const candidates = missing + `(l.refuted_at < 0 OR l.refuted_at = 0 AND NOT l.out_of_scope) AND NOT `

// CountCandidates counts the clients that may have to leave, and how many of them were recalled.
func CountCandidates(tx *sqldb.Tx, r *run.Run) (n, recalled int64, err error) {
	return n, recalled, tx.QueryRow(`SELECT count(*), coalesce(sum(CASE WHEN l.refuted_at < 0 THEN 1 ELSE 0 END), 0)`+candidates+
		there(tx, "l.record_id", run.Clients), r.Connection, r.Tenant, r.ID).Scan(&n, &recalled)
}

// Candidate is a client that may have to leave.
type Candidate struct {
	Record, Client, Name       string
	LinkVersion, ClientVersion int64
	// Flagged: it was listed as archived or deleted; otherwise it was absent.
	Flagged bool
	// RefutedAt is when the record was in use when it was read, the last time it was not listed, or when it was put out of
	// scope; zero for never.
	RefutedAt  time.Time
	OutOfScope bool
}

// CandidatesAfter returns up to limit clients that may have to leave, by record id, after one.
func CandidatesAfter(tx *sqldb.Tx, r *run.Run, after string, limit int) ([]Candidate, error) {
	all, err := sqldb.Collect(tx, func(row *sqldb.Rows) (c Candidate, err error) {
		var refuted int64
		err = row.Scan(&c.Record, &c.Client, &c.Name, &c.LinkVersion, &c.ClientVersion, &refuted, &c.OutOfScope)
		c.RefutedAt = fromMicros(-refuted)
		return c, err
	}, `SELECT l.record_id, c.id, c.display_name, l.version, c.version, l.refuted_at, l.out_of_scope`+candidates+
		there(tx, "l.record_id", run.Clients)+` AND l.record_id > $4 ORDER BY l.record_id LIMIT $5`,
		r.Connection, r.Tenant, r.ID, after, limit)
	if err != nil || len(all) == 0 {
		return all, err
	}
	records := make([]string, len(all))
	for i, c := range all {
		records[i] = c.Record
	}
	flagged, err := set(sqldb.Collect(tx, scanString, `SELECT DISTINCT e.value FROM run_pages p, `+each(tx, "p.flagged")+`
		WHERE p.run = $1 AND p.listing = 'CLIENTS' AND e.value IN (SELECT q.value FROM `+among(tx, 2)+`)`, r.ID, ids(tx, records)))
	for i := range all {
		all[i].Flagged = flagged[all[i].Record]
	}
	return all, err
}

// MarkOutOfScope notes of all records that a complete listing does not hold that they are missing only because others are
// chosen now, wherever their clients stand: also who left, or is about to, by a person's word was not said to be gone. What
// is listed as archived or deleted is listed, and in scope.
func MarkOutOfScope(tx *sqldb.Tx, r *run.Run, now time.Time) error {
	_, err := tx.Exec(`UPDATE links SET out_of_scope = TRUE, version = version + 1,
			refuted_at = CASE WHEN refuted_at > 0 THEN refuted_at ELSE $4 END
		WHERE connection = $1 AND tenant = $2 AND presence = 'PRESENT' AND NOT out_of_scope
			AND NOT `+there(tx, "links.record_id", run.Clients)+`
			AND NOT `+listed(tx, "flagged", "links.record_id", run.Clients), r.Connection, r.Tenant, r.ID, micros(now))
	return err
}

// MarkGone notes of records whose clients left by hand that the provider does not list them either: should they be
// listed again, that is a return. Of those that were in use while they were not listed it is none.
func MarkGone(tx *sqldb.Tx, r *run.Run, at time.Time) error {
	_, err := tx.Exec(`UPDATE links SET presence = 'GONE', gone_at = $4, gone_run = $3, version = version + 1
		WHERE connection = $1 AND tenant = $2 AND presence = 'PRESENT' AND NOT out_of_scope AND refuted_at = 0
			AND client IN (SELECT c.id FROM clients c WHERE c.state = 'OFFBOARDED' AND c.list_source = $1
				AND NOT EXISTS (SELECT 1 FROM offboardings o WHERE o.client = c.id AND o.state IN ('SECURING', 'REVERSING')))
			AND NOT `+there(tx, "links.record_id", run.Clients), r.Connection, r.Tenant, r.ID, micros(at))
	return err
}

// StagedContact is a contact that differs from its base.
type StagedContact struct {
	Record, Hash string
	Page, Line   int64
	Contact      client.RecordContact
}

// StageContacts keeps contacts until they are settled.
func StageContacts(tx *sqldb.Tx, runID string, contacts []StagedContact) error {
	if len(contacts) == 0 {
		return nil
	}
	_, err := tx.CopyIn("staged_contacts", []string{"run", "record_id", "page", "line", "payload", "hash"},
		func(yield func([]any) bool) {
			for _, c := range contacts {
				if !yield([]any{runID, c.Record, c.Page, c.Line, c.Contact.JSON(), c.Hash}) {
					return
				}
			}
		})
	return err
}

// StagedContacts returns what was kept of up to limit contacts, by record id after one, each contact's lines together
// in the order in which they were listed.
func StagedContacts(tx *sqldb.Tx, runID, after string, limit int) ([]StagedContact, error) {
	return sqldb.Collect(tx, func(r *sqldb.Rows) (c StagedContact, err error) {
		var payload string
		err = r.Scan(&c.Record, &c.Page, &c.Line, &payload, &c.Hash)
		c.Contact = client.ParseRecordContact(payload)
		return c, err
	}, `SELECT record_id, page, line, payload, hash FROM staged_contacts WHERE run = $1 AND record_id > $2 AND record_id <= (
			SELECT max(d.record_id) FROM (SELECT DISTINCT record_id FROM staged_contacts WHERE run = $1 AND record_id > $2
				ORDER BY record_id LIMIT $3) AS d)
		ORDER BY record_id, page, line`, runID, after, limit)
}

// CountStagedContacts counts the contacts kept for a run.
func CountStagedContacts(tx *sqldb.Tx, runID string) (n int64, err error) {
	return n, tx.QueryRow(`SELECT count(DISTINCT record_id) FROM staged_contacts WHERE run = $1`, runID).Scan(&n)
}

const vanished = ` FROM relations r JOIN contacts k ON k.id = r.contact JOIN clients c ON c.id = r.client
	WHERE r.connection = $1 AND r.tenant = $2 AND r.left_with = '' AND k.state = 'ACTIVE' AND c.state <> 'OFFBOARDED' AND NOT `

// CountVanished counts the contacts that a complete listing of contacts does not hold, of clients it does hold.
func CountVanished(tx *sqldb.Tx, r *run.Run) (n int64, err error) {
	return n, tx.QueryRow(`SELECT count(DISTINCT r.contact)`+vanished+there(tx, "r.contact_record", run.Contacts)+
		` AND `+listed(tx, "seen", "r.client_record", run.Clients), r.Connection, r.Tenant, r.ID).Scan(&n)
}

// Vanished returns up to limit relations of such contacts.
func Vanished(tx *sqldb.Tx, r *run.Run, limit int) ([]RelationRow, error) {
	return sqldb.Collect(tx, scanRelation, `SELECT `+relationColumns+vanished+
		there(tx, "r.contact_record", run.Contacts)+` AND `+listed(tx, "seen", "r.client_record", run.Clients)+
		` ORDER BY r.contact_record, r.client_record LIMIT $4`, r.Connection, r.Tenant, r.ID, limit)
}
