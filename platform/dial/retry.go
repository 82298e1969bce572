package dial

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	optionsv1 "github.com/concord-suite/concord/proto/gen/concord/options/v1"
)

const (
	// attempts is how often a call is made at most. Calls nest three deep, so a fault at the bottom is met 64 times at
	// worst; the budget below ends that within moments.
	attempts = 4
	// firstPause and the doubling after it give a restarting in-process peer or a moved leader about half a second.
	firstPause = 50 * time.Millisecond
	// budgetMax, budgetFloor and budgetGain are gRPC's own retry throttling: a failure takes one, a success gives back a
	// tenth, and below half nothing is tried again.
	budgetMax   = 20.0
	budgetFloor = budgetMax / 2
	budgetGain  = 0.1
)

// retrier tries unary calls again. gRPC's service config does it per method; whether a change may be repeated depends on
// the request, so it is done here.
type retrier struct {
	mu     sync.Mutex
	budget float64
	reads  map[string]bool // method → changes nothing
}

func newRetrier() *retrier { return &retrier{budget: budgetMax, reads: map[string]bool{}} }

func (r *retrier) unary(
	ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption,
) error {
	for n := 1; ; n++ {
		err := invoke(ctx, method, req, reply, cc, opts...)
		if status.Code(err) != codes.Unavailable {
			r.earn()
			return err
		}
		if !r.spend() || n == attempts || !r.repeatable(method, req) || !pause(ctx, n) {
			return err
		}
	}
}

// pause waits before the next attempt, between half and the whole of 50, 100, 200 ms, so that callers do not come back
// all at once. It reports false when there is not time enough left.
func pause(ctx context.Context, n int) bool {
	d := firstPause << (n - 1)
	d = d/2 + rand.N(d/2+1)
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= d {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (r *retrier) earn() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.budget = min(r.budget+budgetGain, budgetMax)
}

// spend takes a failure off the budget and tells whether there is enough left to try again.
func (r *retrier) spend() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.budget = max(r.budget-1, 0)
	return r.budget > budgetFloor
}

// repeatable tells whether making the call twice is the same as making it once.
func (r *retrier) repeatable(method string, req any) bool {
	if m, ok := req.(proto.Message); ok {
		msg := m.ProtoReflect()
		f := msg.Descriptor().Fields().ByName("request_id")
		if f != nil && f.Kind() == protoreflect.StringKind && msg.Get(f).String() != "" {
			return true
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	read, known := r.reads[method]
	if !known {
		read = changesNothing(method)
		r.reads[method] = read
	}
	return read
}

// changesNothing asks the contract: a method that is audited as a view, or not at all, changes nothing, or nothing more when
// it is called again (mayRepeat in the contract's tests).
func changesNothing(method string) bool {
	name := strings.Replace(strings.TrimPrefix(method, "/"), "/", ".", 1)
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
	if err != nil {
		return false
	}
	rule, ok := proto.GetExtension(d.Options(), optionsv1.E_Rule).(*optionsv1.Rule)
	return ok && (rule.GetAudit() == optionsv1.AuditKind_AUDIT_KIND_NONE || rule.GetAudit() == optionsv1.AuditKind_AUDIT_KIND_VIEW)
}
