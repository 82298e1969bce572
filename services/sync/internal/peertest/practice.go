package peertest

import (
	"fmt"
	"slices"

	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
)

// Practice makes n clients "r0001"... and as many contacts "p0001"..., each of its client, every fifth also of the next.
func (w *World) Practice(n int) {
	for i := 1; i <= n; i++ {
		w.PutClient(fmt.Sprintf("r%04d", i), &connectorv1.ClientFields{
			Name: fmt.Sprintf("Client %04d Pty Ltd", i), Code: fmt.Sprintf("C%04d", i), EntityType: "Company",
			Email: fmt.Sprintf("c%d@example.com", i),
		})
	}
	for i := 1; i <= n; i++ {
		clients := []string{fmt.Sprintf("r%04d", i)}
		if i%5 == 0 && i < n {
			clients = append(clients, fmt.Sprintf("r%04d", i+1))
		}
		w.PutContact(fmt.Sprintf("p%04d", i), fmt.Sprintf("Person %04d", i), clients...)
	}
}

// Records returns the ids of the client records that are neither archived nor deleted.
func (w *World) Records() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for id, c := range w.clients {
		if !c.Archived {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// Warm makes all records now, so that what is measured later is not the world's own work.
func (w *World) Warm() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range w.order() {
		w.clients[id].record()
	}
	for _, id := range w.persons() {
		w.contacts[id].record()
	}
}
