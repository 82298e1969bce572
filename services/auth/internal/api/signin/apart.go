package signin

import (
	"context"

	"go.opentelemetry.io/otel/trace"

	"github.com/concord-suite/concord/platform/access"
)

// Apart returns a context that ends with ctx and has its caller, their program and trace, but nothing that waits for a
// commit.
//
// A refused sign-in commits: it counts the failure. The audit of calls hooks into the first commit as the change that
// worked, which this is not. Under the new context the call is recorded when it has ended, with its true outcome; what
// belongs into the transaction is recorded there by this package.
func Apart(ctx context.Context) (context.Context, context.CancelFunc) {
	out := access.With(context.Background(), access.From(ctx))
	out = access.WithAgent(out, access.AgentOf(ctx))
	out = trace.ContextWithSpanContext(out, trace.SpanContextFromContext(ctx))
	cancelDeadline := context.CancelFunc(func() {})
	if d, ok := ctx.Deadline(); ok {
		out, cancelDeadline = context.WithDeadline(out, d)
	}
	out, cancel := context.WithCancel(out)
	stop := context.AfterFunc(ctx, cancel)
	return out, func() { stop(); cancel(); cancelDeadline() }
}
