package api

import (
	"context"
	"errors"
	"fmt"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/idem"
	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/sqldb"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	"github.com/concord-suite/concord/services/documents/internal/signing"
	"github.com/concord-suite/concord/services/documents/internal/store"
	"github.com/concord-suite/concord/services/documents/internal/store/cabinet"
)

// emailJobs implements EmailJobService.
type emailJobs struct {
	documentsv1.UnimplementedEmailJobServiceServer
	Deps
}

// CreateEmailJob implements documentsv1.EmailJobServiceServer.
func (s *emailJobs) CreateEmailJob(ctx context.Context, req *documentsv1.CreateEmailJobRequest) (*documentsv1.CreateEmailJobResponse, error) {
	letter, err := letterOf(ctx, req)
	if err != nil {
		return nil, err
	}
	// A recipient that stopped relating to the client a moment ago must not get its documents.
	if err := s.fresh(ctx, letter.Firm); err != nil {
		return nil, err
	}
	send := func() (*documentsv1.CreateEmailJobResponse, error) {
		return idem.Do(ctx, s.Memory, req, func(tx *sqldb.Tx) (*documentsv1.CreateEmailJobResponse, error) {
			j, err := s.Cabinet.SendLetter(tx, letter)
			return &documentsv1.CreateEmailJobResponse{EmailJob: jobMessage(j)}, err
		})
	}
	asked := s.Now()
	resp, err := send()
	if stranger(err) { // the client list may know better: it is given the time to say so
		if err := s.Known(ctx, letter.Firm, asked); err != nil {
			return nil, errScopeStale.Because(err)
		}
		resp, err = send()
	}
	return resp, failure(err)
}

// stranger tells whether a letter was refused for a contact that is not known here to relate to the client. A client that is
// not known here has no documents here either, of which to make a letter.
func stranger(err error) bool {
	field, ok := errors.AsType[*cabinet.FieldError](err)
	return ok && field.Rule == cabinet.Related
}

func letterOf(ctx context.Context, req *documentsv1.CreateEmailJobRequest) (l cabinet.Letter, err error) {
	l = cabinet.Letter{Subject: req.GetSubject(), Message: req.GetMessage(), SentBy: Actor(ctx)}
	if l.Firm, err = names.Firm(req.GetParent()); err != nil {
		return l, errNotFound
	}
	if l.Client, err = within(l.Firm, "client", cabinet.ClientPattern, req.GetClient()); err != nil {
		return l, err
	}
	for _, list := range []struct {
		field, pattern string
		names          []string
		ids            *[]string
	}{
		{"documents", cabinet.DocumentPattern, req.GetDocuments(), &l.Documents},
		{"for_signature", cabinet.DocumentPattern, req.GetForSignature(), &l.ForSignature},
		{"recipients", cabinet.ContactPattern, req.GetRecipients(), &l.Recipients},
	} {
		for i, name := range list.names {
			id, err := within(l.Firm, fmt.Sprintf("%s[%d]", list.field, i), list.pattern, name)
			if err != nil {
				return l, err
			}
			*list.ids = append(*list.ids, id)
		}
	}
	return l, nil
}

// ListEmailJobs implements documentsv1.EmailJobServiceServer.
func (s *emailJobs) ListEmailJobs(ctx context.Context, req *documentsv1.ListEmailJobsRequest) (*documentsv1.ListEmailJobsResponse, error) {
	firm, err := names.Firm(req.GetParent())
	if err != nil {
		return nil, errNotFound
	}
	client, err := within(firm, "client", cabinet.ClientPattern, req.GetClient())
	if err != nil {
		return nil, err
	}
	at, size, err := begin(req)
	if err != nil {
		return nil, err
	}
	rows, err := read(ctx, s.DB, func(tx *sqldb.Tx) ([]signing.Job, error) {
		return store.Jobs(tx, store.JobQuery{Firm: firm, Client: client, Before: at.Number, Limit: size + 1})
	})
	if err != nil {
		return nil, err
	}
	resp := &documentsv1.ListEmailJobsResponse{}
	rows, again := more(rows, size)
	for _, j := range rows {
		resp.EmailJobs = append(resp.EmailJobs, jobMessage(j))
	}
	if again {
		at.Number = rows[size-1].Number
		resp.NextPageToken = at.token()
	}
	return resp, nil
}

// GetEmailJob implements documentsv1.EmailJobServiceServer.
func (s *emailJobs) GetEmailJob(ctx context.Context, req *documentsv1.GetEmailJobRequest) (*documentsv1.GetEmailJobResponse, error) {
	firm, id, err := parse("name", cabinet.JobPattern, req.GetName())
	if err != nil {
		return nil, err
	}
	j, err := read(ctx, s.DB, func(tx *sqldb.Tx) (signing.Job, error) { return store.JobOf(tx, firm, id) })
	if err != nil {
		return nil, err
	}
	return &documentsv1.GetEmailJobResponse{EmailJob: jobMessage(j)}, nil
}

// ListSignatureRequests implements documentsv1.EmailJobServiceServer.
func (s *emailJobs) ListSignatureRequests(ctx context.Context, req *documentsv1.ListSignatureRequestsRequest) (*documentsv1.ListSignatureRequestsResponse, error) {
	firm, err := names.Firm(req.GetParent())
	if err != nil {
		return nil, errNotFound
	}
	q := store.RequestQuery{Firm: firm, State: stateOf(req.GetState())}
	if q.Client, err = within(firm, "client", cabinet.ClientPattern, req.GetClient()); err != nil {
		return nil, err
	}
	if q.Contact, err = s.viewer(ctx, firm); err != nil {
		return nil, err
	}
	at, size, err := begin(req)
	if err != nil {
		return nil, err
	}
	q.BeforeTime, q.BeforeID, q.Limit = at.Number, at.ID, size+1
	rows, err := read(ctx, s.DB, func(tx *sqldb.Tx) ([]signing.Request, error) { return store.Requests(tx, q) })
	if err != nil {
		return nil, err
	}
	resp := &documentsv1.ListSignatureRequestsResponse{}
	rows, again := more(rows, size)
	for _, r := range rows {
		resp.SignatureRequests = append(resp.SignatureRequests, requestMessage(r))
	}
	if again {
		at.Number, at.ID = sqldb.Micros(rows[size-1].Created), rows[size-1].ID
		resp.NextPageToken = at.token()
	}
	return resp, nil
}

// SignDocument implements documentsv1.EmailJobServiceServer.
func (s *emailJobs) SignDocument(ctx context.Context, req *documentsv1.SignDocumentRequest) (*documentsv1.SignDocumentResponse, error) {
	firm, id, err := parse("name", cabinet.RequestPattern, req.GetName())
	if err != nil {
		return nil, err
	}
	contact, err := s.viewer(ctx, firm)
	if err != nil {
		return nil, err
	}
	p := access.From(ctx)
	answer := cabinet.Answer{Firm: firm, Request: id, Contact: contact, Name: Actor(ctx), Sign: req.GetSign(),
		Seen: req.GetDocumentSha256(), Evidence: signing.Evidence{Session: p.Session, Address: p.Address}}
	resp, err := idem.Do(ctx, s.Memory, req, func(tx *sqldb.Tx) (*documentsv1.SignDocumentResponse, error) {
		r, err := s.Cabinet.AnswerRequest(tx, answer)
		return &documentsv1.SignDocumentResponse{SignatureRequest: requestMessage(r)}, err
	})
	return resp, failure(err)
}

// WithdrawSignatureRequest implements documentsv1.EmailJobServiceServer.
func (s *emailJobs) WithdrawSignatureRequest(ctx context.Context, req *documentsv1.WithdrawSignatureRequestRequest) (*documentsv1.WithdrawSignatureRequestResponse, error) {
	firm, id, err := parse("name", cabinet.RequestPattern, req.GetName())
	if err != nil {
		return nil, err
	}
	resp, err := idem.Do(ctx, s.Memory, req, func(tx *sqldb.Tx) (*documentsv1.WithdrawSignatureRequestResponse, error) {
		r, err := s.Cabinet.WithdrawRequest(tx, firm, id, req.GetReason(), Actor(ctx))
		return &documentsv1.WithdrawSignatureRequestResponse{SignatureRequest: requestMessage(r)}, err
	})
	return resp, failure(err)
}
