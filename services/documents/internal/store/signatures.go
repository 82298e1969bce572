package store

import (
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/documents/internal/signing"
)

const requestColumns = `r.id, r.firm, r.job, j.number, r.client, r.document, r.document_name, r.sha256, r.contact, r.state,
	r.created, r.closed, r.reason, r.session, r.address`

const requestTables = ` FROM signature_requests r JOIN email_jobs j ON j.id = r.job `

func scanRequest(s scanner) (r signing.Request, err error) {
	var created, closed int64
	err = s.Scan(&r.ID, &r.Firm, &r.Job, &r.JobNumber, &r.Client, &r.Document, &r.DocumentName, &r.SHA256, &r.Contact, &r.State,
		&created, &closed, &r.Reason, &r.Evidence.Session, &r.Evidence.Address)
	r.Created, r.Closed = moment(created), moment(closed)
	return r, err
}

// RequestOf reads a signature request. Who changes it holds its client.
func RequestOf(tx *sqldb.Tx, firm, id string) (signing.Request, error) {
	r, err := scanRequest(tx.QueryRow(`SELECT `+requestColumns+requestTables+`WHERE r.firm = $1 AND r.id = $2`, firm, id))
	return r, missing(err)
}

// CloseRequest writes the end of a request.
func CloseRequest(tx *sqldb.Tx, r signing.Request) error {
	return changed(tx.Exec(`UPDATE signature_requests SET state = $3, closed = $4, reason = $5, session = $6, address = $7
		WHERE firm = $1 AND id = $2 AND state = 'OPEN'`,
		r.Firm, r.ID, r.State, micros(r.Closed), r.Reason, r.Evidence.Session, r.Evidence.Address))
}

// OpenRequests lists a client's open requests in the order of their making.
func OpenRequests(tx *sqldb.Tx, firm, client string) ([]signing.Request, error) {
	return sqldb.Collect(tx, func(r *sqldb.Rows) (signing.Request, error) { return scanRequest(r) },
		`SELECT `+requestColumns+requestTables+`WHERE r.firm = $1 AND r.client = $2 AND r.state = 'OPEN' ORDER BY j.number, r.id`,
		firm, client)
}

// OpenOf counts the open requests for one document, and the documents of the client that wait for a signature.
func OpenOf(tx *sqldb.Tx, firm, client, document string) (requests, documents int64, err error) {
	err = tx.QueryRow(`SELECT coalesce(sum(CASE WHEN document = $3 THEN 1 ELSE 0 END), 0), count(DISTINCT document)
		FROM signature_requests WHERE firm = $1 AND client = $2 AND state = 'OPEN'`, firm, client, document).Scan(&requests, &documents)
	return requests, documents, err
}

// Holdings lists the email jobs that hold documents of the client for signature, by number.
func Holdings(tx *sqldb.Tx, firm, client string) ([]signing.Holding, error) {
	return sqldb.Collect(tx, func(r *sqldb.Rows) (h signing.Holding, err error) { return h, r.Scan(&h.Job, &h.Number, &h.Documents) },
		`SELECT j.id, j.number, count(DISTINCT r.document)`+requestTables+
			`WHERE r.firm = $1 AND r.client = $2 AND r.state = 'OPEN' GROUP BY j.id, j.number ORDER BY j.number`, firm, client)
}

// RequestQuery selects signature requests.
type RequestQuery struct {
	Firm   string
	State  signing.State // any when empty
	Client string        // any when empty
	// Contact, when set, leaves those addressed to it about clients it relates to.
	Contact string
	// BeforeTime and BeforeID are those of the last row of the page before, the time in microseconds; zero for the first.
	BeforeTime int64
	BeforeID   string
	Limit      int
}

// Requests lists the signature requests of clients in the client list, newest first.
func Requests(tx *sqldb.Tx, q RequestQuery) ([]signing.Request, error) {
	return sqldb.Collect(tx, func(r *sqldb.Rows) (signing.Request, error) { return scanRequest(r) },
		`SELECT `+requestColumns+requestTables+`JOIN clients c ON c.firm = r.firm AND c.id = r.client
		WHERE r.firm = $1 AND c.state = 'LISTED' AND ($2 = '' OR r.state = $2) AND ($3 = '' OR r.client = $3)
		AND ($4 = '' OR (r.contact = $4 AND EXISTS (SELECT 1 FROM contact_clients s
			WHERE s.firm = r.firm AND s.contact = $4 AND s.client = r.client)))
		AND ($5 = 0 OR (r.created, r.id) < ($5, $6)) ORDER BY r.created DESC, r.id DESC LIMIT $7`,
		q.Firm, q.State, q.Client, q.Contact, q.BeforeTime, q.BeforeID, q.Limit)
}
