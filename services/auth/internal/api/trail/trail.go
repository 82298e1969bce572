// Package trail reads the ledger for people and programs outside: found, copied, followed and checked.
package trail

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/sqldb"
	auditeventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/audit/v1"
	"github.com/concord-suite/concord/services/auth/internal/store/chain"
)

// List returns entries of a chain, newest first. Of entries from before it was noted whether they worked, those that did are
// taken out of a list of failures here.
func List(ctx context.Context, db *sqldb.DB, name string, f chain.Filter, before chain.Cursor, limit int) (out []chain.Entry, err error) {
	for len(out) < limit {
		var rows []chain.Entry
		err := db.Read(ctx, func(tx *sqldb.Tx) (err error) {
			rows, err = chain.List(tx, name, f, before, limit)
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			if !f.Failures || !worked(row) {
				out = append(out, row)
			}
			before = chain.Cursor{Occurred: sqldb.Micros(row.Occurred), Sequence: row.Sequence}
		}
		if len(rows) < limit {
			break
		}
	}
	return out[:min(len(out), limit)], nil
}

func worked(row chain.Entry) bool {
	e := &auditeventsv1.AuditEntry{}
	return proto.Unmarshal(row.Payload, e) == nil && e.GetSuccess()
}

// Findable tells whether the columns an entry is found by say what the entry says: hiding an entry from a search is
// tampering, too.
func Findable(row chain.Entry) bool {
	e := &auditeventsv1.AuditEntry{}
	return proto.Unmarshal(row.Payload, e) == nil && e.GetEntryId() == row.ID && e.GetActor() == row.Actor &&
		e.GetAction() == row.Action && e.GetResource() == row.Resource && (e.GetSuccess() || !row.Succeeded) &&
		sqldb.Micros(e.GetOccurredAt().AsTime()) == sqldb.Micros(row.Occurred)
}

// words is an entry as people read it in copies of the ledger. Its form is part of the format: fields are added at the end
// of it and never renamed.
type words struct {
	ID            string `json:"id"`
	Time          string `json:"time"`
	Firm          string `json:"firm,omitempty"`
	Service       string `json:"service"`
	ActorKind     string `json:"actor_kind"`
	Actor         string `json:"actor,omitempty"`
	InitiatorKind string `json:"initiator_kind,omitempty"`
	Initiator     string `json:"initiator,omitempty"`
	Session       string `json:"session,omitempty"`
	Address       string `json:"address,omitempty"`
	UserAgent     string `json:"user_agent,omitempty"`
	Action        string `json:"action"`
	Permission    string `json:"permission,omitempty"`
	Resource      string `json:"resource,omitempty"`
	Kind          string `json:"kind"`
	Success       bool   `json:"success"`
	Reason        string `json:"reason,omitempty"`
	Methods       string `json:"methods,omitempty"`
	Trace         string `json:"trace,omitempty"`
}

// Words writes what the bytes of an entry say as JSON, for transcripts: always the same for the same bytes. It answers the
// firm they name, and nothing readable when the entry is from a later release and says more than this one knows.
func Words(payload []byte) (firm string, readable json.RawMessage, err error) {
	e := &auditeventsv1.AuditEntry{}
	if err := proto.Unmarshal(payload, e); err != nil {
		return "", nil, err
	}
	if len(e.ProtoReflect().GetUnknown()) > 0 {
		return e.GetFirm(), nil, nil
	}
	w := words{
		ID: e.GetEntryId(), Time: e.GetOccurredAt().AsTime().Format(time.RFC3339Nano), Firm: e.GetFirm(), Service: e.GetService(),
		ActorKind: access.KindName(e.GetActorKind()), Actor: e.GetActor(), Initiator: e.GetInitiator(), Session: e.GetSession(),
		Address: e.GetAddress(), UserAgent: e.GetUserAgent(), Action: e.GetAction(), Permission: e.GetPermission(),
		Resource: e.GetResource(), Kind: strings.TrimPrefix(e.GetKind().String(), "AUDIT_KIND_"), Success: e.GetSuccess(),
		Reason: e.GetReason(), Methods: e.GetMethods(), Trace: e.GetTraceId(),
	}
	if e.GetInitiatorKind() != 0 {
		w.InitiatorKind = access.KindName(e.GetInitiatorKind())
	}
	readable, err = json.Marshal(w)
	return e.GetFirm(), readable, err
}
