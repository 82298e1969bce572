package rotation

import (
	"context"
	"errors"
	"time"

	"github.com/concord-suite/concord/platform/vault"
)

const (
	// lookEvery is how often Rotate looks how far things are.
	lookEvery = 250 * time.Millisecond
	// patience is after how many looks without progress Rotate seals rows itself: ten seconds. The services may be stopped.
	patience = 40
)

// Step is how far a rotation is.
type Step struct {
	// Doing is what it does, for people.
	Doing string
	// Waits is why it does not go on yet; nil when it does.
	Waits error
	// Status is what it saw last; Old are the keys that are being replaced.
	Status Status
	Old    []vault.KeyID
}

// Rotate replaces the keys: from the beginning, or from where a rotation before was interrupted. It waits for processes
// and rows until ctx ends; told hears of every step and, while it waits, of every look. Old keys that hash may stay; then
// kept says why, and the next rotation removes them.
func (r Ring) Rotate(ctx context.Context, told func(Step)) (kept, err error) {
	if r.opened, err = r.File.Open(); err != nil {
		return nil, err
	}
	s, err := r.Status(ctx)
	if err != nil {
		return nil, err
	}
	pending, _ := s.Keys.With(vault.Pending)
	if old, _ := s.Keys.With(vault.Old); len(old) == 0 && len(pending) == 0 {
		told(Step{Doing: "adding a key", Status: s})
		if err := r.Add(); err != nil && !errors.Is(err, ErrRefused) { // refused: somebody else added one just now
			return nil, err
		}
	} else {
		told(Step{Doing: "going on with a rotation that was interrupted", Status: s})
	}
	if err := r.untilPromoted(ctx, told); err != nil {
		return nil, err
	}
	if err := r.untilResealed(ctx, told); err != nil {
		return nil, err
	}
	return r.untilRetired(ctx, told)
}

// untilPromoted waits until every process has the added key and makes it the one that seals.
func (r Ring) untilPromoted(ctx context.Context, told func(Step)) error {
	return r.watch(ctx, func(s Status) (bool, error) {
		if pending, _ := s.Keys.With(vault.Pending); len(pending) == 0 {
			return true, nil
		}
		if err := s.unready(); err != nil {
			told(Step{Doing: "waiting until every process has the new key", Waits: err, Status: s})
			return false, nil
		}
		err := r.Promote(ctx)
		if errors.Is(err, ErrRefused) {
			return false, nil // things changed since the look
		}
		told(Step{Doing: "the new key seals", Status: s})
		return err == nil, err
	})
}

// untilResealed waits while the services seal their rows anew, and does it when they do not.
func (r Ring) untilResealed(ctx context.Context, told func(Step)) error {
	still, before := 0, -1
	return r.watch(ctx, func(s Status) (bool, error) {
		old, _ := s.Keys.With(vault.Old)
		step := Step{Doing: "sealing anew", Status: s, Old: old}
		left := s.Left(old)
		if left == 0 && s.sealingOld() == nil {
			told(step)
			return true, nil
		}
		if still++; left != before {
			still, before = 0, left
		}
		step.Waits = s.sealingOld()
		told(step)
		if len(s.live()) > 0 && still < patience {
			return false, nil
		}
		still = 0
		return false, r.reseal(ctx, told)
	})
}

// reseal seals anew here what is under old keys.
func (r Ring) reseal(ctx context.Context, told func(Step)) error {
	v, err := r.vault()
	if err != nil {
		return err
	}
	old, _ := v.Keys().With(vault.Old)
	unreadable := 0
	for _, b := range r.Books {
		done, err := b.Reseal(ctx, v, func(Secret, Progress) error {
			s, err := r.Status(ctx)
			if err == nil {
				told(Step{Doing: "sealing anew", Status: s, Old: old})
			}
			return err
		})
		if err != nil {
			return err
		}
		unreadable += done.Unreadable
	}
	s, err := r.Status(ctx)
	if err == nil && unreadable > 0 && unreadable == s.Left(old) {
		return refuse("%s can't be opened with the key they name, and would be lost with it; the logs tell which service's, and "+
			"keys retire --lose retires the key all the same", rows(unreadable))
	}
	return err
}

// untilRetired removes the old keys. A row written meanwhile under an old key is sealed anew first.
func (r Ring) untilRetired(ctx context.Context, told func(Step)) (kept, err error) {
	for {
		kept, err = r.Retire(ctx, false)
		if !errors.Is(err, ErrRefused) {
			return kept, err
		}
		if err := r.untilResealed(ctx, told); err != nil {
			return nil, err
		}
	}
}

// watch looks again and again until done.
func (r Ring) watch(ctx context.Context, done func(Status) (bool, error)) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		s, err := r.Status(ctx)
		if err != nil {
			return err
		}
		if ok, err := done(s); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
