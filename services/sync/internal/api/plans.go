package api

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/idem"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/services/sync/internal/plan"
	"github.com/concord-suite/concord/services/sync/internal/store"
)

// plans implements PlanService, with suggestions.go.
type plans struct {
	syncv1.UnimplementedPlanServiceServer
	Deps
}

// GetPlan implements PlanService.
func (s *plans) GetPlan(ctx context.Context, req *syncv1.GetPlanRequest) (*syncv1.GetPlanResponse, error) {
	ids, err := parse("name", planPattern, req.GetName())
	if err != nil {
		return nil, err
	}
	var p plan.Plan
	err = s.DB.Read(ctx, func(tx *sqldb.Tx) error {
		p, err = store.Plan(tx, ids[0], ids[1])
		return err
	})
	if err != nil {
		return nil, err
	}
	return &syncv1.GetPlanResponse{Plan: planMessage(p)}, nil
}

// ListPlans implements PlanService.
func (s *plans) ListPlans(ctx context.Context, req *syncv1.ListPlansRequest) (*syncv1.ListPlansResponse, error) {
	ids, err := parse("parent", firmPattern, req.GetParent())
	if err != nil {
		return nil, err
	}
	at, err := from(ctx, req, newest)
	if err != nil {
		return nil, err
	}
	size := pageSize(req.GetPageSize())
	var page []plan.Plan
	err = s.DB.Read(ctx, func(tx *sqldb.Tx) error {
		page, err = store.Plans(tx, ids[0], word(req.GetState(), "PLAN_STATE_"), at.At, at.ID, size+1)
		return err
	})
	if err != nil {
		return nil, err
	}
	resp := &syncv1.ListPlansResponse{}
	if len(page) > size {
		page = page[:size]
		last := page[size-1]
		resp.NextPageToken = place{At: sqldb.Micros(last.CreatedAt), ID: last.ID}.token(ctx, req)
	}
	for _, p := range page {
		resp.Plans = append(resp.Plans, planMessage(p))
	}
	return resp, nil
}

// ListPlanChanges implements PlanService.
func (s *plans) ListPlanChanges(ctx context.Context, req *syncv1.ListPlanChangesRequest) (*syncv1.ListPlanChangesResponse, error) {
	ids, err := parse("parent", planPattern, req.GetParent())
	if err != nil {
		return nil, err
	}
	at, err := from(ctx, req, place{})
	if err != nil {
		return nil, err
	}
	size := pageSize(req.GetPageSize())
	var page []plan.Change
	err = s.DB.Read(ctx, func(tx *sqldb.Tx) error {
		if _, err := store.Plan(tx, ids[0], ids[1]); err != nil {
			return err
		}
		page, err = store.Changes(tx, ids[1], word(req.GetKind(), "CHANGE_KIND_"), word(req.GetState(), "CHANGE_STATE_"), at.ID, size+1)
		return err
	})
	if err != nil {
		return nil, err
	}
	resp := &syncv1.ListPlanChangesResponse{}
	if len(page) > size {
		page = page[:size]
		resp.NextPageToken = place{ID: page[size-1].ID}.token(ctx, req)
	}
	for _, c := range page {
		resp.Changes = append(resp.Changes, changeMessage(c))
	}
	return resp, nil
}

// DecidePlan implements PlanService. What is approved is confirmed and handed over by a worker; the answer does not wait.
func (s *plans) DecidePlan(ctx context.Context, req *syncv1.DecidePlanRequest) (*syncv1.DecidePlanResponse, error) {
	ids, err := parse("name", planPattern, req.GetName())
	if err != nil {
		return nil, err
	}
	approve, err := changeIDs("approve", ids, req.GetApprove())
	if err != nil {
		return nil, err
	}
	reject, err := changeIDs("reject", ids, req.GetReject())
	if err != nil {
		return nil, err
	}
	if err := coherent(req, approve, reject); err != nil {
		return nil, err
	}
	return idem.Do(ctx, s.Memory, req, func(tx *sqldb.Tx) (*syncv1.DecidePlanResponse, error) {
		p, err := store.LockPlan(tx, ids[0], ids[1])
		if err != nil {
			return nil, err
		}
		switch {
		case p.State == plan.Superseded:
			return nil, errSuperseded
		case req.GetEtag() != "" && req.GetEtag() != store.Etag(p.Version):
			return nil, errEtag
		case p.State != plan.Waiting:
			return nil, closed(tx, p)
		}
		return s.decide(ctx, tx, p, req, approve, reject)
	})
}

// closed says why a plan takes no decision: its run is still writing it down, or there is nothing left to decide.
func closed(tx *sqldb.Tx, p plan.Plan) error {
	r, err := store.Run(tx, p.Firm, p.Run)
	if err != nil {
		return err
	}
	if !r.State.Ended() && r.Step.Drafting() {
		return errDrafting.With("run", store.Name(p.Firm, "runs", p.Run))
	}
	return errDecided
}

// decide drops what moved, and then takes the decision on the rest.
func (s *plans) decide(
	ctx context.Context, tx *sqldb.Tx, p plan.Plan, req *syncv1.DecidePlanRequest, approve, reject []string,
) (*syncv1.DecidePlanResponse, error) {
	stale, err := store.DropMoved(tx, p.ID)
	if err != nil {
		return nil, err
	}
	if err := undecided(tx, p, append(append([]string{}, approve...), reject...)); err != nil {
		return nil, err
	}
	by, now := actor(ctx), s.Now()
	rejected, err := store.Decide(tx, p.ID, plan.ChangeRejected, false, reject, by, now)
	if err != nil {
		return nil, err
	}
	approved, err := store.Decide(tx, p.ID, plan.ChangeApproved, req.GetApproveAll(), approve, by, now)
	if err != nil {
		return nil, err
	}
	if req.GetRejectOthers() {
		others, err := store.Decide(tx, p.ID, plan.ChangeRejected, true, nil, by, now)
		if err != nil {
			return nil, err
		}
		rejected = append(rejected, others...)
	}
	if err := store.KeepRejected(tx, rejected); err != nil { // what a person keeps, no later run removes by itself
		return nil, err
	}
	if err := store.SettlePlan(tx, p.ID); err != nil {
		return nil, err
	}
	p, err = store.Plan(tx, p.Firm, p.ID)
	resp := &syncv1.DecidePlanResponse{Plan: planMessage(p), Approved: int32(len(approved)), Rejected: int32(len(rejected))}
	for _, id := range stale {
		resp.Stale = append(resp.Stale, changeNameOf(p.Firm, p.ID, id))
	}
	return resp, err
}

// changeIDs reads the names of changes of one plan.
func changeIDs(field string, planIDs, names []string) ([]string, error) {
	var out []string
	for i, name := range names {
		ids, err := parse(fmt.Sprintf("%s[%d]", field, i), changePattern, name)
		if err != nil {
			return nil, err
		}
		if ids[0] != planIDs[0] || ids[1] != planIDs[1] {
			return nil, rpcerr.Default(codes.InvalidArgument).Field(fmt.Sprintf("%s[%d]", field, i), "same_plan", "is no change of this plan")
		}
		out = append(out, ids[2])
	}
	return out, nil
}

// coherent refuses a decision that decides nothing, or one change twice.
func coherent(req *syncv1.DecidePlanRequest, approve, reject []string) error {
	bad := rpcerr.Default(codes.InvalidArgument)
	switch {
	case req.GetApproveAll() && len(approve) > 0:
		return bad.Field("approve", "exclusive", "names single changes although all are approved")
	case req.GetApproveAll() && req.GetRejectOthers():
		return bad.Field("reject_others", "exclusive", "leaves no others, since all are approved")
	case !req.GetApproveAll() && !req.GetRejectOthers() && len(approve)+len(reject) == 0:
		return bad.Field("approve", "required", "says nothing: approve or reject something")
	}
	seen := map[string]bool{}
	for _, id := range append(append([]string{}, approve...), reject...) {
		if seen[id] {
			return bad.Field("reject", "unique", "names a change twice, or one that is approved as well")
		}
		seen[id] = true
	}
	return nil
}

// undecided refuses names of changes that are not there, or that were decided before. Stale ones pass: the answer names
// them.
func undecided(tx *sqldb.Tx, p plan.Plan, changes []string) error {
	states, err := store.ChangeStates(tx, p.ID, changes)
	if err != nil {
		return err
	}
	for _, id := range changes {
		switch state, there := states[id]; {
		case !there:
			return rpcerr.Default(codes.NotFound).With("change", changeNameOf(p.Firm, p.ID, id))
		case state != plan.ChangeWaiting && state != plan.ChangeStale:
			return errDecided.With("change", changeNameOf(p.Firm, p.ID, id))
		}
	}
	return nil
}
