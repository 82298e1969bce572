package control

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"github.com/concord-suite/concord/sim/webhooks"
	"github.com/concord-suite/concord/sim/world"
)

type newHook struct {
	ID  string `json:"id"` // of the hook to replace
	App string `json:"app"`
	URL string `json:"url"`
	Key string `json:"key"` // made up unless given
	// Batch is the most events in one message; default 25.
	Batch int `json:"batch"`
	// Unchecked makes the hook active without the intent-to-receive check.
	Unchecked bool `json:"unchecked"`
	Eager     bool `json:"eager"` // checked at once and until it passes
}

// defaultBatch keeps a message small, as the provider's are.
const defaultBatch = 25

func (a *API) putHook(n newHook) (any, error) {
	if u, err := url.Parse(n.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, bad("url is the address that is told of changes")
	}
	h := &world.Hook{ID: n.ID, App: n.App, URL: n.URL, Key: n.Key, Batch: n.Batch, Eager: n.Eager, State: world.HookPending}
	if h.ID == "" {
		h.ID = world.NewID()
	}
	if h.Key == "" {
		h.Key = world.NewID()
	}
	if h.Batch <= 0 {
		h.Batch = defaultBatch
	}
	if n.Unchecked {
		h.State = world.HookActive
	}
	return h, a.store.Update(func(tx *world.Tx) error {
		if tx.Apps.Get(h.App) == nil {
			return missing("no app %q", h.App)
		}
		if old := tx.Hooks.Get(h.ID); old != nil {
			h.Last = old.Last
		}
		tx.Hooks.Put(tx, h.ID, h)
		return nil
	})
}

// hookState is a webhook with what it was not told yet.
type hookState struct {
	world.Hook
	Waiting int `json:"waiting"` // events
}

func (a *API) listHooks(*http.Request) (any, error) {
	list := []hookState{}
	a.store.View(func(s *world.State) {
		waiting := map[string]int{}
		for _, e := range s.HookEvents.All() {
			if !e.Told {
				waiting[e.Hook]++
			}
		}
		for id, h := range s.Hooks.All() {
			list = append(list, hookState{*h, waiting[id]})
		}
	})
	return map[string]any{"webhooks": list}, nil
}

// hookEvents answers with the events noted for a hook, by their sequence.
func (a *API) hookEvents(r *http.Request) (any, error) {
	list := []*world.HookEvent{}
	a.store.View(func(s *world.State) {
		for _, e := range s.HookEvents.All() {
			if e.Hook == r.PathValue("id") {
				list = append(list, e)
			}
		}
	})
	slices.SortFunc(list, func(x, y *world.HookEvent) int { return x.Sequence - y.Sequence })
	return map[string]any{"events": list}, nil
}

func (a *API) removeHooks(r *http.Request) (any, error) {
	return nil, a.store.Update(func(tx *world.Tx) error {
		for key, e := range tx.HookEvents.All() {
			if id := r.PathValue("id"); id == "" || id == e.Hook {
				tx.HookEvents.Delete(tx, key)
			}
		}
		return remove(tx, tx.Hooks, r.PathValue("id"))
	})
}

type hookCheck struct {
	ID string `json:"id"`
}

func (a *API) checkHook(c hookCheck) (any, error) {
	result, err := a.hooks.Check(context.Background(), c.ID)
	if err != nil {
		return nil, missing("%v", err)
	}
	return result, nil
}

type hookReplay struct {
	ID string `json:"id"`
	webhooks.Replay
}

func (a *API) replayHook(r hookReplay) (any, error) {
	posts, err := a.hooks.Replay(context.Background(), r.ID, r.Replay)
	if err != nil {
		return nil, bad("%v", err)
	}
	return map[string]any{"posts": posts}, nil
}
