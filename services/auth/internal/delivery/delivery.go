// Package delivery hands messages to the world outside: text messages to providers, e-mails to an SMTP server. It also reads
// what providers report about a message later.
//
// Each call is bounded and does not retry: a person waits at the other end of a PIN, and e-mails that can wait have a queue
// (package outbound). A text message that one provider does not take is given to the next. A provider that hangs costs its
// time-out, never a sign-in. What a provider answers is not passed on, since it may quote numbers and addresses; errors
// carry its code alone.
package delivery

import (
	"errors"
	"fmt"
)

// Error is a message that was not taken.
type Error struct {
	// Code is what the provider said: "http_503", "sms_21211", "smtp_550", "timeout", "connect".
	Code string
	// Temporary is true when the same message may be taken later.
	Temporary bool
}

// Error names the code.
func (e *Error) Error() string { return fmt.Sprintf("delivery: not taken (%s)", e.Code) }

// Code returns the code of an error of this package, "" for another.
func Code(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}

// Temporary tells whether a message may be taken later. Errors of other packages count as temporary.
func Temporary(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return !ok || e.Temporary
}
