package account

import "slices"

// Factor is a kind of second factor.
type Factor string

// The kinds of factor, by the names the contract has for them.
const (
	Passkey      Factor = "PASSKEY"
	TOTP         Factor = "TOTP"
	SMSPIN       Factor = "SMS_PIN"
	EmailPIN     Factor = "EMAIL_PIN"
	RecoveryCode Factor = "RECOVERY_CODE"
)

// Forbiddable are the kinds a firm may forbid by name. Whether a PIN may go by e-mail is a switch of its own, and
// recovery codes are the way back in.
func Forbiddable() []Factor { return []Factor{Passkey, TOTP, SMSPIN} }

// NeedsSecondFactor tells whether a password alone is not enough for the account under the policy of its firm. Operators
// always need one; staff do while the firm enforces it; contacts do unless the firm exempts them.
func (f Firm) NeedsSecondFactor(a Account) bool {
	switch a.Kind {
	case Staff:
		return !f.Enforced.IsZero()
	case Contact:
		return !f.ContactsExempt
	}
	return true
}

// EmailPINAllowed tells whether a PIN may go to the e-mail address of the account. The switch is about staff.
func (f Firm) EmailPINAllowed(a Account) bool { return a.Kind != Staff || f.EmailPIN }

// Allows tells whether the account may use a kind of factor under the policy of its firm. Operators belong to no firm:
// they may use all.
func (f Firm) Allows(a Account, k Factor) bool {
	switch {
	case k == EmailPIN:
		return f.EmailPINAllowed(a)
	case a.Kind == Operator:
		return true
	}
	return !slices.Contains(f.Forbidden, k)
}

// PasskeyAlone tells whether a passkey with user verification signs the account in without its password.
func (f Firm) PasskeyAlone(a Account) bool { return !f.PasskeyAloneForbidden && f.Allows(a, Passkey) }
