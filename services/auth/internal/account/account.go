// Package account says what an account is: a person of the installation (operator), of a firm (staff) or of a client
// (contact login), and how a firm wants its people to sign in.
//
// An account belongs to one firm; the same e-mail address may have accounts in several. It has one password, and signs in
// with one more thing. The package stores nothing.
package account

import (
	"time"
)

// Kind is the kind of an account.
type Kind string

// The kinds.
const (
	Operator Kind = "OPERATOR"
	Staff    Kind = "STAFF"
	Contact  Kind = "CONTACT"
)

// Role is what a member of staff may do; other kinds have none.
type Role string

// The roles.
const (
	NoRole        Role = ""
	Administrator Role = "ADMINISTRATOR"
	Member        Role = "STAFF"
	ReadOnly      Role = "READ_ONLY"
)

// State is the state of an account.
type State string

// The states.
const (
	// Invited accounts have no password yet.
	Invited State = "INVITED"
	// Active accounts may sign in.
	Active State = "ACTIVE"
	// Disabled accounts may not, until they are invited again.
	Disabled State = "DISABLED"
)

// Account is one.
type Account struct {
	// ID is a UUID.
	ID string
	// Firm is the id of the firm; empty for an operator.
	Firm string
	Kind Kind
	Role Role
	// Contact is the id of the contact a portal login belongs to; empty for other kinds.
	Contact string
	// Email is in the form of NormalizeEmail.
	Email       string
	DisplayName string
	// Mobile is in E.164 form, empty when there is none.
	Mobile string
	// MobileValidated is when the person proved to hold the mobile; zero when not yet.
	MobileValidated time.Time
	State           State
	// Password is a PHC string; empty before the invitation is accepted.
	Password   string
	Created    time.Time
	LastSignIn time.Time
	// Revision counts the changes of state, from 1; events carry it as their sequence.
	Revision int64
	PIN      PINState
}

// PINState is what an account remembers about its PINs, over all channels and challenges.
type PINState struct {
	// Failures counts wrong PINs since the last right one.
	Failures int
	// BlockedUntil is when the next PIN is looked at; zero when at once.
	BlockedUntil time.Time
	// Disabled is when PINs were switched off for this account; zero when they are not.
	Disabled time.Time
}

// MayUse tells whether the account may be signed in with or may be soon: an open invitation counts.
func (a Account) MayUse() bool { return a.State == Active || a.State == Invited }

// Firm is a practice and its sign-in policy.
type Firm struct {
	ID          string
	DisplayName string
	Created     time.Time
	// Enforced is since when every member of staff needs a second factor; zero when that is off.
	Enforced time.Time
	// EmailPIN says whether a PIN may go by e-mail.
	EmailPIN bool
	// EmailStandsIn says whether it may do so because the text message was not taken or reported undelivered.
	EmailStandsIn bool
	// Forbidden are the kinds of factor nobody of the firm may use, of those in Forbiddable.
	Forbidden []Factor
	// ContactsExempt says whether contacts sign in with their password alone.
	ContactsExempt bool
	// PasskeyAloneForbidden says whether a passkey does not sign in by itself.
	PasskeyAloneForbidden bool
	// Revision counts the changes of the policy, from 1.
	Revision int64
}
