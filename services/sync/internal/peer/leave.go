package peer

import (
	"context"
	"io"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/history"
)

// Preview is what documents would do about a client that leaves.
type Preview struct {
	Blockers  []client.Blocker
	Documents int64
}

// Preview asks what blocks a client and what its folder holds, and changes nothing.
func (p *Peers) Preview(ctx context.Context, clientName string) (Preview, error) {
	resp, err := p.offboarding.PreviewOffboarding(ctx, &documentsv1.PreviewOffboardingRequest{Client: clientName})
	return Preview{Blockers: blockersOf(resp.GetBlockers()), Documents: resp.GetDocumentCount()}, by("documents", err)
}

func blockersOf(all []*documentsv1.Blocker) []client.Blocker {
	var out []client.Blocker
	for _, b := range all {
		out = append(out, client.Blocker{Kind: b.GetKind(), Description: b.GetDescription(), Resource: b.GetResource()})
	}
	return out
}

// Begun is what documents answered to Begin.
type Begun struct {
	// Blockers are what blocks it; none means that the fence stands.
	Blockers  []client.Blocker
	Folder    string
	Documents int64
	// TrailSeq is the last event about the client that documents emitted before the fence.
	TrailSeq int64
}

// Begin fences a client at documents, or answers what blocks it.
func (p *Peers) Begin(ctx context.Context, clientName, offboarding string, override bool, why string) (Begun, error) {
	resp, err := p.offboarding.BeginOffboarding(ctx, &documentsv1.BeginOffboardingRequest{
		Client: clientName, Offboarding: offboarding, Override: override, Reason: why,
	})
	return Begun{
		Blockers: blockersOf(resp.GetBlockers()), Folder: resp.GetFolder(), Documents: resp.GetDocumentCount(),
		TrailSeq: resp.GetTrailSequence(),
	}, by("documents", err)
}

// trailKinds are the kinds of history entries, by what documents tells.
var trailKinds = map[string]string{
	"documents.v1.document_filed":      history.DocumentFiled,
	"documents.v1.documents_archived":  history.DocumentsArchived,
	"documents.v1.email_job_sent":      history.EmailJobSent,
	"documents.v1.signature_completed": history.SignatureComplete,
}

// Trail asks documents what it told about a client after a place on its trail, for when the bus does not bring it. At
// most some hundred entries come at once. One that can not tell yet, since it is an older documents, tells nothing.
func (p *Peers) Trail(ctx context.Context, clientName, clientID string, after int64) ([]history.Entry, error) {
	resp, err := p.offboarding.ReadClientTrail(ctx, &documentsv1.ReadClientTrailRequest{Client: clientName, AfterSequence: after})
	if status.Code(err) == codes.Unimplemented {
		return nil, nil
	}
	var entries []history.Entry
	for _, e := range resp.GetEvents() {
		kind, known := trailKinds[e.GetSubject()]
		if !known {
			break // a newer documents tells more: what follows would leave a gap
		}
		entries = append(entries, history.Entry{
			Client: clientID, At: e.GetOccurTime().AsTime(), Kind: kind, Actor: e.GetActor(), Summary: e.GetSummary(),
			Resource: e.GetResource(), TrailSeq: e.GetSequence(),
		})
	}
	return entries, by("documents", err)
}

// Abort lifts the fence of an off-boarding that will not happen.
func (p *Peers) Abort(ctx context.Context, clientName, offboarding string) error {
	_, err := p.offboarding.AbortOffboarding(ctx, &documentsv1.AbortOffboardingRequest{Client: clientName, Offboarding: offboarding})
	return by("documents", err)
}

// Secured is what came of a client's folder.
type Secured struct {
	Folder    string
	Removed   bool
	Documents int64
}

// Commit lets documents turn the folder.
func (p *Peers) Commit(ctx context.Context, clientName, offboarding string) (Secured, error) {
	resp, err := p.offboarding.CommitOffboarding(ctx, &documentsv1.CommitOffboardingRequest{Client: clientName, Offboarding: offboarding})
	return Secured{Folder: resp.GetFolder(), Removed: resp.GetRemoved(), Documents: resp.GetDocumentCount()}, by("documents", err)
}

// Returned is what documents brought back.
type Returned struct {
	Folder    string
	Documents int64
	// Missing is what could not be brought back, in words.
	Missing []string
}

// Reverse makes the folder the client's again.
func (p *Peers) Reverse(ctx context.Context, clientName, offboarding, displayName string) (Returned, error) {
	resp, err := p.offboarding.ReverseOffboarding(ctx, &documentsv1.ReverseOffboardingRequest{
		Client: clientName, Offboarding: offboarding, DisplayName: displayName,
	})
	return Returned{Folder: resp.GetFolder(), Documents: resp.GetDocumentCount(), Missing: resp.GetMissing()}, by("documents", err)
}

// Fence keeps auth from giving logins to contacts, and returns those that have one.
func (p *Peers) Fence(ctx context.Context, firmName, saga string, contacts []string) ([]string, error) {
	resp, err := p.accounts.FenceContactLogins(ctx, &authv1.FenceContactLoginsRequest{Firm: firmName, Saga: saga, Contacts: contacts})
	return resp.GetContactsWithLogin(), by("auth", err)
}

// Lift ends the fence of a saga at auth.
func (p *Peers) Lift(ctx context.Context, firmName, saga string) error {
	_, err := p.accounts.LiftContactLoginFence(ctx, &authv1.LiftContactLoginFenceRequest{Firm: firmName, Saga: saga})
	return by("auth", err)
}

// SystemFile is a document that the suite itself makes.
type SystemFile struct {
	Firm, Client, Name, MediaType string
	// Key makes it this document: filing a key again replaces what differs, unless that has a higher Revision.
	Key      string
	Revision int64
	// Offboarding is the resource name of the off-boarding it belongs to.
	Offboarding string
}

// Filed is what documents answered to File.
type Filed struct {
	// Document is the resource name.
	Document string
	// InRecords is true when it went to the folder for records of off-boardings.
	InRecords bool
	// TrailSeq is the last event about the client that documents had emitted when it filed.
	TrailSeq int64
}

const (
	// fileWait bounds the filing of one history. The largest take seconds.
	fileWait = 2 * time.Minute
	// pieceSize is how much goes into one message: gRPC is fastest from 256 KiB, and the contract allows 1 MiB.
	pieceSize = 256 << 10
)

// File files a document while write produces it.
func (p *Peers) File(ctx context.Context, f SystemFile, write func(io.Writer) error) (Filed, error) {
	ctx, cancel := context.WithTimeout(ctx, fileWait)
	defer cancel()
	stream, err := p.documents.FileSystemDocument(ctx)
	if err != nil {
		return Filed{}, by("documents", err)
	}
	if err := stream.Send(&documentsv1.FileSystemDocumentRequest{
		Firm: f.Firm, Client: f.Client, DisplayName: f.Name, MediaType: f.MediaType, Key: f.Key,
		Revision: f.Revision, Offboarding: f.Offboarding,
	}); err != nil && err != io.EOF {
		return Filed{}, by("documents", err)
	}
	pieces := &pieces{send: func(b []byte) error { return stream.Send(&documentsv1.FileSystemDocumentRequest{Data: b}) }}
	err = write(pieces)
	if err == nil {
		err = pieces.flush()
	}
	if err != nil && err != io.EOF { // io.EOF: the other side ended the stream, and CloseAndRecv says why
		return Filed{}, by("documents", err)
	}
	resp, err := stream.CloseAndRecv()
	return Filed{
		Document: resp.GetDocument().GetName(), InRecords: resp.GetInRecordsFolder(), TrailSeq: resp.GetTrailSequence(),
	}, by("documents", err)
}

// pieces gathers what is written into messages.
type pieces struct {
	buf  []byte
	send func([]byte) error
}

func (p *pieces) Write(b []byte) (int, error) {
	p.buf = append(p.buf, b...)
	if len(p.buf) < pieceSize {
		return len(b), nil
	}
	return len(b), p.flush()
}

func (p *pieces) flush() error {
	for len(p.buf) > 0 {
		n := min(len(p.buf), pieceSize)
		if err := p.send(p.buf[:n:n]); err != nil {
			return err
		}
		p.buf = p.buf[n:]
	}
	p.buf = nil // sent pieces may still be on their way
	return nil
}
