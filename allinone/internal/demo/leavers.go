package demo

import (
	"context"
	"errors"
	"net/url"
	"slices"

	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/sim/remote"
)

// candidates is how many upstream clients are looked at to find those that will leave.
const candidates = 400

// pickLeavers chooses the clients that will be archived upstream, and remembers both their names: one with a contact
// first (its document is sent for signature), some whose contacts other clients share, the rest as they come.
func (d *Demo) pickLeavers(ctx context.Context) error {
	if len(d.state.Sets["leavers"]) > 0 {
		return nil
	}
	records, err := d.cfg.World.Clients(ctx, "", "", candidates)
	if err != nil {
		return err
	}
	var chosen, upstream []string
	for _, r := range d.order(ctx, records) {
		if len(chosen) == min(leavers, max(1, len(records)/3)) {
			break
		}
		client, err := d.clientOf(ctx, r)
		if err != nil {
			return err
		}
		if client != "" {
			chosen, upstream = append(chosen, client), append(upstream, r.UUID)
		}
	}
	if len(chosen) == 0 {
		return errors.New("no client of the practice can be told by its name; the demonstration can't pick leavers")
	}
	d.state.Sets["leavers"], d.state.Sets["upstream"] = chosen, upstream
	return d.state.save()
}

// order puts a client with an own contact first, then a mixture: contacts that other clients share, contacts of their
// own, and none.
func (d *Demo) order(ctx context.Context, records []remote.Record) []remote.Record {
	var own, shared, none []remote.Record
	for _, r := range records {
		switch {
		case len(r.Contacts) == 0:
			none = append(none, r)
		case d.isShared(ctx, r.Contacts[0]):
			shared = append(shared, r)
		default:
			own = append(own, r)
		}
	}
	half, third := min(len(own), leavers/2), min(len(shared), leavers/3)
	return slices.Concat(own[:half], shared[:third], none, own[half:], shared[third:])
}

func (d *Demo) isShared(ctx context.Context, contact string) bool {
	c, err := d.cfg.World.Contact(ctx, contact)
	return err == nil && len(c.Clients) > 1
}

// clientOf finds the suite's client of an upstream record by its name; empty when another has the same name.
func (d *Demo) clientOf(ctx context.Context, r remote.Record) (string, error) {
	if len(r.Name) > 200 {
		return "", nil
	}
	list := new(syncv1.ListClientsResponse)
	if err := d.admin.call(ctx, "GET", "/v1/"+d.firm()+"/clients?query="+url.QueryEscape(r.Name), nil, list); err != nil {
		return "", err
	}
	found := ""
	for _, c := range list.GetClients() {
		if c.GetDisplayName() != r.Name {
			continue
		}
		if found != "" {
			return "", nil
		}
		found = c.GetName()
	}
	return found, nil
}
