package idem

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/concord-suite/concord/platform/sqldb"
)

// Attempt is one try at a request that cannot be one transaction, because the world outside is called in between. Only
// one attempt at a request is under way at a time.
//
//	attempt, resp, err := idem.Begin[*connectorv1.DisconnectResponse](ctx, memory, req, 30*time.Second)
//	if err != nil || attempt == nil {
//		return resp, err                     // refused, under way elsewhere, or answered before
//	}
//	if attempt.Resumed { ... }               // an earlier attempt died half-way: look before doing
//	outcome, err := upstream.Revoke(ctx)     // never inside a transaction
//	if err != nil {
//		return nil, attempt.Abandon(ctx, err)  // nothing happened: the client may try again at once
//	}
//	err = db.Tx(ctx, func(tx *sqldb.Tx) error {
//		... write the outcome ...
//		return attempt.Finish(tx, resp)
//	})
//
// When the outcome outside is unknown (a lost answer), neither finish nor abandon, but leave: the next attempt may begin
// at once and comes with Resumed. So does the next one after a process that died, when the lease has run out.
type Attempt struct {
	// Resumed says that an earlier attempt at this request began and never ended: what it did is unknown.
	Resumed bool

	memory *Memory
	key    key
	owner  string // "" when the request is not remembered
}

// Begin starts an attempt that has the request to itself for the time of the lease, which must cover the slowest good
// case. It returns no attempt but the answer when the request was answered before, and REQUEST_IN_PROGRESS when another
// attempt holds it.
func Begin[R proto.Message](ctx context.Context, m *Memory, req proto.Message, lease time.Duration) (*Attempt, R, error) {
	var resp R
	k, remember, err := keyOf(ctx, req)
	if err != nil {
		return nil, resp, err
	}
	a := &Attempt{memory: m, key: k}
	if !remember {
		return a, resp, nil
	}
	a.owner = uuid.NewString()
	answered := false
	err = m.db.Tx(ctx, func(tx *sqldb.Tx) error {
		answered, a.Resumed = false, false
		first, r, err := m.claim(tx, k, a.owner, m.now().Add(lease))
		if err != nil || first {
			return err
		}
		if r.response != nil {
			answered = true
			resp, err = answer[R](r)
			return err
		}
		if r.leased.After(m.now()) {
			return errInProgress
		}
		a.Resumed = true
		return a.takeOver(tx, r.owner, m.now().Add(lease))
	})
	if err != nil || answered {
		return nil, resp, err
	}
	return a, resp, nil
}

func (a *Attempt) takeOver(tx *sqldb.Tx, from string, leased time.Time) error {
	k := a.key
	n, err := tx.Exec(`UPDATE idem_requests SET owner = $6, leased = $7`+whereKey+` AND owner = $8`,
		k.firm, k.kind, k.caller, k.request, k.requestID, a.owner, sqldb.Micros(leased), from)
	if err == nil && n != 1 {
		return errInProgress
	}
	return err
}

// Finish remembers the answer, in the transaction that writes the outcome. It fails when the lease ran out and another
// attempt took over; the transaction must then not commit.
func (a *Attempt) Finish(tx *sqldb.Tx, resp proto.Message) error {
	if a.owner == "" {
		return nil
	}
	return a.memory.store(tx, a.key, a.owner, resp)
}

// Abandon forgets the attempt, since it is certain that nothing happened, and returns why joined with what went wrong in
// forgetting. Forgetting works also when ctx is over.
func (a *Attempt) Abandon(ctx context.Context, why error) error {
	if a.owner == "" {
		return why
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abandonTimeout)
	defer cancel()
	err := a.memory.db.Tx(ctx, func(tx *sqldb.Tx) error { return a.key.forget(tx, a.owner) })
	if err != nil {
		return errors.Join(why, err)
	}
	return why
}

// Leave gives the request back unanswered, since nobody knows what happened: the next attempt at it is Resumed and need
// not wait for the lease. It returns why. Leaving works also when ctx is over; when it fails, the lease runs out.
func (a *Attempt) Leave(ctx context.Context, why error) error {
	if a.owner == "" {
		return why
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abandonTimeout)
	defer cancel()
	k := a.key
	err := a.memory.db.Tx(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(`UPDATE idem_requests SET leased = $7`+whereKey+` AND owner = $6 AND response IS NULL`,
			k.firm, k.kind, k.caller, k.request, k.requestID, a.owner, sqldb.Micros(a.memory.now()))
		return err
	})
	if err != nil {
		return errors.Join(why, err)
	}
	return why
}

// abandonTimeout bounds the clean-up after a call that may itself have run out of time.
const abandonTimeout = 2 * time.Second

const (
	// purgeEvery and purgeBatch keep the table at about a day's requests without ever holding a lock for long.
	purgeEvery = 10 * time.Minute
	purgeBatch = 1000
)

// Purge deletes the requests that are older than Life and returns how many there were.
func (m *Memory) Purge(ctx context.Context) (int64, error) {
	var total int64
	for {
		var n int64
		err := m.db.Tx(ctx, func(tx *sqldb.Tx) (err error) {
			n, err = tx.Exec(`
				DELETE FROM idem_requests WHERE (firm, kind, caller, request, request_id) IN (
					SELECT firm, kind, caller, request, request_id FROM idem_requests WHERE expires <= $1 LIMIT $2)`,
				sqldb.Micros(m.now()), purgeBatch)
			return err
		}, sqldb.ReadCommitted)
		total += n
		if err != nil || n < purgeBatch {
			return total, err
		}
	}
}

// Run purges every ten minutes until ctx ends. A purge that fails is left to the next one.
func (m *Memory) Run(ctx context.Context) error {
	tick := time.NewTicker(purgeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			_, _ = m.Purge(ctx)
		}
	}
}
