package custody_test

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/faults"
	"github.com/concord-suite/concord/sim/world"

	"github.com/concord-suite/concord/services/connector/internal/connection"
	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/provider/custody"
	"github.com/concord-suite/concord/services/connector/internal/provider/xero"
	"github.com/concord-suite/concord/services/connector/internal/store"
)

// TestALateAnswerRevivesAGrantThatWasGivenUp: one replica holds the provider's answer and can't write it for longer than
// the provider's grace. Another one tries the old token meanwhile, and is refused.
func TestALateAnswerRevivesAGrantThatWasGivenUp(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		f := sqldbtest.NewFaults()
		holder, other := b.replica(f.Option()), b.replica()
		g := b.grant(other)
		b.forward(31 * time.Minute)
		var once sync.Once
		b.answer = func() { once.Do(f.Freeze) }
		ended := make(chan error, 1)
		go func() {
			_, err := holder.Token(context.WithoutCancel(t.Context()), g.ID)
			ended <- err
		}()
		b.until("the answer is here", func() bool { return b.calls.Load() > 0 })
		b.forward(40 * time.Minute)
		b.until("the other one has given up", func() bool {
			_, _ = other.Token(t.Context(), g.ID)
			return b.row(other, g.ID).Status == store.GrantDead
		})
		f.Thaw()
		require.NoError(t, <-ended)
		b.works(other, g.ID)
		require.Equal(t, store.GrantActive, b.row(other, g.ID).Status)
		require.Equal(t, 1, b.told(other, "ConnectionNeedsReauth"))
		require.Equal(t, 1, b.told(other, "ConnectionRecovered"))
		require.NoError(t, other.db.Tx(t.Context(), func(tx *sqldb.Tx) error {
			list, err := store.ConnectionsOfGrant(tx, g.ID)
			require.Equal(t, connection.Active, list[0].State)
			return err
		}))
	})
}

// TestALateAnswerRevivesAGrantThatAnotherAnswerFailed: of two answers to one token the provider honours the one that can't be
// written for long, and the grant is given up over the other meanwhile.
func TestALateAnswerRevivesAGrantThatAnotherAnswerFailed(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		f := sqldbtest.NewFaults()
		holder, other := b.replica(f.Option()), b.replica()
		g := b.grant(other)
		b.forward(31 * time.Minute)
		var once sync.Once
		b.answer = func() { once.Do(f.Freeze) }
		ended := make(chan error, 1)
		go func() {
			_, err := holder.Token(context.WithoutCancel(t.Context()), g.ID)
			ended <- err
		}()
		b.until("the answer is here", func() bool { return b.calls.Load() > 0 })
		b.recovers(other, g.ID)
		row := b.row(other, g.ID)
		var err error
		row.Refresh.Text, row.Refresh.Key, err = b.ring.Seal([]byte("not honoured"), row.Row("refresh"))
		require.NoError(t, err)
		require.NoError(t, other.db.Tx(t.Context(), func(tx *sqldb.Tx) error {
			_, err := store.UpdateGrant(tx, row, row.Generation)
			return err
		}))
		b.forward(31 * time.Minute)
		_, err = other.Token(t.Context(), g.ID)
		require.ErrorIs(t, err, custody.ErrDead)
		f.Thaw()
		require.NoError(t, <-ended)
		b.works(other, g.ID)
		require.Equal(t, store.GrantActive, b.row(other, g.ID).Status)
		require.Equal(t, 1, b.told(other, "ConnectionRecovered"))
	})
}

// foreign stands between here and the provider, and puts its own answer in the place of one.
type foreign struct {
	next   http.RoundTripper
	status int
	body   string
	done   atomic.Bool
}

func (f *foreign) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := f.next.RoundTrip(r)
	if err != nil || f.done.Swap(true) {
		return resp, err
	}
	_ = resp.Body.Close()
	return &http.Response{StatusCode: f.status, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
		Body: io.NopCloser(strings.NewReader(f.body))}, nil
}

// TestAnAnswerOfSomebodyInBetween: the provider has rotated the token, and what comes back is not its answer. The token is
// taken for spent, and the grant for alive.
func TestAnAnswerOfSomebodyInBetween(t *testing.T) {
	for name, f := range map[string]*foreign{
		"a page that forbids":      {status: http.StatusForbidden, body: "<html>Blocked</html>"},
		"an error with its own":    {status: http.StatusBadGateway, body: `{"error":"invalid_grant"}`},
		"an error of the registry": {status: http.StatusServiceUnavailable, body: `{"error":"invalid_client"}`},
		"a page that is not there": {status: http.StatusNotFound, body: "not found"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, sqldbtest.URL(t, sqldb.SQLite))
			f.next = b
			at := func(path string) *url.URL {
				u, err := url.Parse(b.world.URL() + path)
				require.NoError(t, err)
				return u
			}
			r := b.with(xero.New(xero.Config{ClientID: sim.ClientID, ClientSecret: sim.ClientSecret, AuthorizeURL: at(""),
				IdentityURL: at(""), APIURL: at(""), Timeout: 5 * time.Second}, &http.Client{Transport: f}, b.now))
			g := b.grant(r)
			b.forward(31 * time.Minute)
			_, err := r.Token(t.Context(), g.ID)
			require.Error(t, err)
			require.NotErrorIs(t, err, custody.ErrDead)
			require.NotEmpty(t, b.row(r, g.ID).Attempt, "so that upkeep takes it up within the provider's grace")
			b.forward(time.Minute)
			require.NoError(t, r.Upkeep(t.Context()))
			require.Empty(t, b.row(r, g.ID).Attempt)
			b.works(r, g.ID)
		})
	}
}

// TestTheGraceBeginsWithTheLastLostAnswer: a call whose answer was lost may have spent the token, whenever the first one
// was.
func TestTheGraceBeginsWithTheLastLostAnswer(t *testing.T) {
	t.Run("the caller noticed", func(t *testing.T) {
		graceFromTheLast(t, func(b *bench, r replica, _ *sqldbtest.Faults, grant string) {
			_, err := b.remote.Fault(b.t.Context(), world.Fault{Kind: faults.ApplyThenDrop, Path: "/connect/token", Count: 1})
			require.NoError(b.t, err)
			_, err = r.Token(b.t.Context(), grant)
			require.ErrorIs(b.t, err, provider.ErrUnavailable)
		})
	})
	t.Run("the caller died over it", func(t *testing.T) {
		graceFromTheLast(t, func(b *bench, r replica, f *sqldbtest.Faults, grant string) {
			b.answer = func() { f.FailExec("UPDATE grants", 1000) }
			gone, cancel := context.WithTimeout(b.t.Context(), time.Second)
			defer cancel()
			_, err := r.Token(gone, grant)
			require.Error(b.t, err)
			b.answer = nil
		})
	})
}

func graceFromTheLast(t *testing.T, lose func(b *bench, r replica, f *sqldbtest.Faults, grant string)) {
	each(t, func(t *testing.T, b *bench) {
		f := sqldbtest.NewFaults()
		first, r := b.replica(f.Option()), b.replica()
		g := b.grant(r)
		b.forward(31 * time.Minute)
		_, err := b.remote.Fault(t.Context(), world.Fault{Kind: faults.Drop, Path: "/connect/token", Count: 1})
		require.NoError(t, err)
		_, err = r.Token(t.Context(), g.ID)
		require.ErrorIs(t, err, provider.ErrUnavailable)
		b.forward(50 * time.Minute)
		lose(b, first, f, g.ID)
		require.NoError(t, b.remote.Do(t.Context(), "POST", "/control/settings", map[string]string{"refresh_grace": "1ms"}, nil))
		for range 3 {
			b.forward(2 * time.Minute)
			_, err := r.Token(t.Context(), g.ID)
			require.ErrorIs(t, err, provider.ErrUnavailable, "the provider may have its own idea of when the grace began")
		}
		b.forward(40 * time.Minute)
		_, err = r.Token(t.Context(), g.ID)
		require.ErrorIs(t, err, custody.ErrDead)
	})
}

// TestALeaseThatRanOutIsNotUsed: a process is stopped between writing its intent and spending the token. When it goes on,
// somebody else has done it.
func TestALeaseThatRanOutIsNotUsed(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		f := sqldbtest.NewFaults()
		stopped, other := b.replica(f.Option()), b.replica()
		g := b.grant(other)
		b.forward(31 * time.Minute)
		written, goOn := make(chan struct{}), make(chan struct{})
		var once sync.Once
		f.OnCommit(func(_ context.Context, done bool) {
			if done {
				once.Do(func() { close(written); <-goOn })
			}
		})
		ended := make(chan error, 1)
		go func() {
			_, err := stopped.Token(context.WithoutCancel(t.Context()), g.ID)
			ended <- err
		}()
		<-written
		b.works(other, g.ID)
		close(goOn)
		require.NoError(t, <-ended)
		require.EqualValues(t, 1, b.calls.Load())
	})
}

// TestClocksThatDiffer: three replicas whose clocks are up to four minutes apart.
func TestClocksThatDiffer(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		replicas := []replica{b.skewed(-2 * time.Minute), b.skewed(0), b.skewed(2 * time.Minute)}
		g := b.grant(replicas[1])
		const expiries = 12
		for i := range expiries {
			b.forward(33 * time.Minute) // by every clock
			var group errgroup.Group
			for at := range replicas {
				for range 4 {
					group.Go(func() error {
						_, err := replicas[(at+i)%len(replicas)].Token(t.Context(), g.ID)
						return err
					})
				}
			}
			require.NoError(t, group.Wait())
			require.EqualValues(t, i+1, b.calls.Load(), "one call per expiry, whoever makes it")
			b.forward(18 * time.Minute)
			for _, r := range replicas {
				b.works(r, g.ID)
			}
			require.EqualValues(t, i+1, b.calls.Load(), "nobody finds it due long before the others")
		}
	})
}

// TestAReplicaDiesWhoseClockWasWrong: what it left is taken up as soon as what any other would have left.
func TestAReplicaDiesWhoseClockWasWrong(t *testing.T) {
	for name, off := range map[string]time.Duration{"behind": -2 * time.Minute, "ahead": 2 * time.Minute, "years ahead": 10 * 365 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, b *bench) {
				f := sqldbtest.NewFaults()
				dying, other := b.skewed(off, f.Option()), b.replica()
				g := b.grant(other)
				b.forward(34 * time.Minute)
				b.answer = func() { f.FailExec("UPDATE grants", 1000) }
				gone, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, err := dying.Token(gone, g.ID)
				require.Error(t, err)
				b.answer = nil
				require.NotEmpty(t, b.row(other, g.ID).LeaseOwner)
				b.recovers(other, g.ID)
				require.EqualValues(t, 2, b.calls.Load())
			})
		})
	}
}

// TestAClockThatWasAheadLeavesNoGrantToLapse: by what it wrote, the grant needs no renewal for years.
func TestAClockThatWasAheadLeavesNoGrantToLapse(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		ahead, other := b.skewed(10*365*24*time.Hour), b.replica()
		g := b.grant(other)
		_, err := ahead.Token(t.Context(), g.ID)
		require.NoError(t, err)
		require.EqualValues(t, 1, b.calls.Load())
		for range 10 { // 70 days, more than an unused token lives
			require.NoError(t, other.Upkeep(t.Context()))
			b.forward(7*24*time.Hour + time.Minute)
		}
		b.works(other, g.ID)
	})
}

// TestAClockStep: a replica's clock jumps by hours and back, around a refresh.
func TestAClockStep(t *testing.T) {
	for name, step := range map[string]time.Duration{"forward": 10 * time.Hour, "back": -10 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, b *bench) {
				jumping, other := b.skewed(step), b.replica()
				g := b.grant(other)
				b.forward(31 * time.Minute)
				require.NoError(t, jumping.Refused(t.Context(), g.ID, custody.Fixed("")), "not of this generation: nothing happens")
				_, err := jumping.Token(t.Context(), g.ID)
				require.NoError(t, err)
				after := b.calls.Load()
				b.forward(31 * time.Minute)
				// A token that is believed to be good for hours is refused by the provider, and then renewed.
				token, err := other.Token(t.Context(), g.ID)
				require.NoError(t, err)
				if _, err = b.identity(sim.ClientSecret).Tenants(t.Context(), token.Access(), ""); err != nil {
					require.ErrorIs(t, err, provider.ErrToken)
					require.NoError(t, other.Refused(t.Context(), g.ID, token))
				}
				b.works(other, g.ID)
				require.LessOrEqual(t, b.calls.Load(), after+2, "at most one more than the expiry")
				for range 3 {
					before := b.calls.Load()
					b.forward(31 * time.Minute)
					b.works(other, g.ID)
					require.Equal(t, before+1, b.calls.Load(), "then everything is as before")
				}
			})
		})
	}
}

// TestNoOutageEndsAGrant: for fifty days the identity service does not know the installation, has errors of its own, or
// does not answer in time. Upkeep and callers try all the while.
func TestNoOutageEndsAGrant(t *testing.T) {
	for name, outage := range map[string]world.Fault{
		"invalid_client": {},
		"500":            {Kind: faults.Status, Status: 500},
		"503":            {Kind: faults.Status, Status: 503},
		"429":            {Kind: faults.Status, Status: 429, Retry: 60},
		"no connection":  {Kind: faults.Drop},
		"too slow":       {Kind: faults.Slow, Delay: world.Duration(time.Minute)},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, sqldbtest.URL(t, sqldb.SQLite)) // what no engine can make differ
			good := b.replica()
			r := good
			g := b.grant(good)
			if outage.Kind == "" {
				r = b.with(b.identity("wrong secret"))
			} else {
				r = b.impatient(50 * time.Millisecond)
				outage.Path = "/connect/token"
				_, err := b.remote.Fault(t.Context(), outage)
				require.NoError(t, err)
			}
			for range 50 {
				b.forward(24 * time.Hour)
				require.NoError(t, r.Upkeep(t.Context()))
				_, err := r.Token(t.Context(), g.ID)
				require.Error(t, err)
				require.NotErrorIs(t, err, custody.ErrDead)
			}
			require.GreaterOrEqual(t, b.calls.Load(), int32(50))
			require.Equal(t, store.GrantActive, b.row(r, g.ID).Status)
			require.Zero(t, b.told(r, "ConnectionNeedsReauth"))
			require.NoError(t, b.remote.RemoveFault(t.Context(), ""))
			b.forward(time.Hour)
			b.works(good, g.ID)
		})
	}
}

// TestUpkeepDoesNotWaitForOneAfterTheOther: what was begun must be taken up within the grace, however slow each answer is.
func TestUpkeepDoesNotWaitForOneAfterTheOther(t *testing.T) {
	b := newBench(t, sqldbtest.URL(t, sqldb.SQLite))
	r := b.replica()
	const grants = 6
	for range grants {
		b.grant(r)
	}
	b.forward(8 * 24 * time.Hour)
	_, err := b.remote.Fault(t.Context(), world.Fault{Kind: faults.Frozen, Path: "/connect/token"})
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- r.Upkeep(t.Context()) }()
	b.until("all of them are begun", func() bool { return b.begun.Load() >= grants })
	require.Zero(t, b.calls.Load(), "and none of them has ended")
	require.NoError(t, b.remote.RemoveFault(t.Context(), ""))
	require.NoError(t, <-ended)
}
