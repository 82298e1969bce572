package cabinet

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/sqldb"
	documentseventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/documents/v1"
	"github.com/concord-suite/concord/services/documents/internal/departure"
	"github.com/concord-suite/concord/services/documents/internal/filing"
	"github.com/concord-suite/concord/services/documents/internal/signing"
	"github.com/concord-suite/concord/services/documents/internal/store"
)

// DeliveriesTopic is notified when an e-mail waits to be sent.
const DeliveriesTopic = "documents.deliveries"

// Letter is an email job to be.
type Letter struct {
	Firm, Client     string
	Subject, Message string
	// Documents are the ids of what is sent, ForSignature those of them that each recipient is asked to sign.
	Documents, ForSignature []string
	// Recipients are the ids of contacts.
	Recipients []string
	SentBy     string
}

// FieldError says which part of a Letter does not fit, in the words of the request.
type FieldError struct {
	Field, Rule, Problem string
}

// Error names the field and what is wrong with it.
func (e *FieldError) Error() string { return e.Field + ": " + e.Problem }

// Related is the rule that recipients are contacts of the client.
const Related = "related"

// SendLetter makes an email job: it publishes the documents to the client's contacts, asks for signatures, and queues an
// e-mail to each recipient. It holds the client, so a fence is seen or comes after and finds the job.
func (c *Cabinet) SendLetter(tx *sqldb.Tx, l Letter) (signing.Job, error) {
	client, err := store.LockClient(tx, l.Firm, l.Client)
	if err != nil {
		return signing.Job{}, err
	}
	if err := client.Open(); err != nil {
		return signing.Job{}, err
	}
	documents, err := c.enclose(tx, client, l)
	if err != nil {
		return signing.Job{}, err
	}
	for i, contact := range l.Recipients {
		related, err := store.Relates(tx, l.Firm, contact, l.Client)
		if err != nil {
			return signing.Job{}, err
		}
		if !related {
			return signing.Job{}, &FieldError{fmt.Sprintf("recipients[%d]", i), Related, "is not a contact of this client"}
		}
	}
	j, err := c.compose(tx, l, documents)
	if err != nil {
		return j, err
	}
	if err := store.AddJob(tx, j); err != nil {
		return j, err
	}
	tx.Notify(DeliveriesTopic)
	err = c.tell(tx, l.Firm, l.Client, l.SentBy, sentence(j, len(l.ForSignature)), func(t *documentseventsv1.ClientTrail) proto.Message {
		return &documentseventsv1.EmailJobSent{
			Trail: t, EmailJob: names.Format(JobPattern, l.Firm, j.ID), ForSignature: int32(len(l.ForSignature)),
		}
	})
	if err != nil {
		return j, err
	}
	return store.JobOf(tx, l.Firm, j.ID)
}

// enclose reads the documents of a letter and publishes them.
func (c *Cabinet) enclose(tx *sqldb.Tx, client departure.Client, l Letter) (map[string]filing.Document, error) {
	enclosed := map[string]filing.Document{}
	for i, id := range l.Documents {
		d, err := store.DocumentOf(tx, l.Firm, id)
		if errors.Is(err, filing.ErrNotFound) || (err == nil && (d.Folder != client.Folder || d.Where != filing.Active)) {
			return nil, &FieldError{fmt.Sprintf("documents[%d]", i), "in_folder", "is not in the folder of this client"}
		}
		if err != nil {
			return nil, err
		}
		if !d.Published {
			d.Published = true
			if err := store.SaveDocument(tx, d); err != nil {
				return nil, err
			}
		}
		enclosed[id] = d
	}
	for i, id := range l.ForSignature {
		if _, ok := enclosed[id]; !ok {
			return nil, &FieldError{fmt.Sprintf("for_signature[%d]", i), "enclosed", "is not one of the documents"}
		}
	}
	return enclosed, nil
}

// compose numbers the job and makes its deliveries and requests.
func (c *Cabinet) compose(tx *sqldb.Tx, l Letter, documents map[string]filing.Document) (j signing.Job, err error) {
	j = signing.Job{Firm: l.Firm, Client: l.Client, Subject: l.Subject, Message: l.Message, SentBy: l.SentBy,
		Documents: l.Documents, Created: c.now()}
	if j.ID, err = newID(); err != nil {
		return j, err
	}
	if j.Number, err = store.NextJobNumber(tx, l.Firm); err != nil {
		return j, err
	}
	for _, contact := range l.Recipients {
		id, err := newID()
		if err != nil {
			return j, err
		}
		j.Deliveries = append(j.Deliveries, signing.Delivery{ID: id, Contact: contact, State: signing.Pending, Due: j.Created})
		for _, document := range l.ForSignature {
			id, err := newID()
			if err != nil {
				return j, err
			}
			d := documents[document]
			j.Requests = append(j.Requests, signing.Request{ID: id, Document: d.ID, DocumentName: d.DisplayName, SHA256: d.SHA256,
				Contact: contact, State: signing.Open, Created: j.Created})
		}
	}
	return j, nil
}

func sentence(j signing.Job, forSignature int) string {
	to := "1 contact"
	if n := len(j.Deliveries); n != 1 {
		to = fmt.Sprintf("%d contacts", n)
	}
	s := fmt.Sprintf("email job %d %q sent to %s: %s", j.Number, j.Subject, to, filing.Count(int64(len(j.Documents))))
	if forSignature > 0 {
		s += fmt.Sprintf(", %d for signature", forSignature)
	}
	return s
}
