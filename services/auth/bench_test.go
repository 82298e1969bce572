package auth_test

import (
	"context"
	"crypto/sha256"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/concord-suite/concord/platform/dial"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/services/auth"
)

// BenchmarkResolveSession is the session check as the gateway makes it: an RPC through the whole chain, answered with a
// signed token. Each is followed by a call that does nothing on the same connection and by the bare look-up of the session, so
// that all three meet the same machine: below the other two together no check can come.
func BenchmarkResolveSession(b *testing.B) {
	for _, engine := range []sqldb.Dialect{sqldb.SQLite, sqldb.Postgres} {
		b.Run(string(engine), func(b *testing.B) {
			s := start(b, sqldbtest.Open(b, sqldbtest.URL(b, engine), auth.Migrations), options{run: true, quiet: true})
			token := s.operator().token
			ctx := dial.AsSelf(b.Context(), "gateway")
			nothing := healthv1.NewHealthClient(s.conn)
			hash := sha256.Sum256([]byte(token))
			var check, rpc, lookup times
			b.ReportAllocs()
			for b.Loop() {
				check.of(b, func() error {
					_, err := s.sessions.ResolveSession(ctx, &authv1.ResolveSessionRequest{SessionToken: token, Audience: "sync"})
					return err
				})
				rpc.of(b, func() error {
					_, err := nothing.Check(context.Background(), &healthv1.HealthCheckRequest{})
					return err
				})
				lookup.of(b, func() error {
					var id string
					return s.db.QueryRow(context.Background(), `SELECT account FROM sessions WHERE token_hash = $1`, hash[:]).Scan(&id)
				})
			}
			for name, p := range map[string]float64{"p50": 0.5, "p99": 0.99} {
				b.ReportMetric(check.at(p), name+"-µs")
				b.ReportMetric(rpc.at(p), "rpc-"+name+"-µs")
				b.ReportMetric(lookup.at(p), "lookup-"+name+"-µs")
			}
		})
	}
}

// times is how long calls took.
type times []time.Duration

func (t *times) of(b *testing.B, call func() error) {
	begun := time.Now()
	err := call()
	*t = append(*t, time.Since(begun))
	require.NoError(b, err)
}

// at is the time within which a part of the calls was answered, in microseconds.
func (t times) at(part float64) float64 {
	slices.Sort(t)
	return float64(t[int(float64(len(t)-1)*part)].Microseconds())
}

// BenchmarkVerifyPin is the check of a PIN as an RPC through the whole chain: the challenge read, the PIN compared with its
// keyed hash, the policy read again, the session opened. Making the challenge is not counted.
func BenchmarkVerifyPin(b *testing.B) {
	for _, engine := range []sqldb.Dialect{sqldb.SQLite, sqldb.Postgres} {
		b.Run(string(engine), func(b *testing.B) {
			s := start(b, sqldbtest.Open(b, sqldbtest.URL(b, engine), auth.Migrations), options{run: true, quiet: true})
			operator := s.operator()
			admin := s.newFirm(operator, "Harbour Tax", "ada@harbour.example", newMobile())
			s.stepUp(admin)
			prog := s.enrolTOTP(admin)
			var right, code times
			for b.Loop() {
				b.StopTimer()
				c := s.begin(operator)
				req := &authv1.VerifyPinRequest{Challenge: c.GetChallenge(), Pin: s.inbox.pin(operator.email)}
				b.StartTimer()
				right.of(b, func() error {
					_, err := s.signIn.VerifyPin(s.nobody("192.0.2.7"), req)
					return err
				})
			}
			b.StopTimer()
			for range len(right) {
				c := s.begin(admin)
				shown := prog.code()
				code.of(b, func() error {
					_, err := s.showTOTP(c.GetChallenge(), shown)
					return err
				})
			}
			for name, p := range map[string]float64{"p50": 0.5, "p95": 0.95} {
				b.ReportMetric(right.at(p)/1000, name+"-ms")
				b.ReportMetric(code.at(p)/1000, "totp-"+name+"-ms")
			}
		})
	}
}
