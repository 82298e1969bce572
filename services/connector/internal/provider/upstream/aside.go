package upstream

import (
	"context"

	"go.opentelemetry.io/otel/trace"

	"github.com/concord-suite/concord/platform/access"
)

// Aside returns a context for what happens beside the caller's own change: it ends with ctx and belongs to the same
// trace and principal, and carries nothing else. Without it the accounting of calls and tokens would be the first
// transaction of the request, and take the entry in the audit ledger that belongs to the change itself.
func Aside(ctx context.Context) context.Context { return aside(ctx) }

func aside(ctx context.Context) context.Context {
	bare := trace.ContextWithSpan(valueless{ctx}, trace.SpanFromContext(ctx))
	return access.With(bare, access.From(ctx))
}

type valueless struct{ context.Context }

// Value knows nothing.
func (valueless) Value(any) any { return nil }
