package documents_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/events/eventstest"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	synceventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/sync/v1"
	"github.com/concord-suite/concord/sim/sinks"
	"github.com/concord-suite/concord/sim/world"
)

// send makes an email job of documents, all of them for signature.
func (s *suite) send(client string, contacts []string, documents ...*documentsv1.Document) (*documentsv1.EmailJob, error) {
	req := &documentsv1.CreateEmailJobRequest{Parent: firmA, Client: client, Subject: "Your accounts", Message: "Please have a look.",
		Recipients: contacts, RequestId: id()}
	for _, d := range documents {
		req.Documents = append(req.Documents, d.GetName())
	}
	req.ForSignature = req.GetDocuments()
	resp, err := s.jobs.CreateEmailJob(s.staff(), req)
	return resp.GetEmailJob(), err
}

func (s *suite) sign(contact string, r *documentsv1.SignatureRequest, sign bool, sha256 string) error {
	_, err := s.jobs.SignDocument(s.contact(contact), &documentsv1.SignDocumentRequest{Name: r.GetName(), Sign: sign,
		DocumentSha256: sha256, RequestId: id()})
	return err
}

func TestAnEmailJobIsSentAndSigned(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		s.t = t
		s.fresh()
		client, folder := s.list.client("Signer Pty Ltd")
		signer := s.list.person("Sam Signer", "sam@example.com", client)
		bystander := s.list.person("Bea Bystander", "bea@example.com", client)
		d := s.upload(s.staff(), folder, "accounts.pdf", []byte("%PDF-1.7 the accounts"))
		job, err := s.send(client, []string{signer}, d)
		require.NoError(t, err)
		require.EqualValues(t, 1, job.GetNumber())
		require.EqualValues(t, 1, job.GetOpenSignatures())
		require.Equal(t, []string{signer}, job.GetRecipients())

		// The e-mail has the words and a link, not the document.
		mails := s.inbox.messages("sam@example.com", "20s")
		require.Len(t, mails, 1)
		require.Equal(t, "Your accounts", mails[0].Subject)
		require.Contains(t, mails[0].Text, "Dear Sam Signer,")
		require.Contains(t, mails[0].Text, "Please have a look.")
		require.Contains(t, mails[0].Text, "1 document waits for you in the portal, 1 for your signature:")
		require.Contains(t, mails[0].Text, "https://app.example.com/portal/emailJobs/"+job.GetName()[strings.LastIndexByte(job.GetName(), '/')+1:])
		require.NotContains(t, mails[0].Text, "%PDF")
		eventstest.Until(t, "the job says that it was sent", func() bool {
			got, err := s.jobs.GetEmailJob(s.staff(), &documentsv1.GetEmailJobRequest{Name: job.GetName()})
			require.NoError(t, err)
			return got.GetEmailJob().GetDeliveries()[0].GetState() == documentsv1.DeliveryState_DELIVERY_STATE_SENT
		})

		mine, err := s.jobs.ListSignatureRequests(s.contact(signer), &documentsv1.ListSignatureRequestsRequest{Parent: firmA})
		require.NoError(t, err)
		require.Len(t, mine.GetSignatureRequests(), 1)
		request := mine.GetSignatureRequests()[0]
		require.Equal(t, "accounts.pdf", request.GetDocumentDisplayName())
		theirs, err := s.jobs.ListSignatureRequests(s.contact(bystander), &documentsv1.ListSignatureRequestsRequest{Parent: firmA})
		require.NoError(t, err)
		require.Empty(t, theirs.GetSignatureRequests(), "each sees its own")

		s.refused(s.sign(bystander, request, true, d.GetSha256()), codes.NotFound, "NOT_FOUND")
		s.refused(s.sign(signer, request, true, sumOf([]byte("something else"))), codes.FailedPrecondition, "CONTENT_MISMATCH")
		s.refused(s.publish(d, false), codes.FailedPrecondition, "SIGNATURE_OPEN")
		require.Equal(t, sumOf(s.download(s.contact(signer), request.GetDocument())), d.GetSha256(), "what is signed can be read")
		require.NoError(t, s.sign(signer, request, true, d.GetSha256()))
		s.refused(s.sign(signer, request, true, d.GetSha256()), codes.FailedPrecondition, "REQUEST_CLOSED")
		_, err = s.jobs.WithdrawSignatureRequest(s.staff(), &documentsv1.WithdrawSignatureRequestRequest{Name: request.GetName(), Reason: "late"})
		s.refused(err, codes.FailedPrecondition, "REQUEST_CLOSED")
		got, err := s.jobs.GetEmailJob(s.staff(), &documentsv1.GetEmailJobRequest{Name: job.GetName()})
		require.NoError(t, err)
		require.Zero(t, got.GetEmailJob().GetOpenSignatures())
		require.Equal(t, documentsv1.SignatureState_SIGNATURE_STATE_SIGNED, got.GetEmailJob().GetSignatureRequests()[0].GetState())
		require.NoError(t, s.publish(d, false))
	})
}

func TestWhatAnEmailJobRefuses(t *testing.T) {
	s := onSQLite(t, options{run: true})
	s.fresh()
	client, folder := s.list.client("One")
	other, _ := s.list.client("Two")
	contact, stranger := s.list.person("C", "c@example.com", client), s.list.person("S", "s@example.com", other)
	d := s.upload(s.staff(), folder, "a.txt", []byte("a"))
	foreign := s.upload(s.staff(), s.business("Business"), "b.txt", []byte("b"))
	field := func(err error, want string) {
		t.Helper()
		require.Equal(t, want, s.refused(err, codes.InvalidArgument, "INVALID_REQUEST").Violations()[0].Field)
	}
	_, err := s.send(client, []string{contact, stranger}, d)
	field(err, "recipients[1]")
	_, err = s.send(client, []string{contact}, d, foreign)
	field(err, "documents[1]")
	_, err = s.send(client, nil, d)
	field(err, "recipients")
	_, err = s.send(client, []string{contact})
	field(err, "documents")
	_, err = s.send(client, []string{contact, contact}, d)
	field(err, "recipients")
	_, err = s.jobs.CreateEmailJob(s.staff(), &documentsv1.CreateEmailJobRequest{Parent: firmA, Client: client, Subject: "x",
		Documents: []string{d.GetName()}, ForSignature: []string{foreign.GetName()}, Recipients: []string{contact}})
	field(err, "for_signature[0]")
	_, err = s.send(firmA+"/clients/"+id(), []string{contact}, d)
	s.refused(err, codes.NotFound, "NOT_FOUND")
	job, err := s.send(client, []string{contact}, d)
	require.NoError(t, err)
	require.EqualValues(t, 1, job.GetNumber())
}

// An e-mail that can not be sent says so on its job, and one that can later is tried again.
func TestEmailsThatDoNotArrive(t *testing.T) {
	s := onSQLite(t, options{run: true})
	s.fresh()
	client, folder := s.list.client("One")
	without := s.list.person("No Address", "", client)
	good := s.list.person("Good", "good@example.com", client)
	gone := firmA + "/contacts/" + id()
	s.list.relate(gone, client)
	later := s.list.person("Later", "later@example.com", client)
	s.list.mu.Lock()
	held := s.list.contacts[later]
	s.list.broken[later] = true
	s.list.mu.Unlock()
	require.NotNil(t, held)
	d := s.upload(s.staff(), folder, "a.txt", []byte("a"))
	job, err := s.send(client, []string{without, gone, good, later}, d)
	require.NoError(t, err)
	deliveries := func() (all []*documentsv1.EmailDelivery) {
		got, err := s.jobs.GetEmailJob(s.staff(), &documentsv1.GetEmailJobRequest{Name: job.GetName()})
		require.NoError(t, err)
		return got.GetEmailJob().GetDeliveries()
	}
	eventstest.Until(t, "all were tried", func() bool { return deliveries()[3].GetProblem() != "" })
	got := deliveries()
	require.Equal(t, documentsv1.DeliveryState_DELIVERY_STATE_FAILED, got[0].GetState())
	require.Equal(t, "the contact has no e-mail address", got[0].GetProblem())
	require.Equal(t, "the contact is gone", got[1].GetProblem())
	require.Equal(t, documentsv1.DeliveryState_DELIVERY_STATE_SENT, got[2].GetState())
	require.Equal(t, documentsv1.DeliveryState_DELIVERY_STATE_PENDING, got[3].GetState())
	require.Equal(t, "the contact's address could not be looked up", got[3].GetProblem())
	s.list.mu.Lock()
	delete(s.list.broken, later)
	s.list.mu.Unlock()
	s.clock.advance(2 * time.Minute)
	s.fresh()
	_, err = s.send(client, []string{good}, d) // wakes the queue
	require.NoError(t, err)
	require.Len(t, s.inbox.messages("later@example.com", "20s"), 1)
	eventstest.Until(t, "the second job's e-mail came too", func() bool { return len(s.inbox.messages("good@example.com", "0s")) == 2 })
}

// What the mail server says decides whether an e-mail is tried again.
func TestWhatTheMailServerSays(t *testing.T) {
	s := onSQLite(t, options{run: true})
	s.fresh()
	client, folder := s.list.client("One")
	never := s.list.person("Never", "never@example.com", client)
	once := s.list.person("Not now", "busy@example.com", client)
	for i, rule := range []*world.DeliveryRule{
		{ID: "1", Channel: sinks.Mail, To: "never@*", Result: "reject", Code: 550},
		{ID: "2", Channel: sinks.Mail, To: "busy@*", Result: "reject", Code: 451, Times: 1},
	} {
		require.NoError(t, s.inbox.store.Update(func(tx *world.Tx) error { tx.Deliveries.Put(tx, rule.ID, rule); return nil }), "%d", i)
	}
	job, err := s.send(client, []string{never, once}, s.upload(s.staff(), folder, "a.txt", []byte("a")))
	require.NoError(t, err)
	var got []*documentsv1.EmailDelivery
	eventstest.Until(t, "both were tried", func() bool {
		resp, err := s.jobs.GetEmailJob(s.staff(), &documentsv1.GetEmailJobRequest{Name: job.GetName()})
		require.NoError(t, err)
		got = resp.GetEmailJob().GetDeliveries()
		return got[1].GetProblem() != ""
	})
	require.Equal(t, documentsv1.DeliveryState_DELIVERY_STATE_FAILED, got[0].GetState())
	require.Equal(t, "the mail server refused the e-mail (550)", got[0].GetProblem())
	require.Equal(t, documentsv1.DeliveryState_DELIVERY_STATE_PENDING, got[1].GetState())
	require.Equal(t, "the mail server refused the e-mail (451)", got[1].GetProblem())
	require.NotContains(t, s.logs.String(), "never@example.com")
}

// A contact that the client list knows, and documents has not heard of yet, is not refused as a stranger.
func TestARecipientThatIsNotKnownYet(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		s.t = t
		s.fresh()
		client, folder := s.list.client("New")
		d := s.upload(s.staff(), folder, "a.txt", []byte("a"))
		for range 5 {
			contact := firmA + "/contacts/" + id()
			s.list.say(contact, &synceventsv1.ContactRelationsChanged{Contact: contact, Clients: []string{client}})
			_, err := s.send(client, []string{contact}, d) // at once, without waiting for the event
			require.NoError(t, err)
		}
		_, err := s.send(client, []string{firmA + "/contacts/" + id()}, d)
		require.Equal(t, "related", s.refused(err, codes.InvalidArgument, "INVALID_REQUEST").Violations()[0].Rule)
		_, err = s.send(firmA+"/clients/"+id(), []string{firmA + "/contacts/" + id()}, d)
		s.refused(err, codes.NotFound, "NOT_FOUND")

		s.nats.Stop(t) // nobody can tell any more
		_, err = s.send(firmA+"/clients/"+id(), []string{firmA + "/contacts/" + id()}, d)
		s.refused(err, codes.NotFound, "NOT_FOUND")
		_, err = s.send(client, []string{firmA + "/contacts/" + id()}, &documentsv1.Document{Name: firmA + "/documents/" + id()})
		require.Equal(t, "documents[0]", s.refused(err, codes.InvalidArgument, "INVALID_REQUEST").Violations()[0].Field)
		_, err = s.send(client, []string{firmA + "/contacts/" + id()}, d)
		s.refused(err, codes.Unavailable, "SCOPE_STALE")
	})
}
