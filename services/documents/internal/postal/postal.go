// Package postal sends the e-mails of email jobs: to each recipient a few words, the message, and a link to the portal.
// The documents themselves never travel by e-mail.
//
// The queue is a table, written with the job. An e-mail is sent at least once: a process that dies between the server's
// word and its own note sends it again, under the same Message-ID. Each attempt looks up the contact's address anew, so
// that a corrected one counts. What can not be sent says so on the job.
package postal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/services/documents/internal/signing"
	"github.com/concord-suite/concord/services/documents/internal/store"
	"github.com/concord-suite/concord/services/documents/internal/store/cabinet"
)

// Courier works through the queue. Any number of processes may run one.
type Courier struct {
	DB *sqldb.DB
	// Contacts knows the addresses.
	Contacts syncv1.ContactServiceClient
	// Server takes the e-mails; nil when there is none.
	Server *Server
	// Portal is where contacts sign in.
	Portal *url.URL
	Now    func() time.Time
	Logger *slog.Logger
}

const (
	// lease is for how long an e-mail belongs to the process that took it: longer than the slowest look-up and delivery.
	lease = 2 * time.Minute
	// together is how many are taken at once, poll how often the queue is looked at without being woken.
	together = 16
	poll     = 30 * time.Second
)

// waits are those after the first, second, ... failed attempt. After the last the e-mail is given up: people look at an
// e-mail within a day, and so should whoever sent it hear that it did not arrive.
var waits = []time.Duration{time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 6 * time.Hour, 12 * time.Hour}

// Run sends what waits until ctx ends.
func (c *Courier) Run(ctx context.Context) error {
	wake, stop := c.DB.Watch(cabinet.DeliveriesTopic)
	defer stop()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		n, err := c.Deliver(ctx)
		if err != nil && ctx.Err() == nil {
			c.Logger.WarnContext(ctx, "the queue of e-mails can not be worked on", "error", err)
		}
		if n == together {
			continue // there may be more
		}
		select {
		case <-ctx.Done():
			return nil
		case <-wake:
		case <-tick.C:
		}
	}
}

// Deliver tries the e-mails that are due, at most together of them, and answers how many.
func (c *Courier) Deliver(ctx context.Context) (int, error) {
	var due []signing.Delivery
	now := c.Now()
	err := c.DB.Tx(ctx, func(tx *sqldb.Tx) (err error) {
		due, err = store.ClaimDeliveries(tx, now, now.Add(lease), together)
		return err
	}, sqldb.ReadCommitted)
	if err != nil {
		return 0, err
	}
	var failed error
	for _, d := range due {
		d = c.outcome(d, c.attempt(ctx, d))
		if ctx.Err() != nil {
			return 0, ctx.Err() // nobody knows; the lease runs out
		}
		if err := c.DB.Tx(ctx, func(tx *sqldb.Tx) error { return store.SaveDelivery(tx, d) }, sqldb.ReadCommitted); err != nil {
			failed = errors.Join(failed, err)
		}
	}
	return len(due), failed
}

// outcome says what becomes of an e-mail after an attempt that ended with err.
func (c *Courier) outcome(d signing.Delivery, err error) signing.Delivery {
	now := c.Now()
	var refusal *Refusal
	switch {
	case err == nil:
		d.State, d.Closed, d.Problem = signing.Sent, now, ""
	case errors.As(err, &refusal), d.Attempts > len(waits):
		d.State, d.Closed, d.Problem = signing.Failed, now, err.Error()
	default:
		d.Due, d.Problem = now.Add(waits[d.Attempts-1]), err.Error()
	}
	return d
}

// attempt tries to send one e-mail.
func (c *Courier) attempt(ctx context.Context, d signing.Delivery) error {
	if c.Server == nil {
		return &Refusal{"no mail server is set"}
	}
	var job signing.Job
	if err := c.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
		job, err = store.JobOf(tx, d.Firm, d.Job)
		return err
	}); err != nil {
		return errors.New("the email job can not be read")
	}
	contact, err := c.contact(ctx, d)
	if err != nil {
		return err
	}
	return c.Server.Send(ctx, Letter{ID: d.ID, To: contact.GetEmail(), Subject: oneLine(job.Subject), Text: c.text(contact, job)})
}

// contact asks the client list for name and address, as this service.
func (c *Courier) contact(ctx context.Context, d signing.Delivery) (*syncv1.Contact, error) {
	ctx = access.With(ctx, access.ServicePrincipal("documents", d.Firm))
	resp, err := c.Contacts.GetContact(ctx, &syncv1.GetContactRequest{Name: names.Format(cabinet.ContactPattern, d.Firm, d.Contact)})
	switch {
	case err != nil && rpcerr.From(err).Code() == codes.NotFound:
		return nil, &Refusal{"the contact is gone"}
	case err != nil:
		return nil, errors.New("the contact's address could not be looked up")
	case resp.GetContact().GetEmail() == "":
		return nil, &Refusal{"the contact has no e-mail address"}
	}
	return resp.GetContact(), nil
}

// text is what an e-mail says.
func (c *Courier) text(contact *syncv1.Contact, job signing.Job) string {
	var b strings.Builder
	if name := contact.GetDisplayName(); name != "" {
		fmt.Fprintf(&b, "Dear %s,\n\n", oneLine(name))
	}
	if job.Message != "" {
		fmt.Fprintf(&b, "%s\n\n", job.Message)
	}
	what, wait := "1 document", "waits"
	if n := len(job.Documents); n != 1 {
		what, wait = fmt.Sprintf("%d documents", n), "wait"
	}
	fmt.Fprintf(&b, "%s %s for you in the portal", what, wait)
	forSignature := 0
	for _, r := range job.Requests {
		if r.Contact == name(contact) {
			forSignature++
		}
	}
	if forSignature > 0 {
		fmt.Fprintf(&b, ", %d for your signature", forSignature)
	}
	fmt.Fprintf(&b, ":\n%s\n", c.Portal.JoinPath("portal", "emailJobs", job.ID))
	return b.String()
}

// name is the id in a contact's resource name.
func name(c *syncv1.Contact) string { return c.GetName()[strings.LastIndexByte(c.GetName(), '/')+1:] }

// oneLine keeps what people typed from becoming headers or paragraphs of their own.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
