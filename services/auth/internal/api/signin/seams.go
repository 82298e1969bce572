package signin

import (
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/auth/internal/account"
)

// Passkeys is what signing in asks of whoever keeps the passkeys.
type Passkeys interface {
	// Enrolled tells whether the account has a passkey.
	Enrolled(tx *sqldb.Tx, account string) (bool, error)
	// Options makes what the browser is given for a challenge (PublicKeyCredentialRequestOptions in JSON) and remembers
	// what the answer has to fit. Asked again for the same challenge, it answers the same.
	Options(tx *sqldb.Tx, c PasskeyChallenge) (string, error)
	// Verify holds an answer against the options of the challenge. The error wraps ErrPasskey for one that does not fit;
	// the transaction is committed all the same.
	Verify(tx *sqldb.Tx, c PasskeyChallenge, assertion string) (PasskeyShown, error)
}

// PasskeyChallenge is a challenge that a passkey may answer.
type PasskeyChallenge struct {
	// Hash is what the challenge is stored under.
	Hash []byte
	// Account is whose passkey is asked for; the zero value for anybody's.
	Account account.Account
	// Alone is true when nothing else is shown: the passkey has to verify its user.
	Alone   bool
	Expires time.Time
}

// PasskeyShown is what a passkey has shown.
type PasskeyShown struct {
	// Account is the id of the account it belongs to.
	Account string
	// UserVerified is true when the device has made sure who uses it.
	UserVerified bool
	// Synced is true when the passkey may be on several devices.
	Synced bool
}

// Mailbox knows whose mailbox has counted already: it has reset the password, and so can't be the second thing shown.
type Mailbox interface {
	// Spent tells whether it has.
	Spent(tx *sqldb.Tx, account string) (bool, error)
	// Restore lets it count again.
	Restore(tx *sqldb.Tx, account string) error
}
