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
	"github.com/concord-suite/concord/services/sync/internal/store/legacies"
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

// link ties the record to a client that exists.
func (d *decision) link() error {
	c := d.change
	return (&linking{
		ctx: d.ctx, tx: d.tx, now: d.now, by: d.by, firm: c.Firm, client: c.Client, link: d.newLink(), name: c.DisplayName,
		resource: changeName(c), work: c.ID, known: true, inUse: true, how: "by a decision on a suggestion",
	}).do()
}

// linking ties a record to a client that exists, by a person's word. The client becomes one that is kept in step: it takes
// the record's values, and its history says which changed. A client that had left comes back.
type linking struct {
	ctx          context.Context
	tx           *sqldb.Tx
	now          time.Time
	by           string
	firm, client string
	link         store.NewLink
	// name is the record's, resource what was decided, work a name for the transaction's own rows.
	name, resource, work string
	// known: all fields of the record are; otherwise the next listing brings them. inUse: it is not archived.
	known, inUse bool
	// how says in words how the client's legacy link was mapped, if it has one.
	how string
}

func (l *linking) do() error {
	before, err := store.Client(l.tx, l.firm, l.client)
	if err != nil {
		return found(err)
	}
	sagas, err := store.LockOffboardings(l.tx, l.firm, []string{before.Offboarding})
	if err != nil {
		return err
	}
	who, err := store.LockClient(l.tx, l.firm, l.client)
	if err != nil {
		return err
	}
	taken, err := store.LinkedElsewhere(l.tx, who.ID, l.link.Connection, l.link.Tenant)
	if err != nil {
		return err
	}
	if taken && who.State.InList() {
		return errStale.Messagef("the client is linked to another record of this connection by now")
	}
	if who.State == client.Leaving {
		return errStale.Messagef("the client is leaving; wait for it, or cancel that")
	}
	if err := l.write(who); err != nil {
		return err
	}
	if who.State != client.Offboarded || !l.inUse {
		return nil
	}
	_, err = store.AskBack(l.tx, sagas[who.Offboarding], "linked to a record that is in use, by "+l.by,
		peer.InitiatorOf(access.From(l.ctx)), l.now)
	return err
}

// write writes the link, and what follows from it for the locked client.
func (l *linking) write(who client.Client) error {
	link := l.link
	if err := store.PutLink(l.tx, l.firm, who.ID, link, l.now); err != nil {
		return err
	}
	if err := store.TakeListSource(l.tx, who.ID, link.Connection); err != nil {
		return err
	}
	if err := store.AppendHistory(l.tx, l.firm, history.Entry{
		Client: who.ID, At: l.now, Kind: history.ClientLinked, Actor: l.by,
		Summary: "linked to the record " + l.name + " of the connected system", Resource: l.resource,
	}); err != nil {
		return err
	}
	who.HistorySeq++
	if diff := link.Base.Diff(who.Fields); l.known && len(diff) > 0 {
		if err := store.UpdateClients(l.tx, l.firm, l.work, l.now, []store.ClientUpdate{{
			Client: who, Link: link, Changes: diff, Actor: l.by, Resource: l.resource,
		}}); err != nil {
			return err
		}
	}
	if err := legacies.Settle(l.tx, link.Connection, who.ID, link.Record, l.how, l.by, l.now); err != nil {
		return err
	}
	if err := store.ReadDetails(l.tx, link.Connection); err != nil {
		return err
	}
	return store.TieRelations(l.tx, l.firm, link.Connection, link.Tenant, []string{link.Record}, l.now)
}
