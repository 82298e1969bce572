package peer

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/rpcerr"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
)

// Remedy is what to do about an error of a peer.
type Remedy int

// The remedies.
const (
	// Retry: try again after a while, a bounded number of times.
	Retry Remedy = iota
	// RetryFew: try again two or three times; the answer will hardly be another.
	RetryFew
	// Wait: a call limit is used up; try again when it is not.
	Wait
	// Restart: the page token is not taken any more; begin the listing anew.
	Restart
	// GiveUp: trying again changes nothing before a person does something.
	GiveUp
)

// Failure is an error of a peer with what to do about it.
type Failure struct {
	Remedy Remedy
	// Until is when Wait ends.
	Until time.Time
	// Words say to people what happened.
	Words string
}

// untilKeys are the metadata under which the end of a wait may travel.
var untilKeys = []string{"until", "retry_at", "wait_until", "retry_time"}

// limitWait is assumed when a used-up limit does not say until when: the providers' shortest window.
const limitWait = time.Minute

// FailureOf tells what to do about an error. resumed says that the call carried a page token.
func FailureOf(err error, resumed bool, now time.Time) Failure {
	e := rpcerr.From(err)
	f := Failure{Remedy: Retry, Words: words(err, e)}
	switch e.Reason() {
	case reason(connectorv1.ErrorReason_ERROR_REASON_BUDGET_EXHAUSTED):
		f.Remedy, f.Until = Wait, now.Add(limitWait)
		for _, key := range untilKeys {
			if at, err := time.Parse(time.RFC3339Nano, e.Metadata()[key]); err == nil && at.After(now) {
				f.Until = at
			}
		}
		return f
	case reason(connectorv1.ErrorReason_ERROR_REASON_NEEDS_REAUTH),
		reason(connectorv1.ErrorReason_ERROR_REASON_PRIVILEGE_MISSING),
		reason(connectorv1.ErrorReason_ERROR_REASON_SCOPE_MISSING),
		reason(connectorv1.ErrorReason_ERROR_REASON_NOT_SUPPORTED),
		reason(connectorv1.ErrorReason_ERROR_REASON_CONNECTION_INACTIVE),
		reason(connectorv1.ErrorReason_ERROR_REASON_PROVIDER_NOT_CONFIGURED),
		rpcerr.NotFound.String():
		f.Remedy = GiveUp
		return f
	case reason(connectorv1.ErrorReason_ERROR_REASON_PROVIDER_ANSWER_INVALID):
		f.Remedy = RetryFew
		return f
	case reason(connectorv1.ErrorReason_ERROR_REASON_PROVIDER_REFUSED):
		if f.Remedy = GiveUp; resumed {
			f.Remedy = Restart // most likely it refused the token, which providers let die after a while
		}
		return f
	}
	if e.Code() == codes.InvalidArgument && resumed {
		f.Remedy = Restart
	}
	return f
}

func reason(r connectorv1.ErrorReason) string { return rpcerr.Normalize(r) }

// said is an error with the name of the service that said it.
type said struct {
	who string
	err error
}

// Error implements error.
func (s *said) Error() string { return s.who + ": " + s.err.Error() }

// Unwrap returns what was said.
func (s *said) Unwrap() error { return s.err }

// by notes who said an error.
func by(who string, err error) error {
	if err == nil {
		return nil
	}
	return &said{who: who, err: err}
}

func words(err error, e *rpcerr.Error) string {
	if s, ok := errors.AsType[*said](err); ok {
		return s.who + ": " + words(s.err, e)
	}
	switch {
	case errors.Is(err, errEnded), errors.Is(err, errSlow):
		return err.Error()
	case errors.Is(err, context.DeadlineExceeded), e.Code() == codes.DeadlineExceeded:
		return "the answer took too long"
	case e.Code() == codes.Internal:
		return "something went wrong inside the suite; the log has it"
	}
	return e.Message()
}
