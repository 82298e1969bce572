package syncsvc

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/sync/internal/store"
	"github.com/concord-suite/concord/services/sync/internal/store/lease"
)

// crew is a number of goroutines that do one kind of work. One of them at a time looks for work; when it finds some it
// lets the next one look. So an idle service asks its database once per kind and not once per goroutine.
type crew struct {
	what  string
	size  int
	topic string
	poll  time.Duration
	// step does one piece of work. It calls claimed once it has one, and returns an idle error when there is none.
	step func(ctx context.Context, claimed func()) error

	db  *sqldb.DB
	log *slog.Logger
}

// crews are the kinds of work.
func (s *Service) crews() []crew {
	all := []crew{
		{what: "runs", size: s.cfg.Runs, topic: store.TopicRuns, poll: s.cfg.Poll, step: s.runner.Step},
		{what: "decided plans", size: s.cfg.Runs, topic: store.TopicPlans, poll: s.cfg.Poll, step: s.runner.Removals},
		{what: "contacts without clients", size: 1, topic: store.TopicChecks, poll: s.cfg.Poll, step: s.runner.Checks},
		{what: "off-boardings", size: s.cfg.Offboardings, topic: store.TopicOffboardings, poll: s.cfg.Poll, step: s.saga.Step},
		{what: "details", size: 1, topic: store.TopicDetails, poll: s.cfg.Poll, step: s.detail.Step},
		{what: "schedule", size: 1, topic: store.TopicRuns, poll: s.cfg.ScheduleEvery, step: s.schedule},
	}
	for i := range all {
		all[i].db, all[i].log = s.deps.DB, s.deps.Logger
	}
	return all
}

// schedule starts what is due. It never claims anything: what it starts is work for the runs.
func (s *Service) schedule(ctx context.Context, _ func()) error {
	if err := s.runner.Schedule(ctx); err != nil {
		return err
	}
	return lease.ErrIdle
}

func idle(err error) bool {
	return errors.Is(err, lease.ErrIdle)
}

func (c crew) start(ctx context.Context, group *errgroup.Group) {
	turn := make(chan struct{}, 1) // held by the one that looks
	for range c.size {
		group.Go(func() error {
			for ctx.Err() == nil {
				select {
				case <-ctx.Done():
					return nil
				case turn <- struct{}{}:
				}
				c.look(ctx, turn)
			}
			return nil
		})
	}
}

// look waits for a piece of work, lets the next one look, and does it.
func (c crew) look(ctx context.Context, turn chan struct{}) {
	told, stop := c.db.Watch(c.topic)
	defer stop()
	tick := time.NewTicker(c.poll)
	defer tick.Stop()
	held := true
	pass := func() {
		if held {
			held = false
			<-turn
		}
	}
	defer pass()
	for held && ctx.Err() == nil {
		if err := c.step(ctx, pass); err != nil && !idle(err) && ctx.Err() == nil {
			c.log.WarnContext(ctx, "work met an error and will be tried again", "work", c.what, "error", err)
		}
		if !held {
			return
		}
		select {
		case <-ctx.Done():
		case <-told:
		case <-tick.C:
		}
	}
}
