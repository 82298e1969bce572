package api

import (
	"context"
	"encoding/hex"
	"math"

	"google.golang.org/protobuf/proto"

	"github.com/concord-suite/concord/platform/sqldb"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	auditeventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/audit/v1"
	"github.com/concord-suite/concord/services/auth/internal/store"
)

// GetKeys implements authv1.KeyServiceServer.
func (s keyServer) GetKeys(context.Context, *authv1.GetKeysRequest) (*authv1.GetKeysResponse, error) {
	jwks, err := s.Issuer.JWKS()
	if err != nil {
		return nil, err
	}
	return &authv1.GetKeysResponse{Jwks: jwks}, nil
}

// ledgerCursor is the last entry of a page.
type ledgerCursor struct{ Before int64 }

// ListAuditEntries implements authv1.LedgerServiceServer.
func (s ledgerServer) ListAuditEntries(ctx context.Context, req *authv1.ListAuditEntriesRequest) (*authv1.ListAuditEntriesResponse, error) {
	const kind = "audit"
	size := pageSize(req.GetPageSize())
	from := ledgerCursor{Before: math.MaxInt64}
	if err := readToken(req.GetPageToken(), kind, &from); err != nil {
		return nil, err
	}
	filter := store.LedgerFilter{Actor: req.GetActor(), Action: req.GetAction(), Resource: req.GetResource()}
	var rows []store.LedgerEntry
	err := s.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
		rows, err = store.ListLedger(tx, firmOf(req.GetParent()), filter, from.Before, size+1)
		return err
	})
	if err != nil {
		return nil, err
	}
	rows, next, err := page(rows, size, kind, func(e store.LedgerEntry) any { return ledgerCursor{e.Sequence} })
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
		walk, head, err := store.WalkLedger(tx, firmOf(req.GetParent()), findable)
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

// findable tells whether the columns an entry is found by say what the entry says: hiding an entry from a search is
// tampering, too.
func findable(row store.LedgerEntry) bool {
	e := &auditeventsv1.AuditEntry{}
	return proto.Unmarshal(row.Payload, e) == nil && e.GetEntryId() == row.EntryID && e.GetActor() == row.Actor &&
		e.GetAction() == row.Action && e.GetResource() == row.Resource && sqldb.Micros(e.GetOccurredAt().AsTime()) == sqldb.Micros(row.Occurred)
}
