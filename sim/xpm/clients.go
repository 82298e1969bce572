package xpm

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/concord-suite/concord/sim/faults"
	"github.com/concord-suite/concord/sim/world"
)

// listClients is the unpaged list: every client, archived and deleted ones too, with contacts.
func (s *Service) listClients(c *call) (content, error) {
	since, err := c.since()
	if err != nil {
		return nil, err
	}
	clients := s.store.ClientsByName(c.tenant)
	if !since.IsZero() {
		clients = keep(clients, func(cl *world.Client) bool { return !cl.Modified.Before(since) })
	}
	return s.clients(c, faults.Rows(c.fault, clients), c.listDetail()), nil
}

// searchClients finds text in the names, e-mail and code of all clients that are not deleted.
func (s *Service) searchClients(c *call) (content, error) {
	query := strings.ToLower(c.query("query"))
	found := keep(s.store.ClientsByName(c.tenant), func(cl *world.Client) bool {
		return !cl.Deleted && slices.ContainsFunc([]string{cl.Name, cl.FirstName, cl.LastName, cl.Email, cl.ExportCode},
			func(text string) bool { return strings.Contains(strings.ToLower(text), query) })
	})
	d := c.listDetail()
	d.dateTime = false
	return s.clients(c, faults.Rows(c.fault, found), d), nil
}

// since reads modifiedsince; a name without a value counts as absent, as recorded.
func (c *call) since() (time.Time, error) {
	text := c.query("modifiedsince")
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse("2006-01-02T15:04:05", text)
	if err != nil {
		return at, fail("Invalid modifiedsince, expected yyyy-MM-ddTHH:mm:ss")
	}
	return at, nil
}

func (c *call) listDetail() detail {
	if strings.EqualFold(c.query("detailed"), "true") {
		return inDetail
	}
	return inList
}

func (s *Service) clients(c *call, rows []*world.Client, d detail) content {
	found := s.gather(c.tenant, rows, d)
	return func(w *writer) {
		w.list("Clients", len(rows), func(i int) { w.client(rows[i], found, d) })
	}
}

func keep[T any](rows []*T, want func(*T) bool) []*T {
	var kept []*T
	for _, row := range rows {
		if want(row) {
			kept = append(kept, row)
		}
	}
	return kept
}

// getClient reads one client, archived and deleted ones too: the flags tell.
func (s *Service) getClient(c *call) (content, error) {
	var found *world.Client
	s.store.View(func(st *world.State) { found = c.client(st, c.PathValue("id")) })
	if found == nil {
		return nil, errClient
	}
	return s.one(c, found), nil
}

// one writes the detailed answer that get, add, update and archive share.
func (s *Service) one(c *call, found *world.Client) content {
	r := s.gather(c.tenant, []*world.Client{found}, inGet)
	return func(w *writer) {
		if !w.v30 && c.Method == http.MethodGet {
			w.text("WebUrl", "http://"+c.Host+"/control/clients/"+found.UUID)
		}
		w.client(found, r, inGet)
	}
}

// change runs f on a copy of the client the request names and stores the result.
func (s *Service) change(c *call, id string, f func(tx *world.Tx, cl *world.Client) error) (content, error) {
	var changed *world.Client
	err := s.store.Update(func(tx *world.Tx) error {
		old := c.client(tx.State, id)
		if old == nil || old.Deleted {
			return errClient
		}
		changed = old.Clone()
		if err := f(tx, changed); err != nil {
			return err
		}
		tx.Clients.Put(tx, changed.UUID, changed)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.one(c, changed), nil
}

func (s *Service) addClient(c *call) (content, error) {
	var added *world.Client
	err := s.store.Update(func(tx *world.Tx) error {
		name, _ := c.body.Value("Name")
		if name == "" {
			return fail("The client name is required")
		}
		added = &world.Client{UUID: world.NewID(), ID: tx.NextInt(c.tenant), Tenant: c.tenant, Created: tx.Now}
		if err := c.apply(tx, added, c.body); err != nil {
			return err
		}
		if list := c.body.Child("Contacts"); list != nil {
			for i := range list.Children {
				if err := c.addContactTo(tx, added, &list.Children[i]); err != nil {
					return err
				}
			}
		}
		tx.Clients.Put(tx, added.UUID, added)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.one(c, added), nil
}

func (s *Service) updateClient(c *call) (content, error) {
	return s.change(c, identifier(c.body), func(tx *world.Tx, cl *world.Client) error {
		if name, there := c.body.Value("Name"); there && name == "" {
			return fail("The client name is required")
		}
		if err := c.apply(tx, cl, c.body); err != nil {
			return err
		}
		if cl.Tax == nil { // recorded: a client gets its tax block with its first update
			cl.Tax = &world.Tax{BranchNumber: "1", AgencyStatus: "Unlinked"}
		}
		return nil
	})
}

func (s *Service) archiveClient(c *call) (content, error) {
	return s.change(c, identifier(c.body), func(_ *world.Tx, cl *world.Client) error {
		cl.Archived = true
		return nil
	})
}

func (s *Service) deleteClient(c *call) (content, error) {
	_, err := s.change(c, identifier(c.body), func(_ *world.Tx, cl *world.Client) error {
		cl.Deleted = true
		return nil
	})
	return nil, err
}
