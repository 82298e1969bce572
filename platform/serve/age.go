package serve

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/rpcerr"
)

var errAged = rpcerr.Default(codes.Unavailable).Messagef("the connection has come to its age; connect again")

type bornKey struct{}

// births notes when each connection began. The library asks a connection that has come to its age to take no more calls,
// and would then wait for a stream for ever.
type births struct{ now access.Clock }

// TagConn implements stats.Handler.
func (b births) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context {
	return context.WithValue(ctx, bornKey{}, b.now())
}

// HandleConn implements stats.Handler.
func (births) HandleConn(context.Context, stats.ConnStats) {}

// TagRPC implements stats.Handler.
func (births) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// HandleRPC implements stats.Handler.
func (births) HandleRPC(context.Context, stats.RPCStats) {}

// ageWith ends a stream when its connection has been past its age for as long as streams may stay. It returns how to forget
// the stream.
func (c *chain) ageWith(ctx context.Context, cancel context.CancelCauseFunc) (forget func()) {
	born, known := ctx.Value(bornKey{}).(time.Time)
	if !known || c.cfg.MaxConnectionAge == 0 {
		return func() {}
	}
	latest := c.cfg.MaxConnectionAge * 11 / 10 // the library adds or takes up to a tenth, so that not all come at once
	t := time.AfterFunc(born.Add(latest+c.cfg.MaxStreamStay).Sub(c.deps.Now()), func() { cancel(errAged) })
	return func() { t.Stop() }
}

// lastCalls is how long a connection that has come to its age may still be there. By then every stream has been ended and
// every call has had its time; what is left is a call that was begun and never asked, which no handler hears of and which
// would keep the connection, and the certificate it was made with, for ever. Zero means no bound, as the age does.
func (c Config) lastCalls() time.Duration {
	if c.MaxConnectionAge == 0 {
		return 0
	}
	return c.MaxConnectionAge/5 + c.MaxStreamStay + c.Deadline // a fifth: the library may ask a tenth early, streams end a tenth late
}
