package signin

import (
	"errors"
	"time"
)

// Why somebody is not signed in. See also password.ErrBusy.
var (
	// ErrRefused: something does not fit; which thing is never said.
	ErrRefused = errors.New("signin: refused")
	// ErrExpired: the challenge is over, used, or was never there.
	ErrExpired = errors.New("signin: the challenge is over")
	// ErrDisabled: codes are switched off for the account.
	ErrDisabled = errors.New("signin: codes are switched off after too many wrong ones")
	// ErrFactor: this kind of factor is not taken here.
	ErrFactor = errors.New("signin: this kind of factor is not taken")
	// ErrPasskey: the answer of a passkey is malformed, or was made for something else.
	ErrPasskey = errors.New("signin: no answer of a passkey to this challenge")
	// errStrongFactor: a PIN by e-mail would make the session no stronger than it is, or weaker.
	errStrongFactor = errors.New("step-up needs a PIN by text message, and the account has no mobile, or none can be reached now")
	// errMailed: PINs are sent to the mailbox and none comes back.
	errMailed = errors.New("too many PINs went to the mailbox")
	// errSpent: the password was reset by the mailbox, which does not count twice.
	errSpent = errors.New("the password was set anew by e-mail, so no PIN goes there as well; " +
		"use another factor, or have an administrator hand out a recovery code")
)

// WaitError says when to try again.
type WaitError struct {
	Until time.Time
	// Why may be nil. With messages.ErrHour and errMailed the account has had its messages: other factors need not wait.
	Why error
}

// Error implements error.
func (e *WaitError) Error() string { return "signin: too many attempts" }

// AmbiguousError says that address and password fit several firms: their ids, and their names in the same order.
type AmbiguousError struct{ Firms, Names []string }

// Error implements error.
func (e *AmbiguousError) Error() string { return "signin: the address fits several firms" }

// UndeliverableError says that no PIN could be handed over, and why: in words, and by the codes of package delivery.
type UndeliverableError struct {
	Why error
	// Temporary is true when trying again later may help.
	Temporary bool
}

// Error implements error.
func (e *UndeliverableError) Error() string { return "signin: no PIN could be sent: " + e.Why.Error() }
