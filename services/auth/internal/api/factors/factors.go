// Package factors answers FactorService: people keep their own second factors.
//
// What it keeps to:
//
//   - Nothing counts as enrolled before it was used: a program by a code it shows, a mobile by a PIN that arrived there.
//   - Whoever binds a factor has shown a strong one just now, or a recovery code, or somebody above has vouched for them.
//     A PIN by e-mail is not enough, or whoever reads a mailbox could give themselves more.
//   - The last factor that the firm's policy accepts stays. Taking one away ends the other sessions: they may rest on it.
//   - The person is told of every change by e-mail, and of another mobile at the old one as well.
package factors

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/idem"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/api/outbound"
	"github.com/concord-suite/concord/services/auth/internal/api/proofs"
	"github.com/concord-suite/concord/services/auth/internal/api/signin"
	"github.com/concord-suite/concord/services/auth/internal/factor"
	"github.com/concord-suite/concord/services/auth/internal/session"
	"github.com/concord-suite/concord/services/auth/internal/store"
)

// Server answers FactorService. Its fields are set once, before use.
type Server struct {
	authv1.UnsafeFactorServiceServer

	DB     *sqldb.DB
	Memory *idem.Memory
	Proofs proofs.Book
	SignIn *signin.Service
	// Passkeys may be nil: then nobody has one.
	Passkeys Passkeys
	// Post may be nil: then nobody is told of anything.
	Post *outbound.Post
	// Issuer is what authenticator programs call the installation.
	Issuer string
	// Countries are those to which text messages may go.
	Countries []string
	Now       func() time.Time
	Logger    *slog.Logger
}

var (
	errSessionEnded = rpcerr.New(codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SESSION_ENDED,
		"the session has ended; sign in again")
	errNotFound   = rpcerr.New(codes.NotFound, authv1.ErrorReason_ERROR_REASON_NOT_FOUND, "not found")
	errNotAllowed = rpcerr.New(codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_FACTOR_NOT_ALLOWED,
		"the firm's policy does not allow this kind of factor")
	errEnrolment = rpcerr.New(codes.PermissionDenied, authv1.ErrorReason_ERROR_REASON_ENROLMENT_NOT_ALLOWED,
		"this sign-in is too weak for a new factor; enter a recovery code, or ask an administrator to approve")
	errExpired = rpcerr.New(codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_ENROLMENT_EXPIRED,
		"this enrolment is over; start it again")
	errStepUp = rpcerr.New(codes.PermissionDenied, rpcerr.StepUpRequired,
		"confirm first that it is you, with a strong factor")
	errLast = rpcerr.New(codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_LAST_FACTOR,
		"this is the last factor that the firm's policy accepts; enrol another first")
	errUnsuitable = rpcerr.New(codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_ACCOUNT_UNSUITABLE,
		"nobody approves an enrolment of their own, nor of somebody who can't sign in")
	errUndeliverable = rpcerr.New(codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_PIN_UNDELIVERABLE,
		"no PIN could be sent")
	errRefused = rpcerr.New(codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SIGN_IN_REFUSED,
		"that does not fit; check what you entered")
	errTooMany = rpcerr.New(codes.ResourceExhausted, authv1.ErrorReason_ERROR_REASON_TOO_MANY_ATTEMPTS,
		"too many attempts; try again later")
)

// wait is errTooMany with the time from which on it is worth trying.
func wait(until time.Time) error {
	return errTooMany.With("retry_time", until.UTC().Format(time.RFC3339))
}

// caller is who calls: the session of the call, its holder and the holder's firm.
type caller struct {
	session session.Session
	account account.Account
	firm    account.Firm
	address string
}

// caller reads who calls, or answers SESSION_ENDED.
func (s *Server) caller(ctx context.Context, tx *sqldb.Tx) (c caller, err error) {
	c.address = access.From(ctx).Address
	c.session, err = store.Session(tx, access.From(ctx).Session)
	if errors.Is(err, sqldb.ErrNotFound) || (err == nil && !c.session.Live(s.Now())) {
		return c, errSessionEnded
	}
	if err != nil {
		return c, err
	}
	if c.account, err = store.Account(tx, c.session.Firm, c.session.Account); err != nil {
		return c, err
	}
	c.firm, err = store.FirmOf(tx, c.account.Firm)
	return c, err
}

// inTx runs fn in a transaction that is committed even when fn refuses: what was wrong is counted. The verdict is told
// afterwards.
func (s *Server) inTx(ctx context.Context, fn func(tx *sqldb.Tx) (verdict, err error)) error {
	var verdict error
	err := s.DB.Tx(ctx, func(tx *sqldb.Tx) (err error) {
		verdict, err = fn(tx)
		return err
	})
	if err == nil {
		err = verdict
	}
	return err
}

// tellHolder writes to the holder what was changed.
func (s *Server) tellHolder(tx *sqldb.Tx, c caller, what string) error {
	if s.Post == nil {
		return nil
	}
	return s.Post.AccountChanged(tx, c.account, c.firm, what, c.address)
}

// rebound lets codes be used again: what was guessed at was another one. The text messages of the hour stay counted.
func rebound(tx *sqldb.Tx, a account.Account) error {
	a.PIN.Failures, a.PIN.BlockedUntil, a.PIN.Disabled = 0, time.Time{}, time.Time{}
	return store.UpdateAccount(tx, a)
}

// enrolled are the kinds of the caller that the policy accepts, beside mobile and mailbox.
func (s *Server) enrolled(tx *sqldb.Tx, c caller) (factor.Kinds, error) {
	return s.SignIn.Enrolled(tx, c.account, c.firm)
}

// stamp is a time on the wire; the zero time is unset.
func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
