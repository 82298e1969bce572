package auth_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/dial"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/services/auth"
)

// BenchmarkResolveSession is the session check as the gateway makes it: an RPC through the whole chain, answered with a
// signed token. It reports the 99th percentile beside the mean.
func BenchmarkResolveSession(b *testing.B) {
	for _, engine := range []sqldb.Dialect{sqldb.SQLite, sqldb.Postgres} {
		b.Run(string(engine), func(b *testing.B) {
			s := start(b, sqldbtest.Open(b, sqldbtest.URL(b, engine), auth.Migrations), options{run: true})
			operator := s.operator()
			ctx := dial.AsSelf(b.Context(), "gateway")
			var took []time.Duration
			for b.Loop() {
				begun := time.Now()
				_, err := s.sessions.ResolveSession(ctx, &authv1.ResolveSessionRequest{SessionToken: operator.token, Audience: "sync"})
				took = append(took, time.Since(begun))
				require.NoError(b, err)
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
}
