package remote

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/concord-suite/concord/sim/world"
)

// Books does what staff of one organisation would do to its contacts.
type Books struct {
	client *Client
	tenant string
}

// Books returns the books of an organisation by its tenant id; empty is the first organisation.
func (c *Client) Books(tenant string) Books { return Books{client: c, tenant: tenant} }

// PartySelector names contacts: by id, or N drawn by Seed from those that fit.
type PartySelector struct {
	IDs     []string    `json:"ids,omitempty"`
	N       int         `json:"n,omitempty"`
	Seed    uint64      `json:"seed,omitempty"`
	Where   PartyFilter `json:"where,omitzero"`
	Exclude []string    `json:"exclude,omitempty"`
}

// PartyFilter narrows what is drawn; nil and "" do not matter.
type PartyFilter struct {
	Status   string `json:"status,omitempty"` // ACTIVE unless said otherwise; "all" for any
	Customer *bool  `json:"customer,omitempty"`
	Supplier *bool  `json:"supplier,omitempty"`
	Account  *bool  `json:"account,omitempty"` // has an account number
	Email    *bool  `json:"email,omitempty"`
	People   *bool  `json:"people,omitempty"`
	Group    string `json:"group,omitempty"` // id
	Query    string `json:"query,omitempty"` // part of the name
}

// PartyIDs selects the named contacts.
func PartyIDs(ids ...string) PartySelector { return PartySelector{IDs: ids} }

// PartyEdit is a change of contacts; what is nil or empty stays.
type PartyEdit struct {
	Fields   map[string]string    `json:"fields,omitempty"` // by their JSON names
	Status   string               `json:"status,omitempty"`
	People   *[]world.PartyPerson `json:"people,omitempty"`
	Customer *bool                `json:"customer,omitempty"` // as invoices would: moves no date
	Supplier *bool                `json:"supplier,omitempty"`
}

// NewParty is a contact to add.
type NewParty struct {
	Tenant   string              `json:"tenant,omitempty"` // set by Add
	Fields   map[string]string   `json:"fields"`           // by their JSON names; Name is required
	People   []world.PartyPerson `json:"people,omitempty"`
	Customer bool                `json:"customer,omitempty"`
	Supplier bool                `json:"supplier,omitempty"`
	Groups   []string            `json:"groups,omitempty"` // ids
}

// Contacts returns up to limit contacts in a status ("" is active, "all" any) whose names contain query,
// by name.
func (b Books) Contacts(ctx context.Context, status, query string, limit int) ([]world.Party, error) {
	q := url.Values{"tenant": {b.tenant}, "status": {status}, "query": {query}, "limit": {fmt.Sprint(limit)}}
	return b.parties(ctx, http.MethodGet, "/control/accounting/contacts?"+q.Encode(), nil)
}

// Contact returns one contact, of whatever organisation.
func (b Books) Contact(ctx context.Context, id string) (world.Party, error) {
	var p world.Party
	return p, b.client.Do(ctx, http.MethodGet, "/control/accounting/contacts/"+url.PathEscape(id), nil, &p)
}

// Add adds a contact.
func (b Books) Add(ctx context.Context, p NewParty) (world.Party, error) {
	p.Tenant = b.tenant
	list, err := b.parties(ctx, http.MethodPost, "/control/accounting/contacts/add", p)
	if err != nil || len(list) == 0 {
		return world.Party{}, err
	}
	return list[0], nil
}

// Edit changes contacts and returns them.
func (b Books) Edit(ctx context.Context, sel PartySelector, e PartyEdit) ([]world.Party, error) {
	return b.parties(ctx, http.MethodPost, "/control/accounting/contacts/edit", struct {
		Tenant string `json:"tenant,omitempty"`
		PartySelector
		PartyEdit
	}{b.tenant, sel, e})
}

// Archive archives contacts and returns them.
func (b Books) Archive(ctx context.Context, sel PartySelector) ([]world.Party, error) {
	return b.Edit(ctx, sel, PartyEdit{Status: world.PartyArchived})
}

// Unarchive brings contacts back and returns them. When drawing them, say so in Where.Status.
func (b Books) Unarchive(ctx context.Context, sel PartySelector) ([]world.Party, error) {
	return b.Edit(ctx, sel, PartyEdit{Status: world.PartyActive})
}

func (b Books) parties(ctx context.Context, method, path string, in any) ([]world.Party, error) {
	var answer struct {
		Contacts []world.Party `json:"contacts"`
	}
	return answer.Contacts, b.client.Do(ctx, method, path, in, &answer)
}

// Groups returns the groups of the organisation, deleted ones too, by name.
func (b Books) Groups(ctx context.Context) ([]world.PartyGroup, error) {
	var answer struct {
		Groups []world.PartyGroup `json:"groups"`
	}
	return answer.Groups, b.client.Do(ctx, http.MethodGet, "/control/accounting/groups?tenant="+url.QueryEscape(b.tenant), nil, &answer)
}

// GroupChange makes a group, or changes the one with an id.
type GroupChange struct {
	Group  string   `json:"group,omitempty"` // id; empty makes a group
	Name   string   `json:"name,omitempty"`
	Add    []string `json:"add,omitempty"`    // ids of contacts
	Remove []string `json:"remove,omitempty"` // ids of contacts
	Delete bool     `json:"delete,omitempty"`
}

// Group makes or changes a group and returns it.
func (b Books) Group(ctx context.Context, ch GroupChange) (world.PartyGroup, error) {
	var g world.PartyGroup
	return g, b.client.Do(ctx, http.MethodPost, "/control/accounting/groups", struct {
		Tenant string `json:"tenant,omitempty"`
		GroupChange
	}{b.tenant, ch}, &g)
}
