package api

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/idem"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/history"
	"github.com/concord-suite/concord/services/sync/internal/peer"
	"github.com/concord-suite/concord/services/sync/internal/plan"
	"github.com/concord-suite/concord/services/sync/internal/store"
)

// DecideSuggestion implements PlanService.
func (s *plans) DecideSuggestion(ctx context.Context, req *syncv1.DecideSuggestionRequest) (*syncv1.DecideSuggestionResponse, error) {
	ids, err := parse("name", changePattern, req.GetName())
	if err != nil {
		return nil, err
	}
	chosen, err := within(ids[0], "client", clientPattern, req.GetClient())
	if err != nil {
		return nil, err
	}
	if chosen != "" && req.GetDecision() != syncv1.SuggestionDecision_SUGGESTION_DECISION_LINK {
		return nil, rpcerr.Default(codes.InvalidArgument).Field("client", "only_link", "is for linking only")
	}
	return idem.Do(ctx, s.Memory, req, func(tx *sqldb.Tx) (*syncv1.DecideSuggestionResponse, error) {
		if err := store.LockFirm(tx, ids[0]); err != nil {
			return nil, err
		}
		c, err := store.LockChange(tx, ids[0], ids[1], ids[2])
		if err != nil {
			return nil, err
		}
		if c.Kind != plan.Link && c.Kind != plan.New {
			return nil, rpcerr.Default(codes.InvalidArgument).Field("name", "suggestion", "names a change that is no suggestion")
		}
		switch c.State {
		case plan.ChangeWaiting:
		case plan.ChangeStale:
			return nil, errStale
		default:
			return nil, errDecided
		}
		d := decision{ctx: ctx, tx: tx, now: s.Now(), by: actor(ctx), change: c, fields: client.ParseFields(c.Record)}
		if err := d.take(req.GetDecision(), chosen); err != nil {
			return nil, err
		}
		return &syncv1.DecideSuggestionResponse{Change: changeMessage(d.change)}, store.SetChange(tx, d.change)
	})
}

// decision is one decision on a record that is linked to nobody.
type decision struct {
	ctx    context.Context
	tx     *sqldb.Tx
	now    time.Time
	by     string
	change plan.Change
	fields client.Fields
}

func (d *decision) take(what syncv1.SuggestionDecision, chosen string) error {
	c := &d.change
	conn, err := store.Connection(d.tx, c.Firm, c.Connection)
	if err != nil {
		return err
	}
	held, err := store.HeldOf(d.tx, c.Connection, c.Tenant, []string{c.RecordID})
	if err != nil {
		return err
	}
	if len(held) > 0 || conn.Tenant != c.Tenant {
		return errStale // the record found its client another way, or the connection left the tenant
	}
	c.DecidedBy, c.DecidedAt = d.by, d.now
	switch what {
	case syncv1.SuggestionDecision_SUGGESTION_DECISION_IGNORE:
		c.State = plan.ChangeRejected
		err = store.Ignore(d.tx, c.Firm, c.Connection, c.Tenant, c.RecordID, d.by, d.now)
	case syncv1.SuggestionDecision_SUGGESTION_DECISION_CREATE:
		c.State, c.Client = plan.ChangeApplied, store.NewID()
		err = d.create()
	default:
		if chosen != "" {
			c.Client = chosen
		}
		if c.Client == "" {
			return rpcerr.Default(codes.InvalidArgument).Field("client", "required", "is needed: nothing was suggested")
		}
		c.State = plan.ChangeApplied
		err = d.link()
	}
	c.Record = "" // whatever comes next comes from the provider
	return err
}

func (d *decision) newLink() store.NewLink {
	c := d.change
	return store.NewLink{
		Connection: c.Connection, Tenant: c.Tenant, Record: c.RecordID, Hash: c.Hash, Base: d.fields, At: c.RecordAt,
	}
}

func (d *decision) create() error {
	c, link := d.change, d.newLink()
	err := store.InsertClients(d.tx, c.Firm, d.now, []store.NewClient{{
		ID: c.Client, Fields: d.fields, ListSource: c.Connection, Link: &link, Actor: d.by,
		Summary: "taken over from the connected system by a person's decision", Resource: changeName(c),
	}})
	if err != nil {
		return err
	}
	return store.TieRelations(d.tx, c.Firm, c.Connection, c.Tenant, []string{c.RecordID}, d.now)
}

// link ties the record to a client that exists. The client becomes one that is kept in step: it takes the record's
// values, and its history says which changed. A client that had left comes back.
func (d *decision) link() error {
	c := d.change
	before, err := store.Client(d.tx, c.Firm, c.Client)
	if err != nil {
		return found(err)
	}
	sagas, err := store.LockOffboardings(d.tx, c.Firm, []string{before.Offboarding})
	if err != nil {
		return err
	}
	who, err := store.LockClient(d.tx, c.Firm, c.Client)
	if err != nil {
		return err
	}
	taken, err := store.LinkedElsewhere(d.tx, who.ID, c.Connection, c.Tenant)
	if err != nil {
		return err
	}
	if taken && who.State.InList() {
		return errStale.Messagef("the client is linked to another record of this connection by now")
	}
	if who.State == client.Leaving {
		return errStale.Messagef("the client is leaving; wait for it, or cancel that")
	}
	link := d.newLink()
	if err := store.PutLink(d.tx, c.Firm, who.ID, link, d.now); err != nil {
		return err
	}
	if err := store.TakeListSource(d.tx, who.ID, c.Connection); err != nil {
		return err
	}
	if err := store.AppendHistory(d.tx, c.Firm, history.Entry{
		Client: who.ID, At: d.now, Kind: history.ClientLinked, Actor: d.by,
		Summary: "linked to the record " + c.DisplayName + " of the connected system", Resource: changeName(c),
	}); err != nil {
		return err
	}
	who.HistorySeq++
	if diff := d.fields.Diff(who.Fields); len(diff) > 0 {
		if err := store.UpdateClients(d.tx, c.Firm, c.ID, d.now, []store.ClientUpdate{{
			Client: who, Link: link, Changes: diff, Actor: d.by, Resource: changeName(c),
		}}); err != nil {
			return err
		}
	}
	if err := store.TieRelations(d.tx, c.Firm, c.Connection, c.Tenant, []string{c.RecordID}, d.now); err != nil {
		return err
	}
	if who.State != client.Offboarded {
		return nil
	}
	_, err = store.AskBack(d.tx, sagas[who.Offboarding], "linked to a record that is in use, by "+d.by,
		peer.InitiatorOf(access.From(d.ctx)), d.now)
	return err
}
