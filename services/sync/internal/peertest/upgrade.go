package peertest

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/concord-suite/concord/platform/sqldb"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	"github.com/concord-suite/concord/services/sync/internal/legacy"
	"github.com/concord-suite/concord/services/sync/internal/store"
	"github.com/concord-suite/concord/services/sync/internal/store/legacies"
)

// Budget is what connector says of calls.
type Budget struct {
	// PerMinute and DayLimit are the provider's, DayLeft what is left of the day.
	PerMinute, DayLimit, DayLeft int32
	// Begin is when work can begin; zero for now.
	Begin time.Time
	// Asked is the last question.
	Asked *connectorv1.EstimateCallsRequest
}

var defaultBudget = Budget{PerMinute: 60, DayLimit: 5000, DayLeft: 4000}

// outline is a record as a listing of ids before OAuth 2 has it: name and code alone.
func (c *Client) outline() *connectorv1.Record {
	r := proto.Clone(c.record()).(*connectorv1.Record)
	r.LegacyId, r.Hash = c.LegacyID, ""
	r.Kind = &connectorv1.Record_Client{Client: &connectorv1.ClientFields{
		Name: c.Fields.GetName(), Code: c.Fields.GetCode(), Unread: []string{"email", "phone", "business_number", "groups"},
	}}
	return r
}

// detailed is a record with what listings leave out.
func (c *Client) detailed() *connectorv1.Record {
	r := proto.Clone(c.record()).(*connectorv1.Record)
	f := r.GetClient()
	f.Unread = nil
	f.Groups, f.CustomFields, f.Relationships = c.Details.GetGroups(), c.Details.GetCustomFields(), c.Details.GetRelationships()
	return r
}

// EstimateCalls implements RecordService: a call per 500 records of each listing, and one for each record read.
func (s *records) EstimateCalls(_ context.Context, req *connectorv1.EstimateCallsRequest) (*connectorv1.EstimateCallsResponse, error) {
	return call(s.w, "EstimateCalls", func() (*connectorv1.EstimateCallsResponse, error) {
		b := &s.w.Budget
		b.Asked = req
		calls := req.GetReads() + 2*req.GetDetails()
		for _, l := range req.GetListings() {
			n := req.GetClients()
			if l == connectorv1.Listing_LISTING_CONTACTS {
				n = req.GetContacts()
			}
			calls += n/500 + 1
		}
		begin := b.Begin
		if begin.IsZero() {
			begin = s.w.clock
		}
		takes := time.Duration(calls) * time.Minute / time.Duration(b.PerMinute)
		return &connectorv1.EstimateCallsResponse{
			Calls: int32(calls), Duration: durationpb.New(takes), DayLimit: b.DayLimit, DayLeft: b.DayLeft,
			DaySharePermille: int32(calls * 1000 / int64(max(b.DayLimit, 1))), BeginTime: timestamppb.New(begin),
			EndTime: timestamppb.New(begin.Add(takes)),
		}, nil
	})
}

// Asked returns the last question about calls.
func (w *World) Asked() *connectorv1.EstimateCallsRequest {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.Budget.Asked
}

// SetBudget changes what is said of calls.
func (w *World) SetBudget(fn func(*Budget)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fn(&w.Budget)
}

// Legacy puts a legacy link of a client that is made for it.
func (b *Bench) Legacy(l legacy.Link) legacy.Link {
	b.T.Helper()
	l.Firm, l.Connection, l.State = Firm, Connection, legacy.Pending
	if l.ID == "" {
		l.ID = store.NewID()
	}
	b.Tx(func(tx *sqldb.Tx) error {
		if l.Client == "" {
			l.Client = store.NewID()
			made := store.NewClient{ID: l.Client, Actor: "test", Summary: "imported"}
			made.Fields.Name, made.Fields.Code = l.Name, l.Code
			if err := store.InsertClients(tx, Firm, b.Clock.Now(), []store.NewClient{made}); err != nil {
				return err
			}
		}
		return legacies.Put(tx, []legacy.Link{l})
	})
	return l
}

// LegacyLinks returns all legacy links, by the client's name when it was imported.
func (b *Bench) LegacyLinks() map[string]legacy.Link {
	b.T.Helper()
	out := map[string]legacy.Link{}
	b.Read(func(tx *sqldb.Tx) error {
		all, err := legacies.All(tx, Firm, Connection)
		for _, l := range all {
			out[l.Name] = l
		}
		return err
	})
	return out
}
