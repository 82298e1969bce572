package api

import (
	"context"
	"encoding/hex"
	"errors"
	"math"
	"net/url"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/telemetry"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	auditeventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/audit/v1"
	"github.com/concord-suite/concord/services/auth/internal/api/evidence"
	"github.com/concord-suite/concord/services/auth/internal/api/trail"
	"github.com/concord-suite/concord/services/auth/internal/store/chain"
)

// GetKeys implements authv1.KeyServiceServer.
func (s keyServer) GetKeys(context.Context, *authv1.GetKeysRequest) (*authv1.GetKeysResponse, error) {
	jwks, err := s.Issuer.JWKS()
	if err != nil {
		return nil, err
	}
	return &authv1.GetKeysResponse{Jwks: jwks}, nil
}

// ListAuditEntries implements authv1.LedgerServiceServer.
func (s ledgerServer) ListAuditEntries(ctx context.Context, req *authv1.ListAuditEntriesRequest) (*authv1.ListAuditEntriesResponse, error) {
	const kind = "audit"
	size := pageSize(req.GetPageSize())
	from := chain.Cursor{Occurred: math.MaxInt64, Sequence: math.MaxInt64}
	if err := readToken(req.GetPageToken(), kind, &from); err != nil {
		return nil, err
	}
	filter := chain.Filter{Actor: req.GetActor(), Action: req.GetAction(), Resource: req.GetResource(), Failures: req.GetFailuresOnly()}
	var err error
	if filter.From, err = moment("start_time", req.GetStartTime()); err != nil {
		return nil, err
	}
	if filter.Until, err = moment("end_time", req.GetEndTime()); err != nil {
		return nil, err
	}
	rows, err := trail.List(ctx, s.DB, firmOf(req.GetParent()), filter, from, size+1)
	if err != nil {
		return nil, err
	}
	rows, next, err := page(rows, size, kind, func(e chain.Entry) any {
		return chain.Cursor{Occurred: sqldb.Micros(e.Occurred), Sequence: e.Sequence}
	})
	if err != nil {
		return nil, err
	}
	resp := &authv1.ListAuditEntriesResponse{NextPageToken: next}
	for _, row := range rows {
		entry := &auditeventsv1.AuditEntry{}
		if err := proto.Unmarshal(row.Payload, entry); err != nil {
			return nil, err // VerifyLedger says which entry it is
		}
		resp.Entries = append(resp.Entries, &authv1.LedgerEntry{
			Sequence: row.Sequence, Entry: entry, Hash: hex.EncodeToString(row.Hash),
		})
	}
	return resp, nil
}

// VerifyLedger implements authv1.LedgerServiceServer.
func (s ledgerServer) VerifyLedger(ctx context.Context, req *authv1.VerifyLedgerRequest) (*authv1.VerifyLedgerResponse, error) {
	resp := &authv1.VerifyLedgerResponse{}
	err := s.DB.Read(ctx, func(tx *sqldb.Tx) error {
		walk, head, err := chain.Walk(tx, firmOf(req.GetParent()), trail.Findable)
		if err != nil {
			return err
		}
		resp.Intact, resp.Entries, resp.FirstBrokenSequence = walk.Broken == 0, walk.Entries, walk.Broken
		resp.HeadHash = hex.EncodeToString(head.Hash)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// moment reads a time that may be left out.
func moment(field string, t *timestamppb.Timestamp) (time.Time, error) {
	switch {
	case t == nil:
		return time.Time{}, nil
	case !t.IsValid():
		return time.Time{}, violation(field, field, "must be a time of the years 1 to 9999")
	}
	return t.AsTime(), nil
}

// pieceSize is about how many bytes of a file go into one message.
const pieceSize = 64 << 10

// ExportAuditEntries implements authv1.LedgerServiceServer.
func (s ledgerServer) ExportAuditEntries(
	req *authv1.ExportAuditEntriesRequest, out grpc.ServerStreamingServer[authv1.ExportAuditEntriesResponse],
) error {
	keys := trail.Keys{DB: s.DB, Vault: s.Vault, Now: s.Now}
	w := &pieces{out: out}
	err := keys.Export(out.Context(), w, firmOf(req.GetParent()), req.GetFirstSequence(), telemetry.ReadBuild().String())
	if errors.Is(err, trail.ErrBeyond) {
		return violation("first_sequence", "first_sequence", "must be a place in the chain, or the one behind its end")
	}
	if err != nil {
		return err
	}
	return w.flush()
}

// pieces sends lines as messages of many.
type pieces struct {
	out   grpc.ServerStreamingServer[authv1.ExportAuditEntriesResponse]
	lines []byte
}

// Write implements io.Writer; it is given whole lines.
func (p *pieces) Write(line []byte) (int, error) {
	p.lines = append(p.lines, line...)
	if len(p.lines) < pieceSize {
		return len(line), nil
	}
	return len(line), p.flush()
}

// flush sends what is left. A message is encoded before Send returns, so the bytes may be used again.
func (p *pieces) flush() error {
	err := p.out.Send(&authv1.ExportAuditEntriesResponse{Content: p.lines})
	p.lines = p.lines[:0]
	return err
}

// GetEvidence implements authv1.EvidenceServiceServer.
func (s evidenceServer) GetEvidence(ctx context.Context, req *authv1.GetEvidenceRequest) (*authv1.GetEvidenceResponse, error) {
	e, err := s.Evidence(ctx, firmOf(req.GetName()))
	if err != nil {
		return nil, err
	}
	return &authv1.GetEvidenceResponse{Evidence: e}, nil
}

// Evidence counts the evidence of a firm. Of the server it needs the database, the vault, the clock and the site.
func (s *Server) Evidence(ctx context.Context, firm string) (*authv1.Evidence, error) {
	site, err := url.Parse(s.Site)
	if err != nil {
		return nil, err
	}
	source := evidence.Source{DB: s.DB, Vault: s.Vault, Now: s.Now, Site: site.Hostname(), Policy: readPolicy}
	return source.Of(ctx, firm)
}
