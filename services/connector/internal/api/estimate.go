package api

import (
	"context"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"

	"github.com/concord-suite/concord/services/connector/internal/api/reason"
	"github.com/concord-suite/concord/services/connector/internal/api/wire"
	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/provider/budget"
)

// EstimateCalls says what a piece of work costs, and when the limits let it be done. What else goes on meanwhile is not in
// it, nor is the provider's own time.
func (s *Records) EstimateCalls(ctx context.Context, req *connectorv1.EstimateCallsRequest) (*connectorv1.EstimateCallsResponse, error) {
	in := lane(req.GetInteractive())
	c, def, _, err := s.caller(ctx, req.GetConnection(), in)
	if err != nil {
		return nil, err
	}
	work, err := workOf(req, def.Adapter.Costs(), in)
	if err != nil {
		return nil, err
	}
	account := s.Upstream.Budget()
	state, err := account.State(ctx, budget.Key{App: def.App, Tenant: c.TenantID})
	if err != nil {
		return nil, err
	}
	calls := 0
	for _, w := range work {
		calls += w.Calls
	}
	begin, end := account.Forecast(state, def.Limits, work)
	return &connectorv1.EstimateCallsResponse{
		Calls: int32(calls), Duration: durationpb.New(end.Sub(begin)), DayLimit: int32(def.Limits.PerDay),
		DayLeft: int32(account.DayLeft(state, def.Limits, work[0].Lane)), DaySharePermille: permille(calls, def.Limits.PerDay),
		BeginTime: timestamppb.New(begin), EndTime: timestamppb.New(end),
	}, nil
}

// permille is a share in thousandths, rounded up: something is never nothing.
func permille(part, whole int) int32 { return int32((part*1000 + whole - 1) / whole) }

// workOf counts the calls of a request: first those of runs, then those for details, which go behind unless a person waits.
func workOf(req *connectorv1.EstimateCallsRequest, costs provider.Costs, in budget.Lane) ([]budget.Work, error) {
	run := budget.Work{Lane: in, Calls: costs.Read * int(req.GetReads())}
	for _, l := range req.GetListings() {
		cost, known := costs.Listings[wire.Listing(l)]
		if !known {
			return nil, reason.NotSupported.Messagef("this provider has no such listing: %s", l)
		}
		run.Calls += pages(cost, int(req.GetClients()), int(req.GetContacts()))
	}
	if req.GetDetails() == 0 {
		return []budget.Work{run}, nil
	}
	details := budget.Work{Lane: in, Calls: costs.DetailsAhead + costs.Detail*int(req.GetDetails())}
	if in == budget.Background {
		details.Lane = budget.Least
	}
	if run.Calls == 0 {
		return []budget.Work{details}, nil
	}
	return []budget.Work{run, details}, nil
}

// pages is how many calls a listing takes. A listing of nothing is one page, too.
func pages(cost provider.ListingCost, clients, contacts int) int {
	records := clients
	if cost.OfContacts {
		records = contacts
	}
	if cost.Page == 0 {
		return cost.Ahead + 1
	}
	return cost.Ahead + max(1, (records+cost.Page-1)/cost.Page)
}
