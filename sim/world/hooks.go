package world

import (
	"fmt"
	"time"
)

// States of a webhook.
const (
	HookPending  = "PENDING"  // its address has not proven that it checks signatures
	HookActive   = "OK"       // it is told of changes
	HookDisabled = "DISABLED" // it did not answer for too long
)

// Kinds of events.
const (
	HookCreate = "CREATE"
	HookUpdate = "UPDATE"
)

// Hook is an address that is told of changes in the tenants connected through an app.
type Hook struct {
	ID    string `json:"id"`
	App   string `json:"app"`
	URL   string `json:"url"`
	Key   string `json:"key"` // of the signature
	State string `json:"state"`
	// Batch is the most events in one message.
	Batch int `json:"batch"`
	// Eager hooks are checked at once and again until they pass, with nobody asking for it.
	Eager bool `json:"eager,omitempty"`
	// Last is the sequence of the last event noted.
	Last   int    `json:"last"`
	Reason string `json:"reason,omitempty"` // why it is not OK, or what the last message met
}

// HookEvent is one change a hook is told of.
type HookEvent struct {
	Hook     string    `json:"hook"`
	Sequence int       `json:"sequence"` // from 1, without gaps
	Tenant   string    `json:"tenant"`
	Resource string    `json:"resource"` // id of the party
	Kind     string    `json:"kind"`
	At       time.Time `json:"at"`
	Told     bool      `json:"told,omitempty"`
}

// Key is the id of the event's row.
func (e *HookEvent) Key() string { return HookEventKey(e.Hook, e.Sequence) }

// HookEventKey is the id of the row of a hook's event.
func HookEventKey(hook string, sequence int) string { return fmt.Sprintf("%s %d", hook, sequence) }

// note adds an event for every active hook whose app is connected to the tenant.
func (tx *Tx) note(tenant, resource, kind string) {
	for id, h := range tx.Hooks.All() {
		if h.State != HookActive || !tx.uses(h.App, tenant) {
			continue
		}
		n := *h
		n.Last++
		tx.Hooks.Put(tx, id, &n)
		e := &HookEvent{Hook: id, Sequence: n.Last, Tenant: tenant, Resource: resource, Kind: kind, At: tx.Now}
		tx.HookEvents.Put(tx, e.Key(), e)
	}
}

func (s *State) uses(app, tenant string) bool {
	for _, c := range s.Connections.All() {
		if c.App == app && c.Tenant == tenant {
			return true
		}
	}
	return false
}
