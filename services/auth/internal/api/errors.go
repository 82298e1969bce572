package api

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/services/auth/internal/api/lock"
	"github.com/concord-suite/concord/services/auth/internal/api/signin"
	"github.com/concord-suite/concord/services/auth/internal/api/staffing"
	"github.com/concord-suite/concord/services/auth/internal/passkey"
	"github.com/concord-suite/concord/services/auth/internal/password"
	"github.com/concord-suite/concord/services/auth/internal/store"
)

var (
	errRefused = rpcerr.New(codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SIGN_IN_REFUSED,
		"that does not fit; check what you entered")
	errExpired = rpcerr.New(codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_CHALLENGE_EXPIRED,
		"this sign-in is over; start again")
	errTooMany = rpcerr.New(codes.ResourceExhausted, authv1.ErrorReason_ERROR_REASON_TOO_MANY_ATTEMPTS,
		"too many attempts; try again later")
	errPassword = rpcerr.New(codes.InvalidArgument, authv1.ErrorReason_ERROR_REASON_PASSWORD_REFUSED,
		"choose another password")
	errInvitation = rpcerr.New(codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_INVITATION_INVALID,
		"this invitation is not valid (any more)")
	errReset = rpcerr.New(codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_RESET_INVALID,
		"this code is not valid (any more); ask for a new one")
	errAmbiguous = rpcerr.New(codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_FIRM_AMBIGUOUS,
		"you have accounts in several firms; say which")
	errClaimed = rpcerr.New(codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_ALREADY_CLAIMED,
		"the installation has its operator, or the code is another one")
	errAccountExists = rpcerr.New(codes.AlreadyExists, authv1.ErrorReason_ERROR_REASON_ACCOUNT_EXISTS,
		"the firm has an account for this address or contact")
	errRequired = rpcerr.New(codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_TWO_FACTOR_REQUIRED_BY_CONNECTION,
		"two-factor sign-in stays on while a connection requires it")
	errLastAdministrator = rpcerr.New(codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_LAST_ADMINISTRATOR,
		"a firm keeps at least one administrator who can sign in")
	errFenced = rpcerr.New(codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_LOGIN_FENCED,
		"the contact's client is being off-boarded")
	errUnconfirmed = rpcerr.New(codes.Unavailable, authv1.ErrorReason_ERROR_REASON_CONTACT_UNCONFIRMED,
		"the client list does not answer, so nobody knows whether the contact exists; try again")
	errSessionEnded = rpcerr.New(codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SESSION_ENDED,
		"the session has ended; sign in again")
	errLocked = rpcerr.New(codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SESSION_LOCKED,
		"the session was not used for half an hour; unlock it with the password")
	errNotFound      = rpcerr.New(codes.NotFound, authv1.ErrorReason_ERROR_REASON_NOT_FOUND, "not found")
	errUndeliverable = rpcerr.New(codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_PIN_UNDELIVERABLE,
		"no PIN could be sent")
	errBusy = rpcerr.New(codes.ResourceExhausted, authv1.ErrorReason_ERROR_REASON_BUSY,
		"too many are signing in at once; try again in a moment")
	errFactor = rpcerr.New(codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_FACTOR_NOT_ALLOWED,
		"this kind of factor is not taken here; see which ones are")
	errPasskey = rpcerr.New(codes.InvalidArgument, authv1.ErrorReason_ERROR_REASON_PASSKEY_INVALID,
		"that is no answer of a passkey to this challenge")
	errUnsuitable = rpcerr.New(codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_ACCOUNT_UNSUITABLE,
		"this can't be done to the account")
	errPasswordRequired = rpcerr.New(codes.PermissionDenied, authv1.ErrorReason_ERROR_REASON_PASSWORD_REQUIRED,
		"send your password along, or confirm first that it is you")
	errETag = rpcerr.New(codes.Aborted, authv1.ErrorReason_ERROR_REASON_ETAG_MISMATCH,
		"somebody else changed it; read it again")
)

// violation is an INVALID_ARGUMENT about one field.
func violation(field, rule, words string) error {
	return rpcerr.Default(codes.InvalidArgument).Field(field, rule, words)
}

// orNotFound turns the store's "no such row" into the answer for it.
func orNotFound(err error) error {
	if errors.Is(err, sqldb.ErrNotFound) {
		return errNotFound
	}
	return err
}

// tell turns what signing in ended with into what the caller is told. Errors it does not know pass.
func tell(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, signin.ErrRefused):
		return errRefused
	case errors.Is(err, lock.ErrOver):
		return errSessionEnded
	case errors.Is(err, signin.ErrExpired):
		return errExpired
	case errors.Is(err, signin.ErrFactor):
		return errFactor
	case errors.Is(err, signin.ErrPasskey):
		if invalid, ok := errors.AsType[*passkey.InvalidError](err); ok {
			return errPasskey.With("why", string(invalid.Why))
		}
		return errPasskey
	case errors.Is(err, signin.ErrDisabled):
		return errTooMany.Messagef("PINs are switched off for this account; ask an administrator to switch them on again").
			With("pin_disabled", "true")
	case errors.Is(err, staffing.ErrLastAdministrator):
		return errLastAdministrator
	case errors.Is(err, password.ErrBusy):
		return errBusy.With("retry_after_seconds", "1")
	}
	if wait, ok := errors.AsType[*signin.WaitError](err); ok {
		return errTooMany.With("retry_time", wait.Until.UTC().Format(time.RFC3339))
	}
	if several, ok := errors.AsType[*signin.AmbiguousError](err); ok {
		var firms []string
		for _, f := range several.Firms {
			firms = append(firms, names.Format(store.FirmName, f))
		}
		shown, err := json.Marshal(several.Names)
		if err != nil {
			return err
		}
		return errAmbiguous.With("firms", strings.Join(firms, " ")).With("firm_names", string(shown))
	}
	if lost, ok := errors.AsType[*signin.UndeliverableError](err); ok {
		return errUndeliverable.With("why", lost.Why.Error()).With("temporary", strconv.FormatBool(lost.Temporary))
	}
	return err
}
