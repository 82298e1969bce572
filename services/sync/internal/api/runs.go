package api

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/idem"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/services/sync/internal/peer"
	"github.com/concord-suite/concord/services/sync/internal/run"
	"github.com/concord-suite/concord/services/sync/internal/store"
	"github.com/concord-suite/concord/services/sync/internal/store/legacies"
)

// runs implements RunService.
type runs struct {
	syncv1.UnimplementedRunServiceServer
	Deps
}

// StartRun implements RunService.
func (s *runs) StartRun(ctx context.Context, req *syncv1.StartRunRequest) (*syncv1.StartRunResponse, error) {
	ids, err := parse("parent", firmPattern, req.GetParent())
	if err != nil {
		return nil, err
	}
	firm := ids[0]
	connection, err := within(firm, "connection", connectionPattern, req.GetConnection())
	if err != nil {
		return nil, err
	}
	if err := s.know(ctx, firm, connection); err != nil {
		return nil, err
	}
	return idem.Do(ctx, s.Memory, req, func(tx *sqldb.Tx) (*syncv1.StartRunResponse, error) {
		c, err := store.Connection(tx, firm, connection)
		if err != nil {
			return nil, err
		}
		if !c.State.Usable() {
			return nil, errInactive.With("state", string(c.State)).With("state_reason", c.StateReason)
		}
		kind := run.Kind(word(req.GetKind(), "RUN_KIND_"))
		if err := inOrder(tx, c, kind); err != nil {
			return nil, err
		}
		id, made, err := store.StartRun(tx, c, kind, actor(ctx), peer.InitiatorOf(access.From(ctx)), s.Now())
		if err != nil {
			return nil, err
		}
		if !made {
			return nil, errRunning.With("run", store.Name(firm, "runs", id))
		}
		r, err := store.Run(tx, firm, id)
		return &syncv1.StartRunResponse{Run: runMessage(r, s.Now())}, err
	})
}

// inOrder refuses an upgrade of nothing, and a run before the upgrade it has to wait for: clients whose records carry other
// names and codes by now would be made a second time. When the upgrade failed, nobody has to wait for it any more.
func inOrder(tx *sqldb.Tx, c run.Connection, kind run.Kind) error {
	if kind == run.Upgrade {
		open, _, err := legacies.CountOpen(tx, c.ID)
		if err == nil && open == 0 {
			err = errNoUpgrade
		}
		return err
	}
	pending, failed, err := store.Unmapped(tx, c)
	if err == nil && pending > 0 && !failed {
		err = errUpgradeFirst.Messagef("%d clients of the legacy connection are not mapped yet; start an UPGRADE run first", pending)
	}
	return err
}

// know asks connector about a connection that it has not told of yet: a person who has just connected presses the button
// before the event is here.
func (s *Deps) know(ctx context.Context, firm, connection string) error {
	err := s.DB.Read(ctx, func(tx *sqldb.Tx) error {
		_, err := store.Connection(tx, firm, connection)
		return err
	})
	if !errors.Is(err, sqldb.ErrNotFound) {
		return err
	}
	told, err := s.Peers.Connection(ctx, store.Name(firm, "connections", connection))
	if err != nil {
		return err
	}
	c, ok := peer.ConnectionOf(told)
	if !ok || c.Firm != firm || c.ID != connection {
		return rpcerr.Default(codes.NotFound)
	}
	return s.DB.Tx(ctx, func(tx *sqldb.Tx) error { return store.PutConnection(tx, c, 0) })
}

// GetRun implements RunService.
func (s *runs) GetRun(ctx context.Context, req *syncv1.GetRunRequest) (*syncv1.GetRunResponse, error) {
	ids, err := parse("name", runPattern, req.GetName())
	if err != nil {
		return nil, err
	}
	r, err := s.read(ctx, ids[0], ids[1])
	if err != nil {
		return nil, err
	}
	return &syncv1.GetRunResponse{Run: runMessage(r, s.Now())}, nil
}

func (s *runs) read(ctx context.Context, firm, id string) (r run.Run, err error) {
	err = s.DB.Read(ctx, func(tx *sqldb.Tx) error {
		r, err = store.Run(tx, firm, id)
		return err
	})
	return r, err
}

// ListRuns implements RunService.
func (s *runs) ListRuns(ctx context.Context, req *syncv1.ListRunsRequest) (*syncv1.ListRunsResponse, error) {
	ids, err := parse("parent", firmPattern, req.GetParent())
	if err != nil {
		return nil, err
	}
	connection, err := within(ids[0], "connection", connectionPattern, req.GetConnection())
	if err != nil {
		return nil, err
	}
	at, err := from(ctx, req, newest)
	if err != nil {
		return nil, err
	}
	size := pageSize(req.GetPageSize())
	var page []run.Run
	err = s.DB.Read(ctx, func(tx *sqldb.Tx) error {
		page, err = store.Runs(tx, ids[0], connection, at.At, at.ID, size+1)
		return err
	})
	if err != nil {
		return nil, err
	}
	resp := &syncv1.ListRunsResponse{}
	if len(page) > size {
		page = page[:size]
		last := page[size-1]
		resp.NextPageToken = place{At: sqldb.Micros(last.CreatedAt), ID: last.ID}.token(ctx, req)
	}
	for _, r := range page {
		resp.Runs = append(resp.Runs, runMessage(r, s.Now()))
	}
	return resp, nil
}

// watchEvery is how often a watched run is looked at when nothing was told: its worker may be in another process.
const watchEvery = 250 * time.Millisecond

// WatchRun implements RunService.
func (s *runs) WatchRun(req *syncv1.WatchRunRequest, stream grpc.ServerStreamingServer[syncv1.WatchRunResponse]) error {
	ids, err := parse("name", runPattern, req.GetName())
	if err != nil {
		return err
	}
	ctx := stream.Context()
	moved, stop := s.DB.Watch(store.TopicRun + ids[1])
	defer stop()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for seen := int64(0); ; {
		r, err := s.read(ctx, ids[0], ids[1])
		if err != nil {
			return err
		}
		if r.Version != seen {
			seen = r.Version
			if err := stream.Send(&syncv1.WatchRunResponse{Run: runMessage(r, s.Now())}); err != nil {
				return err
			}
		}
		if r.State.Ended() {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-moved:
		case <-tick.C:
		}
	}
}

// CancelRun implements RunService.
func (s *runs) CancelRun(ctx context.Context, req *syncv1.CancelRunRequest) (*syncv1.CancelRunResponse, error) {
	ids, err := parse("name", runPattern, req.GetName())
	if err != nil {
		return nil, err
	}
	return idem.Do(ctx, s.Memory, req, func(tx *sqldb.Tx) (*syncv1.CancelRunResponse, error) {
		going, err := store.CancelRun(tx, ids[0], ids[1], actor(ctx), s.Now())
		if err != nil {
			return nil, err
		}
		if !going {
			return nil, errRunEnded
		}
		r, err := store.Run(tx, ids[0], ids[1])
		return &syncv1.CancelRunResponse{Run: runMessage(r, s.Now())}, err
	})
}
