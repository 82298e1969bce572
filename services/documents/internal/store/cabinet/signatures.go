package cabinet

import (
	"google.golang.org/protobuf/proto"

	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/sqldb"
	documentseventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/documents/v1"
	"github.com/concord-suite/concord/services/documents/internal/departure"
	"github.com/concord-suite/concord/services/documents/internal/filing"
	"github.com/concord-suite/concord/services/documents/internal/signing"
	"github.com/concord-suite/concord/services/documents/internal/store"
)

// Answer is what a contact says to a signature request.
type Answer struct {
	Firm, Request string
	// Contact is who answers, and Name the resource name for client history.
	Contact, Name string
	// Sign is false when it declines.
	Sign bool
	// Seen is the SHA-256 of the bytes the contact was shown.
	Seen     string
	Evidence signing.Evidence
}

// AnswerRequest closes a request by the contact it is addressed to, while that still relates to the client. For everybody
// else it does not exist.
func (c *Cabinet) AnswerRequest(tx *sqldb.Tx, a Answer) (signing.Request, error) {
	r, err := lockRequest(tx, a.Firm, a.Request)
	if err != nil {
		return r, err
	}
	related, err := store.Relates(tx, a.Firm, a.Contact, r.Client)
	if err != nil {
		return r, err
	}
	if r.Contact != a.Contact || !related {
		return signing.Request{}, filing.ErrNotFound
	}
	to := signing.Signed
	if !a.Sign {
		to = signing.Declined
	}
	r.Evidence = a.Evidence
	return c.closeRequest(tx, r, to, a.Seen, a.Name)
}

// WithdrawRequest takes a request back.
func (c *Cabinet) WithdrawRequest(tx *sqldb.Tx, firm, id, reason, actor string) (signing.Request, error) {
	r, err := lockRequest(tx, firm, id)
	if err != nil {
		return r, err
	}
	r.Reason = reason
	return c.closeRequest(tx, r, signing.Withdrawn, "", actor)
}

// withdrawAll takes back every open request of a held client.
func (c *Cabinet) withdrawAll(tx *sqldb.Tx, client departure.Client, reason, actor string) error {
	open, err := store.OpenRequests(tx, client.Firm, client.ID)
	if err != nil {
		return err
	}
	for _, r := range open {
		r.Reason = reason
		if _, err := c.closeRequest(tx, r, signing.Withdrawn, "", actor); err != nil {
			return err
		}
	}
	return nil
}

// lockRequest holds the client of a request and reads the request.
func lockRequest(tx *sqldb.Tx, firm, id string) (signing.Request, error) {
	seen, err := store.RequestOf(tx, firm, id)
	if err != nil {
		return seen, err
	}
	if _, err := store.LockClient(tx, firm, seen.Client); err != nil {
		return seen, err
	}
	return store.RequestOf(tx, firm, id)
}

// closeRequest ends a request of a held client, and says so when it was declined, withdrawn, or the document's last
// signature.
func (c *Cabinet) closeRequest(tx *sqldb.Tx, r signing.Request, to signing.State, seen, actor string) (signing.Request, error) {
	r, err := r.Close(to, seen, c.now())
	if err != nil {
		return r, err
	}
	if err := store.CloseRequest(tx, r); err != nil {
		return r, err
	}
	others, open, err := store.OpenOf(tx, r.Firm, r.Client, r.Document)
	if err != nil || (to == signing.Signed && others > 0) {
		return r, err
	}
	return r, c.tell(tx, r.Firm, r.Client, actor, r.Summary(), func(t *documentseventsv1.ClientTrail) proto.Message {
		return &documentseventsv1.SignatureCompleted{
			Trail: t, EmailJob: names.Format(JobPattern, r.Firm, r.Job), OpenForClient: int32(min(open, 1<<30)),
		}
	})
}
