package api

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/concord-suite/concord/platform/idem"
	"github.com/concord-suite/concord/platform/sqldb"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"

	"github.com/concord-suite/concord/services/connector/internal/api/reason"
	"github.com/concord-suite/concord/services/connector/internal/api/wire"
	"github.com/concord-suite/concord/services/connector/internal/connection"
	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/provider/upstream"
	"github.com/concord-suite/concord/services/connector/internal/record"
)

const (
	// writeLease is how long one try at a change has the request to itself. A call that waits for its turn and for a slow
	// provider takes two and a half minutes; work beyond writeBound is given up before the lease ends.
	writeLease, writeBound = 4 * time.Minute, 3*time.Minute + 45*time.Second
	// finishWait bounds writing down what was done, also for a caller who has gone.
	finishWait = 10 * time.Second
	// maxWrites bounds how often a change is sent whose answer was lost and which was then seen to have had no effect.
	maxWrites = 3
)

// writing is one change of one client on its way.
type writing struct {
	conn   connection.Connection
	caller *upstream.Caller
	writer provider.Writer
	record string
	// fit says why a client, as it is, is not to be changed.
	fit func(record.Record) error
	// done says whether a client is as it shall be.
	done func(record.Record) bool
	// send makes the change.
	send func(ctx context.Context, d provider.Document) (record.Record, time.Time, error)
}

// written is a client after a change.
type written struct {
	record record.Record
	at     time.Time
}

// writing finds a connection and who writes for it.
func (s *Records) writing(ctx context.Context, name, record string, interactive bool) (*writing, error) {
	c, def, caller, err := s.caller(ctx, name, lane(interactive))
	if err != nil {
		return nil, err
	}
	writer, ok := def.Adapter.(provider.Writer)
	if !ok {
		return nil, reason.NotSupported.Messagef("clients of this provider can't be changed from here")
	}
	return &writing{conn: c, caller: caller, writer: writer, record: record}, nil
}

// UpdateRecord writes fields of one client that is as the caller read it.
func (s *Records) UpdateRecord(ctx context.Context, req *connectorv1.UpdateRecordRequest) (*connectorv1.UpdateRecordResponse, error) {
	w, err := s.writing(ctx, req.GetConnection(), req.GetRecordId(), req.GetInteractive())
	if err != nil {
		return nil, err
	}
	set := wire.Client(req.GetClient())
	paths, err := writable(w.writer, set, req.GetUpdateMask().GetPaths())
	if err != nil {
		return nil, err
	}
	key := w.key(req.GetRequestId())
	w.fit = func(r record.Record) error {
		if r.Client == nil || r.Hash() != req.GetExpectedHash() {
			return reason.RecordMoved
		}
		return nil
	}
	w.done = func(r record.Record) bool { return r.Client != nil && same(r.Client, set, paths) }
	w.send = func(ctx context.Context, d provider.Document) (record.Record, time.Time, error) {
		got, at, err := d.Update(ctx, w.caller, key, set, paths)
		return got, at, blamed(err, paths)
	}
	return change(ctx, s, req, w, func(now written) *connectorv1.UpdateRecordResponse {
		return &connectorv1.UpdateRecordResponse{Record: wire.ToRecord(now.record), Calls: int32(w.caller.Calls()), ServerTime: timestamppb.New(now.at)}
	})
}

// ArchiveRecord archives one client, unless it is archived.
func (s *Records) ArchiveRecord(ctx context.Context, req *connectorv1.ArchiveRecordRequest) (*connectorv1.ArchiveRecordResponse, error) {
	w, err := s.writing(ctx, req.GetConnection(), req.GetRecordId(), req.GetInteractive())
	if err != nil {
		return nil, err
	}
	key := w.key(req.GetRequestId())
	w.fit = func(r record.Record) error {
		if r.State == record.Deleted {
			return reason.ProviderRefused.Messagef("the client is deleted at the provider; there is nothing to archive")
		}
		return nil
	}
	w.done = func(r record.Record) bool { return r.State == record.Archived }
	w.send = func(ctx context.Context, d provider.Document) (record.Record, time.Time, error) {
		return d.Archive(ctx, w.caller, key)
	}
	return change(ctx, s, req, w, func(now written) *connectorv1.ArchiveRecordResponse {
		return &connectorv1.ArchiveRecordResponse{Record: wire.ToRecord(now.record), Calls: int32(w.caller.Calls())}
	})
}

// key names a change to the provider. It is the same for the same request, whoever sends it.
func (w *writing) key(request string) string {
	if request == "" {
		request = uuid.NewString()
	}
	return w.conn.ID + "/" + w.record + "/" + request
}

// change makes a change once for a request, however often the request comes. What the change did is written down also
// when the caller has gone meanwhile.
func change[R proto.Message](ctx context.Context, s *Records, req proto.Message, w *writing, answer func(written) R) (none R, err error) {
	aside := upstream.Aside(ctx) // the entry in the audit ledger belongs to the transaction of Finish
	try, answered, err := idem.Begin[R](aside, s.Memory, req, writeLease)
	if err != nil || try == nil {
		return answered, err
	}
	bounded, cancel := context.WithTimeout(aside, writeBound)
	defer cancel()
	now, sure, err := w.run(bounded, try.Resumed)
	switch {
	case err != nil && sure:
		return none, try.Abandon(aside, reason.Of(err))
	case err != nil:
		return none, try.Leave(aside, reason.Of(err))
	}
	now.record = now.record.Within(w.conn.Options.ContactTypes)
	resp := answer(now)
	own, stop := context.WithTimeout(context.WithoutCancel(ctx), finishWait)
	defer stop()
	err = s.DB.Tx(own, func(tx *sqldb.Tx) error { return try.Finish(tx, resp) })
	if err != nil {
		return none, try.Leave(aside, err)
	}
	return resp, nil
}

// run reads the client, and changes it unless that is done or not to be done. After a lost answer it reads again before
// it repeats anything. sure is whether an error means that nothing was changed.
func (w *writing) run(ctx context.Context, resumed bool) (now written, sure bool, err error) {
	sure = !resumed
	for tries := 1; ; tries++ {
		doc, err := w.writer.Open(ctx, w.caller, w.record)
		if errors.Is(err, provider.ErrUnknownRecord) {
			return now, sure, reason.RecordMoved.Messagef("the provider does not know this client any more").Because(err)
		}
		if err != nil {
			return now, sure, err
		}
		unfit := w.fit(doc.Record())
		if w.done(doc.Record()) && (unfit == nil || !sure) { // by somebody else, or by a change whose answer was lost
			return written{doc.Record(), doc.At()}, true, nil
		}
		if unfit != nil {
			return now, sure, unfit
		}
		before := w.caller.Calls()
		got, at, err := w.send(ctx, doc)
		if err == nil {
			return written{got, at}, true, nil
		}
		if refused(err) && w.caller.Calls() <= before+1 {
			return now, sure, err
		}
		if sure = false; ctx.Err() != nil || tries == maxWrites {
			return now, false, err
		}
	}
}

// refused reports whether an error of a single call means that it had no effect: the provider said no, or was not asked.
func refused(err error) bool {
	return !errors.Is(err, provider.ErrUnavailable) && !errors.Is(err, provider.ErrInvalid) &&
		!errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}
