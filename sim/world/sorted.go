package world

import (
	"slices"
	"strings"
	"sync"
)

// sortedViews keeps the listings of each tenant in order, so that paging through 20,000 clients
// sorts them once and not once a page.
type sortedViews struct {
	mu       sync.Mutex
	clients  map[string]view[Client]
	contacts map[string]view[Contact]
	parties  map[string]view[Party] // by order and tenant
}

type view[T any] struct {
	version uint64
	rows    []*T
}

// ClientsByName returns all clients of a tenant, archived and deleted ones too but not purged
// ones, by name and then UUID. The slice is shared: do not change it.
func (s *Store) ClientsByName(tenant string) []*Client {
	s.mu.RLock()
	defer s.mu.RUnlock()
	s.sorted.mu.Lock()
	defer s.sorted.mu.Unlock()
	if s.sorted.clients == nil {
		s.sorted.clients = map[string]view[Client]{}
	}
	return sortedRows(s.state.Clients, s.sorted.clients, tenant, tenant,
		func(c *Client) (string, string) {
			if c.Purged {
				return "", ""
			}
			return c.Tenant, sortKey(c.Name, c.UUID)
		})
}

// ContactsByName returns all contacts of a tenant, deleted ones too, by name and then UUID. The
// slice is shared: do not change it.
func (s *Store) ContactsByName(tenant string) []*Contact {
	s.mu.RLock()
	defer s.mu.RUnlock()
	s.sorted.mu.Lock()
	defer s.sorted.mu.Unlock()
	if s.sorted.contacts == nil {
		s.sorted.contacts = map[string]view[Contact]{}
	}
	return sortedRows(s.state.Contacts, s.sorted.contacts, tenant, tenant,
		func(c *Contact) (string, string) { return c.Tenant, sortKey(c.Name, c.UUID) })
}

// sortedRows returns the tenant's rows in the order of their keys, from the view kept under id if nothing
// changed since.
func sortedRows[T any](t *Table[T], views map[string]view[T], id, tenant string, key func(*T) (tenant, sort string)) []*T {
	if v, ok := views[id]; ok && v.version == t.version {
		return v.rows
	}
	type keyed struct {
		key string
		row *T
	}
	var found []keyed
	for _, row := range t.rows {
		if owner, k := key(row); owner == tenant {
			found = append(found, keyed{k, row})
		}
	}
	slices.SortFunc(found, func(a, b keyed) int { return strings.Compare(a.key, b.key) })
	rows := make([]*T, len(found))
	for i, f := range found {
		rows[i] = f.row
	}
	views[id] = view[T]{t.version, rows}
	return rows
}

// ClientKey is the place of a client in ClientsByName, comparable with others.
func ClientKey(c *Client) string { return sortKey(c.Name, c.UUID) }

// ContactKey is the place of a contact in ContactsByName, comparable with others.
func ContactKey(c *Contact) string { return sortKey(c.Name, c.UUID) }
