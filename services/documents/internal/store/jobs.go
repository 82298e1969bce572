package store

import (
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/documents/internal/signing"
)

// AddJob writes an email job with its documents, deliveries and signature requests.
func AddJob(tx *sqldb.Tx, j signing.Job) error {
	if _, err := tx.Exec(`INSERT INTO email_jobs (id, firm, number, client, subject, message, sent_by, created)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		j.ID, j.Firm, j.Number, j.Client, j.Subject, j.Message, j.SentBy, micros(j.Created)); err != nil {
		return err
	}
	for i, document := range j.Documents {
		if _, err := tx.Exec(`INSERT INTO email_job_documents (job, position, document) VALUES ($1, $2, $3)`, j.ID, i, document); err != nil {
			return err
		}
	}
	for i, d := range j.Deliveries {
		if _, err := tx.Exec(`INSERT INTO deliveries (id, firm, job, position, contact, state, due) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			d.ID, j.Firm, j.ID, i, d.Contact, d.State, micros(d.Due)); err != nil {
			return err
		}
	}
	for _, r := range j.Requests {
		if _, err := tx.Exec(`INSERT INTO signature_requests (id, firm, job, client, document, document_name, sha256, contact, state,
			created) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
			r.ID, j.Firm, j.ID, j.Client, r.Document, r.DocumentName, r.SHA256, r.Contact, r.State, micros(r.Created)); err != nil {
			return err
		}
	}
	return nil
}

// Sent tells whether a document of a client was sent in an email job.
func Sent(tx *sqldb.Tx, firm, client, document string) (bool, error) {
	var n int64
	err := tx.QueryRow(`SELECT count(*) FROM email_jobs j JOIN email_job_documents e ON e.job = j.id
		WHERE j.firm = $1 AND j.client = $2 AND e.document = $3`, firm, client, document).Scan(&n)
	return n > 0, err
}

const jobColumns = `j.id, j.firm, j.number, j.client, j.subject, j.message, j.sent_by, j.created`

func scanJob(s scanner) (j signing.Job, err error) {
	var created int64
	err = s.Scan(&j.ID, &j.Firm, &j.Number, &j.Client, &j.Subject, &j.Message, &j.SentBy, &created)
	j.Created = moment(created)
	return j, err
}

// JobOf reads an email job, whole.
func JobOf(tx *sqldb.Tx, firm, id string) (signing.Job, error) {
	j, err := scanJob(tx.QueryRow(`SELECT `+jobColumns+` FROM email_jobs j WHERE j.firm = $1 AND j.id = $2`, firm, id))
	if err != nil {
		return j, missing(err)
	}
	jobs := []signing.Job{j}
	err = fillJobs(tx, firm, jobs)
	return jobs[0], err
}

// JobQuery selects email jobs.
type JobQuery struct {
	Firm   string
	Client string // any when empty
	// Before is the number of the last row of the page before; 0 for the first page.
	Before int64
	Limit  int
}

// Jobs lists the email jobs of clients in the client list, newest first. Those of clients that left are kept, not listed.
func Jobs(tx *sqldb.Tx, q JobQuery) ([]signing.Job, error) {
	jobs, err := sqldb.Collect(tx, func(r *sqldb.Rows) (signing.Job, error) { return scanJob(r) },
		`SELECT `+jobColumns+` FROM email_jobs j JOIN clients c ON c.firm = j.firm AND c.id = j.client
		WHERE j.firm = $1 AND c.state = 'LISTED' AND ($2 = '' OR j.client = $2) AND ($3 = 0 OR j.number < $3)
		ORDER BY j.number DESC LIMIT $4`, q.Firm, q.Client, q.Before, q.Limit)
	if err != nil {
		return nil, err
	}
	return jobs, fillJobs(tx, q.Firm, jobs)
}

// fillJobs reads what belongs to the jobs, in three statements for all of them.
func fillJobs(tx *sqldb.Tx, firm string, jobs []signing.Job) error {
	at, ids := map[string]*signing.Job{}, make([]string, len(jobs))
	for i := range jobs {
		at[jobs[i].ID], ids[i] = &jobs[i], jobs[i].ID
	}
	d := tx.Dialect()
	type pair struct{ job, document string }
	documents, err := sqldb.Collect(tx, func(r *sqldb.Rows) (p pair, err error) { return p, r.Scan(&p.job, &p.document) },
		`SELECT job, document FROM email_job_documents WHERE `+d.AnyOf("job", 1)+` ORDER BY job, position`, sqldb.List(d, ids))
	if err != nil {
		return err
	}
	for _, p := range documents {
		at[p.job].Documents = append(at[p.job].Documents, p.document)
	}
	deliveries, err := sqldb.Collect(tx, func(r *sqldb.Rows) (signing.Delivery, error) { return scanDelivery(r) },
		`SELECT `+deliveryColumns+` FROM deliveries WHERE firm = $1 AND `+d.AnyOf("job", 2)+` ORDER BY job, position`,
		firm, sqldb.List(d, ids))
	if err != nil {
		return err
	}
	for _, one := range deliveries {
		at[one.Job].Deliveries = append(at[one.Job].Deliveries, one)
	}
	requests, err := sqldb.Collect(tx, func(r *sqldb.Rows) (signing.Request, error) { return scanRequest(r) },
		`SELECT `+requestColumns+requestTables+`WHERE r.firm = $1 AND `+d.AnyOf("r.job", 2)+` ORDER BY r.job, r.id`,
		firm, sqldb.List(d, ids))
	for _, r := range requests {
		at[r.Job].Requests = append(at[r.Job].Requests, r)
	}
	return err
}
