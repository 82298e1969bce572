// Package remote drives a simulated world from outside, whether it runs in this process or another:
// its control API, its inbox, and its consent pages the way a person's browser would.
package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/concord-suite/concord/sim/world"
)

// Client talks to one world. It is safe for concurrent use.
type Client struct {
	base string
	http *http.Client
}

// Base is the address of the world, without a slash at the end.
func (c *Client) Base() string { return c.base }

// New returns a client of the world at base, such as http://127.0.0.1:8091.
func New(base string) *Client {
	return &Client{base: strings.TrimSuffix(base, "/"), http: &http.Client{}}
}

// Do calls an endpoint such as POST /control/clients/archive. in and out are JSON; either may be nil.
// An answer other than 2xx is an error with the world's own words.
func (c *Client) Do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("%s %s: %w", method, path, err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %s", method, path, res.Status, text)
	}
	if out == nil || len(text) == 0 {
		return nil
	}
	return json.Unmarshal(text, out)
}

// Client and contact records as the control API shows them.
type (
	// Record is a client in a list.
	Record struct {
		UUID     string   `json:"uuid"`
		ID       int      `json:"id"`
		Name     string   `json:"name"`
		Code     string   `json:"code"`
		Archived bool     `json:"archived"`
		Deleted  bool     `json:"deleted"`
		Contacts []string `json:"contacts"` // UUIDs
	}
	// Contact is a contact with the clients it belongs to.
	Contact struct {
		world.Contact
		Clients []string `json:"clients"` // UUIDs
	}
	// Tenant is a practice or organisation with what it holds.
	Tenant struct {
		ID       string `json:"id"`
		Name     string `json:"name"`
		Type     string `json:"type"`
		Clients  int    `json:"clients"` // neither archived nor deleted
		Archived int    `json:"archived"`
		Deleted  int    `json:"deleted"`
		Contacts int    `json:"contacts"`
		Shared   int    `json:"shared_contacts"`
	}
	// State is the world at a glance.
	State struct {
		Tenants     []Tenant            `json:"tenants"`
		People      []*world.Person     `json:"people"`
		Connections []*world.Connection `json:"connections"`
		Messages    int                 `json:"messages"`
	}
	// Calls is what a tenant was asked.
	Calls struct {
		Calls     int                        `json:"calls"`
		Refused   int                        `json:"refused"`
		Peak      int                        `json:"peak_concurrency"`
		Endpoints map[string]world.CallCount `json:"endpoints"`
	}
)

// Selector names clients: by UUID, or N drawn by Seed from those that fit.
type Selector struct {
	Tenant  string   `json:"tenant,omitempty"` // empty: the first practice
	UUIDs   []string `json:"uuids,omitempty"`
	N       int      `json:"n,omitempty"`
	Seed    uint64   `json:"seed,omitempty"`
	Where   Filter   `json:"where,omitzero"`
	Exclude []string `json:"exclude,omitempty"`
}

// Filter narrows what is drawn; nil and "" do not matter.
type Filter struct {
	Shared    *bool  `json:"shared_contacts,omitempty"`
	Contacts  *bool  `json:"contacts,omitempty"`
	Code      *bool  `json:"code,omitempty"`
	Email     *bool  `json:"email,omitempty"`
	Structure string `json:"structure,omitempty"`
	Query     string `json:"query,omitempty"`
}

// UUIDs selects the named clients of the first practice.
func UUIDs(ids ...string) Selector { return Selector{UUIDs: ids} }

// State returns the world at a glance.
func (c *Client) State(ctx context.Context) (State, error) {
	var s State
	return s, c.Do(ctx, http.MethodGet, "/control/state", nil, &s)
}

// Clients returns up to limit active clients of a practice whose names contain query, by name. An
// empty tenant is the first practice.
func (c *Client) Clients(ctx context.Context, tenant, query string, limit int) ([]Record, error) {
	q := url.Values{"tenant": {tenant}, "query": {query}, "limit": {fmt.Sprint(limit)}}
	return c.records(ctx, http.MethodGet, "/control/clients?"+q.Encode(), nil)
}

// Archive archives clients upstream and returns them.
func (c *Client) Archive(ctx context.Context, sel Selector) ([]Record, error) {
	return c.records(ctx, http.MethodPost, "/control/clients/archive", sel)
}

// Unarchive brings archived clients back and returns them.
func (c *Client) Unarchive(ctx context.Context, sel Selector) ([]Record, error) {
	return c.records(ctx, http.MethodPost, "/control/clients/unarchive", sel)
}

// DropIDs takes the integer ids of clients away, which 3.0 answers carry, and returns the clients.
func (c *Client) DropIDs(ctx context.Context, sel Selector) ([]Record, error) {
	return c.records(ctx, http.MethodPost, "/control/clients/drop-ids", sel)
}

// SetFields sets custom field values, by the names of the fields, of clients of the first practice.
func (c *Client) SetFields(ctx context.Context, uuid string, values map[string]string) ([]Record, error) {
	return c.records(ctx, http.MethodPost, "/control/clients/fields", map[string]any{"uuids": []string{uuid}, "values": values})
}

// Update sets fields, by their XML names, of clients of the first practice.
func (c *Client) Update(ctx context.Context, uuid string, fields map[string]string) ([]Record, error) {
	return c.records(ctx, http.MethodPost, "/control/clients/update", map[string]any{"uuids": []string{uuid}, "fields": fields})
}

func (c *Client) records(ctx context.Context, method, path string, in any) ([]Record, error) {
	var answer struct {
		Clients []Record `json:"clients"`
	}
	return answer.Clients, c.Do(ctx, method, path, in, &answer)
}

// Contact returns a contact with the clients it belongs to.
func (c *Client) Contact(ctx context.Context, uuid string) (Contact, error) {
	var contact Contact
	return contact, c.Do(ctx, http.MethodGet, "/control/contacts/"+uuid, nil, &contact)
}

// Fault adds a fault and returns its id. Package faults explains the kinds.
func (c *Client) Fault(ctx context.Context, f world.Fault) (string, error) {
	err := c.Do(ctx, http.MethodPost, "/control/faults", f, &f)
	return f.ID, err
}

// RemoveFault removes one fault, or all if id is empty. Requests it froze go on.
func (c *Client) RemoveFault(ctx context.Context, id string) error {
	if id != "" {
		id = "/" + id
	}
	return c.Do(ctx, http.MethodDelete, "/control/faults"+id, nil, nil)
}

// Advance moves the world's clock forward.
func (c *Client) Advance(ctx context.Context, d time.Duration) error {
	return c.Do(ctx, http.MethodPost, "/control/clock", map[string]string{"advance": d.String()}, nil)
}

// Calls returns what each tenant was asked so far.
func (c *Client) Calls(ctx context.Context) (map[string]Calls, error) {
	var answer struct {
		Tenants map[string]Calls `json:"tenants"`
	}
	return answer.Tenants, c.Do(ctx, http.MethodGet, "/control/calls", nil, &answer)
}

// Messages returns the SMS and e-mails to one recipient after the message with id after, waiting up
// to wait for the first.
func (c *Client) Messages(ctx context.Context, to, after string, wait time.Duration) ([]world.Message, error) {
	q := url.Values{"to": {to}, "after": {after}, "wait": {wait.String()}}
	var answer struct {
		Messages []world.Message `json:"messages"`
	}
	return answer.Messages, c.Do(ctx, http.MethodGet, "/inbox/messages?"+q.Encode(), nil, &answer)
}
