package idem_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/access/accesstest"
	"github.com/concord-suite/concord/platform/idem"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/serve/servetest"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	auditeventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/audit/v1"
)

// answer stands for a response: any generated message will do.
type answer = *auditeventsv1.AuditEntry

// bench is a memory on a database, with a clock that the test turns.
type bench struct {
	t      *testing.T
	db     *sqldb.DB
	memory *idem.Memory
	things *servetest.Things
	mu     sync.Mutex
	time   time.Time
	runs   atomic.Int32
}

func each(t *testing.T, fn func(t *testing.T, b *bench)) {
	sqldbtest.Each(t, idem.Schema, func(t *testing.T, db *sqldb.DB) {
		things, err := servetest.New()
		require.NoError(t, err)
		b := &bench{t: t, db: db, things: things, time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
		b.memory = idem.New(db, b.now)
		fn(t, b)
	})
}

func (b *bench) now() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.time
}

func (b *bench) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.time = b.time.Add(d)
}

func (b *bench) as(k access.Kind, firm string) context.Context {
	return access.With(b.t.Context(), accesstest.Of(k, firm))
}

// do makes a request whose answer tells which run made it.
func (b *bench) do(ctx context.Context, fields map[string]string) (string, error) {
	resp, err := idem.Do(ctx, b.memory, b.things.Request(fields), func(tx *sqldb.Tx) (answer, error) {
		return &auditeventsv1.AuditEntry{EntryId: fmt.Sprint("run ", b.runs.Add(1))}, nil
	})
	return resp.GetEntryId(), err
}

func TestTheSameRequestHappensOnce(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		ctx := b.as(access.Staff, accesstest.FirmA)
		for range 3 {
			got, err := b.do(ctx, map[string]string{"request_id": "r1", "text": "x"})
			require.NoError(t, err)
			require.Equal(t, "run 1", got)
		}
		got, err := b.do(ctx, map[string]string{"request_id": "r2", "text": "x"})
		require.NoError(t, err)
		require.Equal(t, "run 2", got, "another request_id is another request")
	})
}

// An answer with nothing in it is an answer, not one that is still to come.
func TestAnEmptyAnswerIsRemembered(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		ctx := b.as(access.Staff, accesstest.FirmA)
		for range 2 {
			_, err := idem.Do(ctx, b.memory, b.things.Request(map[string]string{"request_id": "r1"}), func(*sqldb.Tx) (answer, error) {
				b.runs.Add(1)
				return &auditeventsv1.AuditEntry{}, nil
			})
			require.NoError(t, err)
		}
		require.EqualValues(t, 1, b.runs.Load())
	})
}

func TestARequestIDBelongsToOnePayload(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		ctx := b.as(access.Staff, accesstest.FirmA)
		_, err := b.do(ctx, map[string]string{"request_id": "r1", "text": "x"})
		require.NoError(t, err)
		_, err = b.do(ctx, map[string]string{"request_id": "r1", "text": "y"})
		require.True(t, rpcerr.Has(err, rpcerr.RequestIDReused), "%v", err)
		require.Equal(t, codes.InvalidArgument, rpcerr.From(err).Code())
		require.Equal(t, "request_id", rpcerr.From(err).Violations()[0].Field)
		require.EqualValues(t, 1, b.runs.Load())
	})
}

func TestCallersDoNotShareAMemory(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		fields := map[string]string{"request_id": "r1"}
		seen := map[string]bool{}
		for _, ctx := range []context.Context{
			b.as(access.Staff, accesstest.FirmA), b.as(access.Staff, accesstest.FirmB),
			b.as(access.Administrator, accesstest.FirmA), b.as(access.Service, accesstest.FirmA),
			access.With(t.Context(), access.ServicePrincipal("connector", accesstest.FirmA)),
		} {
			got, err := b.do(ctx, fields)
			require.NoError(t, err)
			require.False(t, seen[got], "%s was another caller's answer", got)
			seen[got] = true
		}
	})
}

func TestNothingIsRememberedOfStrangersOrWithoutAnID(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		for range 2 {
			_, err := b.do(b.as(access.Anonymous, ""), map[string]string{"request_id": "r1"})
			require.NoError(t, err)
			_, err = b.do(b.as(access.Staff, accesstest.FirmA), nil)
			require.NoError(t, err)
		}
		require.EqualValues(t, 4, b.runs.Load())
	})
}

func TestAFailureIsForgottenWithItsEffects(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		ctx := b.as(access.Staff, accesstest.FirmA)
		broken := errors.New("broken")
		_, err := idem.Do(ctx, b.memory, b.things.Request(map[string]string{"request_id": "r1"}),
			func(*sqldb.Tx) (answer, error) { return nil, broken })
		require.ErrorIs(t, err, broken)
		got, err := b.do(ctx, map[string]string{"request_id": "r1"})
		require.NoError(t, err)
		require.Equal(t, "run 1", got)
	})
}

func TestAnAnswerIsForgottenAfterADay(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		ctx := b.as(access.Staff, accesstest.FirmA)
		fields := map[string]string{"request_id": "r1"}
		_, err := b.do(ctx, fields)
		require.NoError(t, err)
		b.pass(idem.Life - time.Second)
		got, err := b.do(ctx, fields)
		require.NoError(t, err)
		require.Equal(t, "run 1", got)
		n, err := b.memory.Purge(t.Context())
		require.NoError(t, err)
		require.Zero(t, n, "still remembered")
		b.pass(time.Second)
		got, err = b.do(ctx, map[string]string{"request_id": "r1", "text": "new"})
		require.NoError(t, err)
		require.Equal(t, "run 2", got, "the id is free for another payload")
		b.pass(idem.Life)
		n, err = b.memory.Purge(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 1, n)
	})
}

func TestEqualRequestsAtOnceGetOneAnswer(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		require.NoError(t, b.db.Tx(t.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.Exec(`CREATE TABLE effects (n BIGINT NOT NULL)`)
			return err
		}))
		ctx := b.as(access.Staff, accesstest.FirmA)
		var group sync.WaitGroup
		answers := make([]string, 8)
		for i := range answers {
			group.Go(func() {
				resp, err := idem.Do(ctx, b.memory, b.things.Request(map[string]string{"request_id": "r1"}),
					func(tx *sqldb.Tx) (answer, error) {
						if _, err := tx.Exec(`INSERT INTO effects (n) VALUES ($1)`, i); err != nil {
							return nil, err
						}
						return &auditeventsv1.AuditEntry{EntryId: fmt.Sprint("by ", i)}, nil
					})
				if err != nil {
					answers[i] = err.Error()
					return
				}
				answers[i] = resp.GetEntryId()
			})
		}
		group.Wait()
		var effects, who int
		require.NoError(t, b.db.Read(t.Context(), func(tx *sqldb.Tx) error {
			return tx.QueryRow(`SELECT count(*), max(n) FROM effects`).Scan(&effects, &who)
		}))
		require.Equal(t, 1, effects)
		for _, a := range answers {
			require.Equal(t, fmt.Sprint("by ", who), a)
		}
	})
}

func TestSecretsAreNotKept(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		ctx := b.as(access.Staff, accesstest.FirmA)
		_, err := idem.Do(ctx, b.memory, b.things.Request(map[string]string{"request_id": "r1", "password": "first"}),
			func(*sqldb.Tx) (*dynamicpb.Message, error) {
				m := b.things.Response("agent")
				m.Set(m.Descriptor().Fields().ByName("token"), protoreflect.ValueOfString("s3cret"))
				return m, nil
			})
		require.NoError(t, err)
		var stored []byte
		require.NoError(t, b.db.Read(ctx, func(tx *sqldb.Tx) error {
			return tx.QueryRow(`SELECT response FROM idem_requests`).Scan(&stored)
		}))
		m := b.things.Response("")
		require.NoError(t, proto.Unmarshal(stored, m))
		require.True(t, proto.Equal(b.things.Response("agent"), m), "%v", m)
	})
}

func TestAnAttemptHasItsRequestToItself(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		ctx := b.as(access.Staff, accesstest.FirmA)
		req := b.things.Request(map[string]string{"request_id": "r1"})
		first, _, err := idem.Begin[answer](ctx, b.memory, req, time.Minute)
		require.NoError(t, err)
		require.False(t, first.Resumed)

		_, _, err = idem.Begin[answer](ctx, b.memory, req, time.Minute)
		require.True(t, rpcerr.Has(err, rpcerr.RequestInProgress), "%v", err)

		b.pass(time.Minute)
		second, _, err := idem.Begin[answer](ctx, b.memory, req, time.Minute)
		require.NoError(t, err)
		require.True(t, second.Resumed, "the first attempt's outcome is unknown")

		done := &auditeventsv1.AuditEntry{EntryId: "done"}
		require.Error(t, b.db.Tx(ctx, func(tx *sqldb.Tx) error { return first.Finish(tx, done) }), "it lost the lease")
		require.NoError(t, b.db.Tx(ctx, func(tx *sqldb.Tx) error { return second.Finish(tx, done) }))

		none, resp, err := idem.Begin[answer](ctx, b.memory, req, time.Minute)
		require.NoError(t, err)
		require.Nil(t, none)
		require.Equal(t, "done", resp.GetEntryId())
	})
}

func TestAnAbandonedAttemptMayBeTriedAgainAtOnce(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		ctx, cancel := context.WithCancel(b.as(access.Staff, accesstest.FirmA))
		req := b.things.Request(map[string]string{"request_id": "r1"})
		attempt, _, err := idem.Begin[answer](ctx, b.memory, req, time.Minute)
		require.NoError(t, err)
		cancel() // the caller is gone, and still the attempt must not stand in the way
		refused := errors.New("refused upstream")
		require.Equal(t, refused, attempt.Abandon(ctx, refused))

		again, _, err := idem.Begin[answer](b.as(access.Staff, accesstest.FirmA), b.memory, req, time.Minute)
		require.NoError(t, err)
		require.NotNil(t, again)
		require.False(t, again.Resumed)
	})
}

func TestAnAttemptThatIsLeftIsResumedAtOnce(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		ctx, cancel := context.WithCancel(b.as(access.Staff, accesstest.FirmA))
		req := b.things.Request(map[string]string{"request_id": "r1"})
		attempt, _, err := idem.Begin[answer](ctx, b.memory, req, time.Minute)
		require.NoError(t, err)
		cancel()
		lost := errors.New("no answer")
		require.Equal(t, lost, attempt.Leave(ctx, lost))

		ctx = b.as(access.Staff, accesstest.FirmA)
		again, _, err := idem.Begin[answer](ctx, b.memory, req, time.Minute)
		require.NoError(t, err)
		require.True(t, again.Resumed, "what the first one did is unknown")
		require.Equal(t, lost, attempt.Leave(ctx, lost), "who is no longer at work leaves nothing")
		_, _, err = idem.Begin[answer](ctx, b.memory, req, time.Minute)
		require.ErrorContains(t, err, "being worked on")
		require.NoError(t, b.db.Tx(ctx, func(tx *sqldb.Tx) error { return again.Finish(tx, &auditeventsv1.AuditEntry{EntryId: "done"}) }))
		require.NoError(t, again.Leave(ctx, nil))
		done, resp, err := idem.Begin[answer](ctx, b.memory, req, time.Minute)
		require.NoError(t, err)
		require.Nil(t, done)
		require.Equal(t, "done", resp.GetEntryId())
	})
}

func TestAnAttemptWithoutARequestIDIsNotRemembered(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		ctx := b.as(access.Staff, accesstest.FirmA)
		for range 2 {
			a, _, err := idem.Begin[answer](ctx, b.memory, b.things.Request(nil), time.Minute)
			require.NoError(t, err)
			require.NotNil(t, a)
			require.NoError(t, b.db.Tx(ctx, func(tx *sqldb.Tx) error { return a.Finish(tx, &auditeventsv1.AuditEntry{}) }))
			require.NoError(t, a.Abandon(ctx, nil))
		}
	})
}

func TestPurgeWorksInBatches(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		ctx := b.as(access.Staff, accesstest.FirmA)
		require.NoError(t, b.db.Tx(ctx, func(tx *sqldb.Tx) error {
			for i := range 1500 {
				if _, err := tx.Exec(`INSERT INTO idem_requests
					(firm, kind, caller, request, request_id, payload, owner, leased, expires)
					VALUES ('f', 1, 'c', 'r', $1, $2, '', 0, 0)`, fmt.Sprint(i), []byte{1}); err != nil {
					return err
				}
			}
			return nil
		}))
		n, err := b.memory.Purge(ctx)
		require.NoError(t, err)
		require.EqualValues(t, 1500, n)
	})
}
