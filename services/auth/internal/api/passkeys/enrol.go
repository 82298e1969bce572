package passkeys

import (
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/passkey"
	store "github.com/concord-suite/concord/services/auth/internal/store/passkeys"
)

// Why no passkey is enrolled, beside *passkey.InvalidError.
var (
	// ErrFull: the account has passkey.Max of them.
	ErrFull = errors.New("passkeys: the account has as many as it may")
	// ErrTaken: the credential is somebody's already.
	ErrTaken = errors.New("passkeys: the passkey is enrolled already")
)

// Begin asks for a new passkey of an account, until the enrolment of this hash ends. It answers what the browser is given
// (PublicKeyCredentialCreationOptions in JSON).
func (k *Keeper) Begin(tx *sqldb.Tx, a account.Account, hash []byte, end time.Time) (string, error) {
	p, err := k.person(tx, a)
	if err != nil {
		return "", err
	}
	if len(p.Passkeys) >= passkey.Max {
		return "", ErrFull
	}
	asked, err := k.Site.Enrol(p)
	if err != nil {
		return "", err
	}
	return asked.Options, store.PutChallenge(tx, store.Challenge{Hash: hash, Challenge: asked.Challenge, Expires: k.until(end)})
}

// Finish enrols the passkey that was made for the enrolment of this hash. Errors that the person is told are ErrFull,
// ErrTaken and *passkey.InvalidError.
func (k *Keeper) Finish(tx *sqldb.Tx, a account.Account, hash []byte, name, attestation string) (passkey.Passkey, error) {
	asked, err := store.TakeChallenge(tx, hash)
	if errors.Is(err, sqldb.ErrNotFound) || (err == nil && !k.Now().Before(asked.Expires)) {
		return passkey.Passkey{}, &passkey.InvalidError{Why: passkey.OtherChallenge}
	}
	if err != nil {
		return passkey.Passkey{}, err
	}
	p, err := k.person(tx, a)
	if err != nil {
		return passkey.Passkey{}, err
	}
	if len(p.Passkeys) >= passkey.Max {
		return passkey.Passkey{}, ErrFull
	}
	made, err := k.Site.Enrolled(p, asked.Challenge, attestation)
	if err != nil {
		return passkey.Passkey{}, err
	}
	made.ID, made.Account, made.Name, made.Created = uuid.Must(uuid.NewV7()).String(), a.ID, name, k.Now()
	ok, err := store.Insert(tx, made)
	if err == nil && !ok {
		err = ErrTaken
	}
	return made, err
}
