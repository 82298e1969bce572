package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"

	"github.com/concord-suite/concord/services/connector/internal/connection"
)

// Attempt is a row of attempts.
type Attempt struct {
	connection.Attempt
	// StateHash finds it by the provider's answer, BindingHash proves the browser, CodeHash knows a repeated answer.
	StateHash, BindingHash, CodeHash string
	// Secrets are sealed for the column "secrets", Tokens for "tokens".
	Secrets, Tokens Sealed
	// ClaimOwner works on it until ClaimUntil.
	ClaimOwner string
	ClaimUntil time.Time
}

// Claimed reports whether somebody is working on the attempt.
func (a Attempt) Claimed(now time.Time) bool { return a.ClaimOwner != "" && now.Before(a.ClaimUntil) }

// End puts the attempt into a final state and forgets what it received.
func (a *Attempt) End(s connection.AttemptState) {
	a.State, a.Secrets, a.Tokens, a.ClaimOwner, a.ClaimUntil = s, Sealed{}, Sealed{}, "", time.Time{}
}

const attemptColumns = `id, firm, person, provider, state, created, expires, state_hash, binding_hash, code_hash,
	secrets_sealed, secrets_key, tokens_sealed, tokens_key, failure, error, subject, scopes, tenants, preselected, choice,
	claim_owner, claim_until, upgrade, consented_by`

// InsertAttempt adds an attempt.
func InsertAttempt(tx *sqldb.Tx, a Attempt) error {
	args, err := a.values()
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO attempts (`+attemptColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25)`, args...)
	return err
}

// UpdateAttempt writes an attempt that was read in the same transaction.
func UpdateAttempt(tx *sqldb.Tx, a Attempt) error {
	args, err := a.values()
	if err != nil {
		return err
	}
	_, err = tx.Exec(`UPDATE attempts SET firm = $2, person = $3, provider = $4, state = $5, created = $6, expires = $7,
		state_hash = $8, binding_hash = $9, code_hash = $10, secrets_sealed = $11, secrets_key = $12, tokens_sealed = $13,
		tokens_key = $14, failure = $15, error = $16, subject = $17, scopes = $18, tenants = $19, preselected = $20,
		choice = $21, claim_owner = $22, claim_until = $23, upgrade = $24, consented_by = $25 WHERE id = $1`, args...)
	return err
}

func (a Attempt) values() ([]any, error) {
	tenants, err := json.Marshal(a.Tenants)
	if err != nil {
		return nil, fmt.Errorf("store: tenants: %w", err)
	}
	choice, err := json.Marshal(a.Choice)
	if err != nil {
		return nil, fmt.Errorf("store: choice: %w", err)
	}
	return []any{a.ID, a.Firm, a.Person, string(a.Provider), string(a.State), micros(a.Created), micros(a.Expires),
		a.StateHash, a.BindingHash, a.CodeHash, a.Secrets.Text, string(a.Secrets.Key), a.Tokens.Text, string(a.Tokens.Key),
		string(a.Failure), a.Error, a.Subject, strings.Join(a.Scopes, " "), string(tenants), a.Preselected, string(choice),
		a.ClaimOwner, micros(a.ClaimUntil), a.Upgrade, a.ConsentedBy}, nil
}

func scanAttempt(scan func(...any) error) (Attempt, error) {
	var a Attempt
	var scopes, tenants, choice string
	err := scan(&a.ID, &a.Firm, &a.Person, &a.Provider, &a.State, times{&a.Created}, times{&a.Expires},
		&a.StateHash, &a.BindingHash, &a.CodeHash, &a.Secrets.Text, &a.Secrets.Key, &a.Tokens.Text, &a.Tokens.Key,
		&a.Failure, &a.Error, &a.Subject, &scopes, &tenants, &a.Preselected, &choice, &a.ClaimOwner, times{&a.ClaimUntil},
		&a.Upgrade, &a.ConsentedBy)
	if err != nil {
		return a, err
	}
	a.Scopes = strings.Fields(scopes)
	if err := errors.Join(json.Unmarshal([]byte(tenants), &a.Tenants), json.Unmarshal([]byte(choice), &a.Choice)); err != nil {
		return a, fmt.Errorf("store: attempt %s: %w", a.ID, err)
	}
	return a, nil
}

// AttemptByID reads an attempt of a firm, and locks it in a write transaction.
func AttemptByID(tx *sqldb.Tx, ref connection.Ref, lock bool) (Attempt, error) {
	return scanAttempt(tx.QueryRow(`SELECT `+attemptColumns+` FROM attempts WHERE firm = $1 AND id = $2`+locking(tx, lock),
		ref.Firm, ref.ID).Scan)
}

// AttemptByState reads and locks the attempt that a provider's answer belongs to.
func AttemptByState(tx *sqldb.Tx, stateHash string) (Attempt, error) {
	return scanAttempt(tx.QueryRow(`SELECT `+attemptColumns+` FROM attempts WHERE state_hash = $1`+locking(tx, true), stateHash).Scan)
}

// OpenAttempts reads and locks the open attempts of one person.
func OpenAttempts(tx *sqldb.Tx, firm, person string) ([]Attempt, error) {
	return sqldb.Collect(tx, func(r *sqldb.Rows) (Attempt, error) { return scanAttempt(r.Scan) },
		`SELECT `+attemptColumns+` FROM attempts WHERE firm = $1 AND person = $2 AND state IN `+openStates+locking(tx, true), firm, person)
}

const openStates = `('WAITING', 'EXCHANGING', 'LISTING', 'AUTHORISED', 'CONFIRMING')`

// DueAttempts reads and locks attempts that a worker has to look at: those whose time is over, and those that somebody
// began to work on and left.
func DueAttempts(tx *sqldb.Tx, now time.Time, limit int) ([]Attempt, error) {
	return sqldb.Collect(tx, func(r *sqldb.Rows) (Attempt, error) { return scanAttempt(r.Scan) },
		`SELECT `+attemptColumns+` FROM attempts
			WHERE state IN `+openStates+` AND claim_until <= $1 AND (expires <= $1 OR state IN ('EXCHANGING', 'LISTING', 'CONFIRMING'))
			ORDER BY expires LIMIT $2`+tx.Dialect().SkipLocked(), micros(now), limit)
}

// SubjectOpen reports whether an open attempt has the consent of a person, or may have it: in the same firm, one whose
// answer has not come yet.
func SubjectOpen(tx *sqldb.Tx, firm, subject string, now time.Time) (open bool, err error) {
	err = tx.QueryRow(`SELECT EXISTS (SELECT 1 FROM attempts WHERE state IN `+openStates+`
		AND (subject = $2 OR (subject = '' AND firm = $1)) AND (expires > $3 OR state = 'CONFIRMING'))`,
		firm, subject, micros(now)).Scan(&open)
	return open, err
}

// PurgeAttempts deletes ended attempts made before a time.
func PurgeAttempts(tx *sqldb.Tx, before time.Time) (int64, error) {
	return tx.Exec(`DELETE FROM attempts WHERE created < $1 AND state NOT IN `+openStates, micros(before))
}

func locking(tx *sqldb.Tx, lock bool) string {
	if lock {
		return tx.Dialect().ForUpdate()
	}
	return ""
}
