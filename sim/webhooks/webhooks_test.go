package webhooks_test

import (
	"testing"
	"time"

	"github.com/concord-suite/concord/sim/webhooks"
	"github.com/concord-suite/concord/sim/world"
)

func clock() time.Time { return time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC) }

// TestADeafHookIsDisabledAfterADay lets a day of pauses pass in a tenth of a second.
func TestADeafHookIsDisabledAfterADay(t *testing.T) {
	store, err := world.Open("", clock)
	if err != nil {
		t.Fatal(err)
	}
	err = store.Update(func(tx *world.Tx) error {
		tx.Hooks.Put(tx, "h", &world.Hook{ID: "h", App: "a", URL: "http://127.0.0.1:1", State: world.HookActive, Batch: 1})
		tx.Connections.Put(tx, "c", &world.Connection{ID: "c", App: "a", Tenant: "t"})
		tx.PutParty(&world.Party{ID: "p", Tenant: "t", Name: "N"})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	s := webhooks.New(store, "http://127.0.0.1:1", 1_000_000)
	defer s.Close()
	for limit := time.After(time.Minute); ; {
		changed := store.Changed()
		var h *world.Hook
		store.View(func(st *world.State) { h = st.Hooks.Get("h") })
		if h.State == world.HookDisabled {
			if h.Reason == "" {
				t.Error("nobody knows why")
			}
			return
		}
		select {
		case <-changed:
		case <-limit:
			t.Fatalf("still %+v", h)
		}
	}
}
