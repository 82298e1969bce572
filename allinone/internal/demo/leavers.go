package demo

import (
	"context"
	"net/url"
	"slices"

	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/sim/remote"
)

// candidates is how many upstream clients are looked at to find those that will leave.
const candidates = 400

const (
	// leavers is how many clients are archived upstream, at most a third of the practice if that is less.
	leavers = 25
	// roles is what the job needs clients for: one is kept by an open signature, one comes back, one's folder is deleted.
	roles = 3
)

// wanted is how many clients of a practice of that size have a part: the leavers of a large one, every one of a tiny one.
func wanted(size int) int { return min(size, max(roles, min(leavers, size/3))) }

// cast gives the clients their parts: the one whose document is sent for signature, and those that leave. A sync takes no
// empty listing for the truth, so somebody stays: in a tiny practice the signer.
func cast[C any](size int, chosen []C) (signer []C, leaving []C) {
	switch {
	case len(chosen) == 0 || (len(chosen) == 1 && size > 1):
		return nil, chosen
	case len(chosen) < roles || size <= roles:
		return chosen[:1], chosen[1:]
	default:
		return chosen[:1], chosen
	}
}

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
	var chosen []picked
	for _, r := range d.order(ctx, records) {
		if len(chosen) == wanted(len(records)) {
			break
		}
		client, err := d.clientOf(ctx, r)
		if err != nil {
			return err
		}
		if client != "" {
			chosen = append(chosen, picked{client, r.UUID})
		}
	}
	signer, leaving := cast(len(records), chosen)
	if len(signer) > 0 {
		d.state.Names["signer"] = signer[0].client
	}
	for _, p := range leaving {
		d.state.Sets["leavers"] = append(d.state.Sets["leavers"], p.client)
		d.state.Sets["upstream"] = append(d.state.Sets["upstream"], p.upstream)
	}
	return d.state.save()
}

// picked is a client by its name in the suite and its id upstream.
type picked struct{ client, upstream string }

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

// clientOf finds the suite's client of an upstream record by its name and code; empty when another has the same.
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
		if c.GetDisplayName() != r.Name || c.GetCode() != r.Code {
			continue
		}
		if found != "" {
			return "", nil
		}
		found = c.GetName()
	}
	return found, nil
}
