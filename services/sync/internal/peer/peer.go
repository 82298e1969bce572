// Package peer is the other services as sync sees them: connector, which reads records; documents, which secures folders;
// auth, which fences logins. It turns their messages into sync's own words and tells their errors apart by what to do
// about them. Nothing in it is called inside a transaction.
package peer

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/names"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	optionsv1 "github.com/concord-suite/concord/proto/gen/concord/options/v1"
)

// Self is the name under which this service calls others.
const Self = "sync"

// Peers are the connections to the other services.
type Peers struct {
	records     connectorv1.RecordServiceClient
	connections connectorv1.ConnectionServiceClient
	offboarding documentsv1.OffboardingServiceClient
	documents   documentsv1.DocumentServiceClient
	accounts    authv1.AccountServiceClient
}

// New makes them of connections.
func New(connector, documents, auth grpc.ClientConnInterface) *Peers {
	return &Peers{
		records:     connectorv1.NewRecordServiceClient(connector),
		connections: connectorv1.NewConnectionServiceClient(connector),
		offboarding: documentsv1.NewOffboardingServiceClient(documents),
		documents:   documentsv1.NewDocumentServiceClient(documents),
		accounts:    authv1.NewAccountServiceClient(auth),
	}
}

// InitiatorOf is who stands behind a call, in the form in which it is kept with the work that the call started: kind and
// id of a member of staff, "" for everybody else.
func InitiatorOf(p access.Principal) string {
	if o := p.Origin(); access.StaffKind(o.Kind) {
		return access.KindName(o.Kind) + ":" + o.ID
	}
	return ""
}

// AdministratorOf is InitiatorOf for a resource name of staff, of whom it is known that they act as administrator.
func AdministratorOf(staff string) string {
	ids, err := names.Parse("firms/{firm}/staff/{staff}", staff)
	if err != nil {
		return ""
	}
	return access.KindName(access.Administrator) + ":" + ids[1]
}

// InFirm returns a context in which sync acts in a firm, for whoever InitiatorOf named when the work was started; for
// nobody when a schedule or an event started it.
func InFirm(ctx context.Context, firm, initiator string) context.Context {
	p := access.ServicePrincipal(Self, firm)
	if kind, id, ok := strings.Cut(initiator, ":"); ok {
		k := access.Kind(optionsv1.PrincipalKind_value["PRINCIPAL_KIND_"+kind])
		p.Initiator = &access.Principal{Kind: k, ID: id, Firm: firm}
	}
	return access.With(ctx, p)
}

// Listing is a listing being read, page by page.
type Listing struct {
	stream grpc.ServerStreamingClient[connectorv1.StreamRecordsResponse]
	cancel context.CancelFunc
}

// pageWait bounds the wait for one page. A page of 500 takes a provider seconds, and the connector waits for its minute
// limit in between; what takes longer is hung.
const pageWait = 5 * time.Minute

// List begins a listing, or goes on with it after a page token. Close it after use.
func (p *Peers) List(ctx context.Context, connection string, what connectorv1.Listing, token string, since time.Time) (*Listing, error) {
	ctx, cancel := context.WithCancel(ctx)
	req := &connectorv1.StreamRecordsRequest{Connection: connection, Listing: what, PageToken: token}
	if what == connectorv1.Listing_LISTING_CHANGED_CLIENTS {
		req.ChangedSince = timestamppb.New(since)
	}
	stream, err := p.records.StreamRecords(ctx, req)
	if err != nil {
		cancel()
		return nil, err
	}
	return &Listing{stream: stream, cancel: cancel}, nil
}

var (
	// errEnded: the listing ended before a page said that it was the last.
	errEnded = errors.New("the listing broke off before its last page")
	// errSlow: no page came for too long.
	errSlow = errors.New("no page came within five minutes")
)

// Next returns the next page.
func (l *Listing) Next() (*connectorv1.StreamRecordsResponse, error) {
	slow := time.AfterFunc(pageWait, l.cancel)
	page, err := l.stream.Recv()
	switch {
	case !slow.Stop() && err != nil:
		return nil, errSlow
	case errors.Is(err, io.EOF):
		return nil, errEnded
	}
	return page, err
}

// Close ends the listing.
func (l *Listing) Close() { l.cancel() }

// recordWait bounds the reading of one record. The connector waits for up to a minute until the provider's limit lets the
// call pass, before it says that the limit is used up.
const recordWait = 90 * time.Second

// Record reads one client record. interactive may use the calls kept for people.
func (p *Peers) Record(ctx context.Context, connection, record string, interactive bool) (*connectorv1.GetRecordResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, recordWait)
	defer cancel()
	return p.records.GetRecord(ctx, &connectorv1.GetRecordRequest{Connection: connection, RecordId: record, Interactive: interactive})
}

// Details reads one client record with groups, relationships and custom fields, when nobody waits for it.
func (p *Peers) Details(ctx context.Context, connection, record string) (*connectorv1.GetRecordResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, recordWait)
	defer cancel()
	return p.records.GetRecord(ctx, &connectorv1.GetRecordRequest{Connection: connection, RecordId: record, Detail: true})
}

// Estimate asks what a piece of work would cost. No call to a provider is made.
func (p *Peers) Estimate(ctx context.Context, req *connectorv1.EstimateCallsRequest) (*connectorv1.EstimateCallsResponse, error) {
	return p.records.EstimateCalls(ctx, req)
}

// Connection reads one connection.
func (p *Peers) Connection(ctx context.Context, name string) (*connectorv1.Connection, error) {
	resp, err := p.connections.GetConnection(ctx, &connectorv1.GetConnectionRequest{Name: name})
	return resp.GetConnection(), err
}
