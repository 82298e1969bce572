package webhooks

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/concord-suite/concord/sim/world"
)

// Result is the outcome of an intent-to-receive check.
type Result struct {
	OK     bool   `json:"ok"`
	Reason string `json:"reason,omitempty"`
	Posts  []Post `json:"posts"`
}

// intents is which of the messages of a check are signed well.
var intents = []bool{true, false, true, false, false}

// Check finds out whether a hook checks signatures: it posts messages without events, some of them
// signed with another key, and expects 200 for the good ones and 401 for the others. The hook's state
// follows. The error is about an unknown hook.
func (s *Sender) Check(ctx context.Context, id string) (Result, error) {
	h, err := s.hook(id)
	if err != nil {
		return Result{}, err
	}
	r := Result{OK: true}
	for _, signed := range intents {
		p := s.post(ctx, h, nil, signed)
		r.Posts = append(r.Posts, p)
		if !p.OK() && r.OK {
			r.OK, r.Reason = false, p.words()
		}
	}
	s.change(id, func(n *world.Hook) {
		n.State, n.Reason = world.HookActive, ""
		if !r.OK {
			n.State, n.Reason = world.HookPending, r.Reason
		}
	})
	return r, nil
}

func (s *Sender) hook(id string) (*world.Hook, error) {
	var h *world.Hook
	s.store.View(func(st *world.State) { h = st.Hooks.Get(id) })
	if h == nil {
		return nil, fmt.Errorf("no webhook %s", id)
	}
	return h, nil
}

// Replay says which events are sent again, and how.
type Replay struct {
	First int `json:"first"` // sequences; 0: from the oldest there is
	Last  int `json:"last"`  // 0: to the newest
	// Order is "" for the noted one, "reverse" or "shuffle".
	Order string `json:"order"`
	Times int    `json:"times"` // how often each message is sent; 0 is once
	Batch int    `json:"batch"` // events in a message; 0 is all of them in one
	// Forged signs with another key.
	Forged bool `json:"forged"`
}

// Replay sends events of a hook again, told or not, and returns how each message was answered. Nothing
// about the hook changes. The error is about a request that cannot be carried out.
func (s *Sender) Replay(ctx context.Context, id string, r Replay) ([]Post, error) {
	h, err := s.hook(id)
	if err != nil {
		return nil, err
	}
	var list []*world.HookEvent
	s.store.View(func(st *world.State) {
		for _, e := range st.HookEvents.All() {
			if e.Hook == id && e.Sequence >= r.First && (r.Last == 0 || e.Sequence <= r.Last) {
				list = append(list, e)
			}
		}
	})
	slices.SortFunc(list, func(a, b *world.HookEvent) int { return a.Sequence - b.Sequence })
	switch r.Order {
	case "":
	case "reverse":
		slices.Reverse(list)
	case "shuffle":
		rand.New(rand.NewPCG(uint64(len(list)), 0)).Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	default:
		return nil, fmt.Errorf("order is reverse, shuffle or left out")
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("webhook %s has no such events", id)
	}
	if r.Batch <= 0 {
		r.Batch = len(list)
	}
	posts := []Post{}
	for part := range slices.Chunk(list, r.Batch) {
		for range max(r.Times, 1) {
			posts = append(posts, s.post(ctx, h, part, !r.Forged))
		}
	}
	return posts, nil
}
