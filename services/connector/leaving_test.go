package connector_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/faults"
	"github.com/concord-suite/concord/sim/world"
)

// change writes to the database what others would.
func (s *suite) change(query string, args ...any) {
	s.t.Helper()
	require.NoError(s.t, s.db.Tx(s.t.Context(), func(tx *sqldb.Tx) error {
		n, err := tx.Exec(query, args...)
		if err == nil {
			require.Positive(s.t, n, query)
		}
		return err
	}))
}

func (s *suite) disconnect(c *connectorv1.Connection) {
	s.t.Helper()
	_, err := s.connections.DisconnectConnection(s.admin(firmA), &connectorv1.DisconnectConnectionRequest{Name: c.GetName()})
	require.NoError(s.t, err)
}

// TestAConsentIsNotRevokedBetweenTwoTokens: another replica renews the consent at the moment its last connection is
// disconnected. Revoking the token it has spent would leave the next one alive at the provider, and in nobody's hands.
func TestAConsentIsNotRevokedBetweenTwoTokens(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		var revoked atomic.Int32
		s.wire.set(func(r *http.Request, send func() (*http.Response, error)) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, "/connect/revocation") {
				revoked.Add(1)
			}
			return send()
		})
		c := s.connect(firmA, sim.Owner, sim.PracticeName)
		now := s.clock.Now()
		s.change(`UPDATE grants SET attempt = 'theirs', attempt_started = $1, lease_owner = 'another replica', lease_until = $2`,
			sqldb.Micros(now), sqldb.Micros(now.Add(30*time.Second)))
		s.disconnect(c)
		s.until("the tenant is removed, and the revocation waits", func() bool {
			return len(s.upstream()) == 0 && s.cell(`SELECT CAST(COUNT(*) AS TEXT) FROM chores WHERE kind = 'REVOKE' AND due > $1`,
				sqldb.Micros(s.clock.Now())) == "1"
		})
		require.Zero(t, revoked.Load())
		require.Equal(t, "CLOSING", s.cell(`SELECT status FROM grants`))
		require.Equal(t, "0", s.cell(`SELECT CAST(tries AS TEXT) FROM chores WHERE kind = 'REVOKE'`), "waiting is no failed try")
		s.change(`UPDATE grants SET attempt = '', attempt_started = 0, lease_owner = '', lease_until = 0, generation = generation + 1`)
		s.clock.forward(time.Minute)
		s.until("the consent ends with the token that came of it", func() bool { return s.cell(`SELECT status FROM grants`) == "CLOSED" })
		require.EqualValues(t, 1, revoked.Load())
	})
}

// TestARevocationThatIsGivenUp: after two weeks nothing is kept of a consent that the provider could not be told the end of.
func TestARevocationThatIsGivenUp(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		c := s.connect(firmA, sim.Owner, sim.PracticeName)
		s.fault(world.Fault{Kind: faults.Status, Path: "/connect/revocation", Status: 503})
		s.disconnect(c)
		s.until("it was tried", func() bool {
			return s.cell(`SELECT CAST(COUNT(*) AS TEXT) FROM chores WHERE kind = 'REVOKE' AND tries > 0`) == "1"
		})
		s.change(`UPDATE chores SET tries = 60 WHERE kind = 'REVOKE'`)
		s.clock.forward(24 * time.Hour)
		s.until("it is given up", func() bool { return s.cell(`SELECT CAST(COUNT(*) AS TEXT) FROM chores`) == "0" })
		require.Equal(t, "CLOSED", s.cell(`SELECT status FROM grants`))
		require.Equal(t, "0", s.cell(`SELECT CAST(COUNT(*) AS TEXT) FROM grants WHERE refresh_sealed IS NOT NULL OR access_sealed IS NOT NULL`))
	})
}

// TestAnAttemptWhoseTokensCannotBeOpened stands in nobody's way: neither in that of its person, nor of other attempts.
func TestAnAttemptWhoseTokensCannotBeOpened(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		s.authorise(firmA, sim.Owner, sim.PracticeName)
		s.authorise(firmB, sim.Consultant, sim.SecondPracticeName)
		s.change(`UPDATE attempts SET tokens_sealed = $1`, []byte("of another keyring"))
		next := s.start(firmA)
		require.Equal(t, waiting, next.GetAttempt().GetState())
		s.clock.forward(6 * time.Minute)
		s.until("all have ended", func() bool {
			return s.cell(`SELECT CAST(COUNT(*) AS TEXT) FROM attempts WHERE state NOT IN ('SUPERSEDED', 'EXPIRED')`) == "0"
		})
		require.Equal(t, "0", s.cell(`SELECT CAST(COUNT(*) AS TEXT) FROM attempts WHERE tokens_sealed IS NOT NULL`))
		require.Contains(t, s.troubles(), "can't be opened")
	})
}
