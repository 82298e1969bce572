// Package signing knows email jobs and signature requests: when a request can be closed, what is left open, and what
// that means for a client who leaves.
//
// A request asks one contact to sign one document as it is now, by its hash. Requests are closed once: signed or
// declined by the contact it is addressed to, or withdrawn by the firm.
package signing

import (
	"errors"
	"fmt"
	"time"
)

// What closing a request can be refused for.
var (
	// ErrClosed: it was signed, declined or withdrawn already.
	ErrClosed = errors.New("signing: the request is closed")
	// ErrOtherContent: the contact saw other bytes than those to be signed.
	ErrOtherContent = errors.New("signing: other bytes than those to be signed")
)

// State is how a request stands.
type State string

// The states of a request.
const (
	// Open waits for the contact.
	Open State = "OPEN"
	// Signed was given by the contact.
	Signed State = "SIGNED"
	// Declined was refused by the contact.
	Declined State = "DECLINED"
	// Withdrawn was taken back by the firm.
	Withdrawn State = "WITHDRAWN"
)

// Request asks one contact to sign one document.
type Request struct {
	ID, Firm, Job string
	JobNumber     int64
	Client        string
	Document      string
	// DocumentName and SHA256 are those of the document when it was sent; they stay readable after the document is gone.
	DocumentName, SHA256 string
	Contact              string
	State                State
	Created, Closed      time.Time
	// Reason is why it was withdrawn.
	Reason string
	// Evidence is set when the contact signed or declined.
	Evidence Evidence
}

// Evidence is from where a contact answered.
type Evidence struct {
	// Session is the id of the contact's session, Address the network address as the gateway saw it.
	Session, Address string
}

// Close is the request after it was closed, or an error. seen is the hash of the bytes the contact saw; it is compared
// when the contact signs.
func (r Request) Close(to State, seen string, now time.Time) (Request, error) {
	switch {
	case r.State != Open:
		return r, ErrClosed
	case to == Signed && seen != r.SHA256:
		return r, ErrOtherContent
	}
	r.State, r.Closed = to, now
	return r, nil
}

// Summary is the sentence client history keeps of the closing.
func (r Request) Summary() string {
	what := map[State]string{Signed: "signed", Declined: "declined to be signed", Withdrawn: "signature request withdrawn"}[r.State]
	s := fmt.Sprintf("email job %d: %s: %s", r.JobNumber, r.DocumentName, what)
	if r.Reason != "" {
		s += ": " + r.Reason
	}
	return s
}

// DeliveryState is how far the e-mail to one recipient is.
type DeliveryState string

// The states of a delivery.
const (
	// Pending waits for its turn or its next attempt.
	Pending DeliveryState = "PENDING"
	// Sent was taken by the mail server.
	Sent DeliveryState = "SENT"
	// Failed was given up.
	Failed DeliveryState = "FAILED"
)

// Delivery is the e-mail to one recipient of a job.
type Delivery struct {
	ID, Firm, Job, Contact string
	State                  DeliveryState
	Attempts               int
	// Due is when the next attempt may begin.
	Due    time.Time
	Closed time.Time
	// Problem says what went wrong last, in words without addresses.
	Problem string
}

// Job is documents sent to contacts of a client.
type Job struct {
	ID, Firm string
	// Number counts the firm's jobs from 1.
	Number           int64
	Client           string
	Subject, Message string
	SentBy           string
	Created          time.Time
	// Documents are ids, in the order of the request.
	Documents  []string
	Deliveries []Delivery
	Requests   []Request
}

// OpenDocuments is how many documents of the job wait for a signature.
func (j Job) OpenDocuments() int {
	open := map[string]bool{}
	for _, r := range j.Requests {
		if r.State == Open {
			open[r.Document] = true
		}
	}
	return len(open)
}

// Holding is an email job with the number of its documents that wait for a signature.
type Holding struct {
	Job       string
	Number    int64
	Documents int64
}

// Sentence names the job for people: "email job 42 holds 2 documents for signature".
func (h Holding) Sentence() string {
	if h.Documents == 1 {
		return fmt.Sprintf("email job %d holds 1 document for signature", h.Number)
	}
	return fmt.Sprintf("email job %d holds %d documents for signature", h.Number, h.Documents)
}
