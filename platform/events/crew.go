package events

import (
	"context"
	"hash/maphash"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// crew is the workers of one session. Events of one entity go to the same worker, in the order of their delivery.
type crew struct {
	c      *Consumer
	ctx    context.Context
	queues []chan jetstream.Msg
	wg     sync.WaitGroup
	stop   chan struct{}

	mu   sync.Mutex
	held map[jetstream.Msg]struct{} // taken from the bus and not answered yet
}

// hire starts the workers.
func (c *Consumer) hire(ctx context.Context) *crew {
	w := &crew{c: c, ctx: ctx, stop: make(chan struct{}), held: map[jetstream.Msg]struct{}{}}
	for range c.opt.Workers {
		queue := make(chan jetstream.Msg, 32)
		w.queues = append(w.queues, queue)
		w.wg.Go(func() {
			for msg := range queue {
				w.work(msg)
			}
		})
	}
	w.wg.Go(w.beat)
	return w
}

// give hands a message to the worker of its entity.
func (w *crew) give(msg jetstream.Msg) {
	w.mu.Lock()
	w.held[msg] = struct{}{}
	w.mu.Unlock()
	h := msg.Headers()
	key := maphash.String(w.c.seed, h.Get(headerFirm)+"/"+h.Get(headerEntity))
	w.queues[key%uint64(len(w.queues))] <- msg
}

func (w *crew) work(msg jetstream.Msg) {
	defer func() {
		w.mu.Lock()
		delete(w.held, msg)
		w.mu.Unlock()
	}()
	if w.ctx.Err() != nil {
		_ = msg.Nak() // shutting down: another replica can have it now
		return
	}
	// What has begun is finished, also when the process is asked to stop meanwhile.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), w.c.opt.HandlerTimeout)
	defer cancel()
	// A lost answer only means another delivery.
	if wait := w.c.deliver(ctx, msg); wait > 0 {
		_ = msg.NakWithDelay(wait)
		return
	}
	_ = msg.Ack()
}

// beat tells the bus that what is held is not forgotten, so that a queue or a slow handler causes no second delivery.
func (w *crew) beat() {
	t := time.NewTicker(w.c.opt.AckWait / 3)
	defer t.Stop()
	for {
		select {
		case <-w.stop:
			return
		case <-t.C:
		}
		w.mu.Lock()
		for msg := range w.held {
			_ = msg.InProgress()
		}
		w.mu.Unlock()
	}
}

// dismiss waits until everything that was given is answered.
func (w *crew) dismiss() {
	for _, q := range w.queues {
		close(q)
	}
	close(w.stop)
	w.wg.Wait()
}
