package sqldbtest

import (
	"context"
	"database/sql/driver"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/concord-suite/concord/platform/sqldb"
)

// Faults breaks a database below database/sql:
//
//	faults := sqldbtest.NewFaults()
//	db := sqldbtest.Open(t, url, migrations, faults.Option())
//	faults.CommitThenFail(1) // the next commit happens and its answer is lost
//
// Commits are those of write transactions. The zero value is not usable. Its methods may be called at any time, from any goroutine.
type Faults struct {
	mu         sync.Mutex
	lose       int // commits to roll back with a lost answer
	refuse     int // commits to refuse
	commitLose int // commits to do with a lost answer
	match      string
	failing    int // statements that contain match to fail
	frozen     chan struct{}
	onCommit   func(ctx context.Context, done bool)
}

// NewFaults returns Faults that break nothing yet.
func NewFaults() *Faults { return &Faults{} }

// Option makes a database go through f.
func (f *Faults) Option() sqldb.Option {
	return sqldb.WithConnector(func(c driver.Connector) driver.Connector { return &connector{Connector: c, faults: f} })
}

// FailCommit makes the next n commits roll back, their answer lost: to the caller the outcome is unknown.
func (f *Faults) FailCommit(n int) { f.set(func() { f.lose = n }) }

// CommitThenFail makes the next n commits happen and loses their answer: to the caller it looks like FailCommit.
func (f *Faults) CommitThenFail(n int) { f.set(func() { f.commitLose = n }) }

// RefuseCommit makes the next n commits roll back as a serialization failure does: sqldb runs the transaction again.
func (f *Faults) RefuseCommit(n int) { f.set(func() { f.refuse = n }) }

// OnCommit calls fn right before each commit (done is false) and right after it happened (done is true), with what the
// context of the transaction holds. It may end the process there.
func (f *Faults) OnCommit(fn func(ctx context.Context, done bool)) { f.set(func() { f.onCommit = fn }) }

// FailExec makes the next n statements fail that contain match.
func (f *Faults) FailExec(match string, n int) { f.set(func() { f.match, f.failing = match, n }) }

// Freeze makes everything hang until Thaw, or until the context of the call ends.
func (f *Faults) Freeze() {
	f.set(func() {
		if f.frozen == nil {
			f.frozen = make(chan struct{})
		}
	})
}

// Thaw ends Freeze.
func (f *Faults) Thaw() {
	f.set(func() {
		if f.frozen != nil {
			close(f.frozen)
			f.frozen = nil
		}
	})
}

func (f *Faults) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// take uses up one of n faults.
func (f *Faults) take(n *int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if *n == 0 {
		return false
	}
	*n--
	return true
}

func (f *Faults) hang(ctx context.Context) error {
	f.mu.Lock()
	frozen := f.frozen
	f.mu.Unlock()
	if frozen == nil {
		return nil
	}
	select {
	case <-frozen:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// committing tells of a commit.
func (f *Faults) committing(ctx context.Context, done bool) {
	f.mu.Lock()
	fn := f.onCommit
	f.mu.Unlock()
	if fn != nil {
		fn(ctx, done)
	}
}

// before is called ahead of each statement.
func (f *Faults) before(ctx context.Context, query string) error {
	if err := f.hang(ctx); err != nil {
		return err
	}
	f.mu.Lock()
	hit := f.failing > 0 && strings.Contains(query, f.match)
	f.mu.Unlock()
	if hit && f.take(&f.failing) {
		return errInjected
	}
	return nil
}

// errInjected and errLost are what a failing statement and a lost connection look like.
var (
	errInjected = &pgconn.PgError{Code: "XX000", Message: "injected by the test"} // internal_error
	errLost     = driver.ErrBadConn
	errRefused  = &pgconn.PgError{Code: "40001"} // serialization_failure
)
