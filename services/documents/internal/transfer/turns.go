package transfer

import (
	"context"
	"sync"
)

// atOnce is how many files one caller sends at the same time; browsers send six. What arrives slowly holds room on its way
// to a bucket, which all firms share: without a bound one person could take all of it, for as long as an upload may last.
const atOnce = 8

// turns lets each caller send so many files at once. Who sends more waits with the rest.
type turns struct {
	mu sync.Mutex
	of map[string]*turn
}

// turn is of one caller: a place for each file, and how many hold one or wait for it.
type turn struct {
	places chan struct{}
	users  int
}

// take waits for a place, until ctx ends. It is given back by give, once.
func (t *turns) take(ctx context.Context, caller string) (give func(), err error) {
	t.mu.Lock()
	one := t.of[caller]
	if one == nil {
		if t.of == nil {
			t.of = map[string]*turn{}
		}
		one = &turn{places: make(chan struct{}, atOnce)}
		t.of[caller] = one
	}
	one.users++
	t.mu.Unlock()
	select {
	case one.places <- struct{}{}:
		return func() {
			<-one.places
			t.leave(caller, one)
		}, nil
	case <-ctx.Done():
		t.leave(caller, one)
		return nil, ctx.Err()
	}
}

// leave forgets a caller of whom nothing is sent any more.
func (t *turns) leave(caller string, one *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if one.users--; one.users == 0 {
		delete(t.of, caller)
	}
}
