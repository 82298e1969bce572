package sqldb

import (
	"context"
	"sync"
)

type hookKey struct{}

// hook is one function registered by BeforeCommit, and whether a transaction carries it or has carried it.
type hook struct {
	fn     func(*Tx) error
	parent *hook

	mu    sync.Mutex
	state hookState
}

type hookState int

const (
	hookFree      hookState = iota // no transaction has it
	hookClaimed                    // a transaction that is about to commit has it
	hookCommitted                  // it was committed; it never runs again
)

// BeforeCommit returns a context under which the first write transaction to commit also runs fn, right before its
// COMMIT. What fn writes is committed with it, or not at all; an error of fn refuses the transaction. Once such a
// transaction is committed fn does not run again. When it was not, fn runs again in the next attempt, and so must be
// re-runnable.
//
// It lets somebody outside the transaction (the audit interceptor) write into the transaction of a change without the
// code of the change knowing. Hooks of nested calls run in the order of their registration.
func BeforeCommit(ctx context.Context, fn func(tx *Tx) error) context.Context {
	return context.WithValue(ctx, hookKey{}, &hook{fn: fn, parent: hooksOf(ctx)})
}

// HooksCommitted reports whether everything registered in ctx by BeforeCommit was committed by some transaction. It is
// false when an answer to COMMIT was lost.
func HooksCommitted(ctx context.Context) bool {
	for h := hooksOf(ctx); h != nil; h = h.parent {
		h.mu.Lock()
		done := h.state == hookCommitted
		h.mu.Unlock()
		if !done {
			return false
		}
	}
	return true
}

func hooksOf(ctx context.Context) *hook {
	h, _ := ctx.Value(hookKey{}).(*hook)
	return h
}

// runHooks claims and runs the hooks that no other transaction has. It returns the claimed ones, also with an error.
func (tx *Tx) runHooks(last *hook) ([]*hook, error) {
	var claimed []*hook
	for h := last; h != nil; h = h.parent {
		h.mu.Lock()
		if h.state == hookFree {
			h.state = hookClaimed
			claimed = append(claimed, h)
		}
		h.mu.Unlock()
	}
	for i := len(claimed) - 1; i >= 0; i-- { // the list starts with the last registered
		if err := tx.run(claimed[i].fn); err != nil {
			return claimed, err
		}
	}
	return claimed, nil
}

// release gives hooks back that were not committed.
func release(hooks []*hook) { setState(hooks, hookFree) }

func committed(hooks []*hook) { setState(hooks, hookCommitted) }

func setState(hooks []*hook, s hookState) {
	for _, h := range hooks {
		h.mu.Lock()
		h.state = s
		h.mu.Unlock()
	}
}
