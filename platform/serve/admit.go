package serve

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/rpcerr"
)

// The steps that decide whether a call may be: principal and permission.

var (
	errUnauthenticated = rpcerr.Default(codes.Unauthenticated)
	errRevoked         = errUnauthenticated.Messagef("the session has ended; sign in again")
	errDraining        = rpcerr.Default(codes.Unavailable).Messagef("the server is stopping; connect again")
)

func exempt(method string) bool { return access.Exempt(strings.TrimPrefix(path.Dir(method), "/")) }

// identify finds out who calls. No token is Nobody; a token that does not hold is an error, never Nobody.
func (c *chain) identify(ctx context.Context, method string) (context.Context, error) {
	if exempt(method) {
		return access.With(ctx, access.Nobody()), nil
	}
	p, err := c.principal(ctx)
	if err != nil {
		return nil, err
	}
	stateOf(ctx).principal = p
	if said := metadata.ValueFromIncomingContext(ctx, access.AgentHeader); len(said) == 1 {
		ctx = access.WithAgent(ctx, said[0])
	}
	return access.With(ctx, p), nil
}

func (c *chain) principal(ctx context.Context) (access.Principal, error) {
	values := metadata.ValueFromIncomingContext(ctx, "authorization")
	switch len(values) {
	case 0:
		return access.Nobody(), nil
	case 1:
	default:
		return access.Principal{}, errUnauthenticated.Because(errors.New("more than one authorization header"))
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return access.Principal{}, errUnauthenticated.Because(errors.New("not a bearer token"))
	}
	p, issuer, err := c.deps.Verifier.VerifyIssued(ctx, token)
	if err == nil {
		err = c.overItsOwn(ctx, p, issuer)
	}
	switch {
	case errors.Is(err, access.ErrToken):
		return access.Principal{}, errUnauthenticated.Because(err)
	case err != nil: // the keys could not be had; the token may be right
		return access.Principal{}, rpcerr.Default(codes.Unavailable).Because(err)
	case c.deps.Revocations.Contains(p.Session):
		return access.Principal{}, errRevoked
	}
	return p, nil
}

// overItsOwn refuses a part's word that comes over the connection of another part: a service token says who calls, and who
// calls is known by its certificate. Tokens of people are auth's word and pass through whoever may call.
func (c *chain) overItsOwn(ctx context.Context, p access.Principal, issuer string) error {
	if c.cfg.TLS == nil || (p.Kind != access.Service && p.Kind != access.Anonymous) {
		return nil
	}
	part := ""
	if from, ok := peer.FromContext(ctx); ok {
		if info, ok := from.AuthInfo.(credentials.TLSInfo); ok {
			part = c.cfg.TLS.Part(info.State)
		}
	}
	if part != issuer {
		return fmt.Errorf("%w: it is %q's, and came over a connection of %q", access.ErrToken, issuer, part)
	}
	return nil
}

func (c *chain) principalUnary(
	ctx context.Context, req any, info *grpc.UnaryServerInfo, h grpc.UnaryHandler,
) (any, error) {
	ctx, err := c.identify(ctx, info.FullMethod)
	if err != nil {
		return nil, err
	}
	return h(ctx, req)
}

// principalStream also ends the stream when its session is revoked, its connection is too old or the server is about to
// stop: the handler's context ends, and no message passes any more.
func (c *chain) principalStream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, h grpc.StreamHandler) error {
	ctx, err := c.identify(ss.Context(), info.FullMethod)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer c.enlist(&cancel)()
	defer c.ageWith(ctx, cancel)()
	defer c.deps.Revocations.Watch(access.From(ctx).Session, func() { cancel(errRevoked) })()
	alive := func(any) error { return ended(ctx) }
	s := &stream{ServerStream: ss, ctx: ctx, received: alive, sending: alive}
	err = s.handle(srv, h)
	if why := ended(ctx); why != nil {
		return why // also when the handler took the end of its context for the end of its work
	}
	return err
}

// ended says why the server ended a stream, nil when it did not.
func ended(ctx context.Context) error {
	if why, ok := errors.AsType[*rpcerr.Error](context.Cause(ctx)); ok {
		return why
	}
	return nil
}

// enlist remembers a stream so that drain can end it, and returns how to forget it.
func (c *chain) enlist(cancel *context.CancelCauseFunc) func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.draining {
		(*cancel)(errDraining)
	}
	c.streams[cancel] = struct{}{}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.streams, cancel)
	}
}

// drain ends the streams that are open, and those that still come.
func (c *chain) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = true
	for cancel := range c.streams {
		(*cancel)(errDraining)
	}
}

// open starts a call: it finds the rule and admits the caller as far as that needs no request.
func (c *chain) open(ctx context.Context, method string) (*access.Call, error) {
	rule := c.rules.Rule(method)
	if rule == nil {
		return nil, rpcerr.Default(codes.PermissionDenied)
	}
	call := &access.Call{Rule: rule, Principal: access.From(ctx)}
	stateOf(ctx).call = call
	if err := rule.AdmitCaller(call.Principal); err != nil {
		c.denied(ctx, call, err)
		return nil, err
	}
	return call, nil
}

// admit checks the first request of a call.
func (c *chain) admit(ctx context.Context, call *access.Call, req any) error {
	m, ok := req.(proto.Message)
	if !ok {
		return internalError(ctx, errors.New("the request is no proto message"))
	}
	firm, err := call.Rule.AdmitRequest(call.Principal, m, c.deps.Now())
	if err != nil {
		// What was asked for belongs to the record, under the caller's own firm: no firm hears of another by it.
		call.About("", call.Rule.Resource(m))
		c.denied(ctx, call, err)
		return err
	}
	call.About(firm, call.Rule.Resource(m))
	return nil
}

func (c *chain) denied(ctx context.Context, call *access.Call, err error) {
	stateOf(ctx).denied = true
	if c.deps.Audit != nil && rpcerr.From(err).Code() != codes.InvalidArgument {
		c.deps.Audit.Denied(ctx, call, err)
	}
}

func (c *chain) permissionUnary(
	ctx context.Context, req any, info *grpc.UnaryServerInfo, h grpc.UnaryHandler,
) (any, error) {
	if exempt(info.FullMethod) {
		return h(ctx, req)
	}
	call, err := c.open(ctx, info.FullMethod)
	if err != nil {
		return nil, err
	}
	if err := c.admit(ctx, call, req); err != nil {
		return nil, err
	}
	return h(ctx, req)
}

var errEarly = errors.New("a handler answered before the first request was checked")

// permissionStream checks the first message before the handler sees it and lets nothing out until then.
func (c *chain) permissionStream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, h grpc.StreamHandler) error {
	if exempt(info.FullMethod) {
		return h(srv, ss)
	}
	ctx := ss.Context()
	call, err := c.open(ctx, info.FullMethod)
	if err != nil {
		return err
	}
	admitted := false
	s := &stream{ServerStream: ss, ctx: ctx}
	s.received = func(m any) error {
		if admitted {
			return c.admitNext(ctx, call, m)
		}
		if err := c.admit(ctx, call, m); err != nil {
			return err
		}
		admitted = true
		return nil
	}
	s.sending = func(any) error {
		if !admitted {
			return internalError(ctx, errEarly)
		}
		return nil
	}
	return s.handle(srv, h)
}

func (c *chain) admitNext(ctx context.Context, call *access.Call, m any) error {
	req, ok := m.(proto.Message)
	if !ok {
		return internalError(ctx, errors.New("the request is no proto message"))
	}
	if err := call.Rule.AdmitNext(call.Firm(), req); err != nil {
		c.denied(ctx, call, err)
		return err
	}
	return nil
}
