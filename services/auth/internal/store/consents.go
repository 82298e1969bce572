package store

import (
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
)

// Consent is a person's consent to an Add-In, waiting to be redeemed.
type Consent struct {
	Session     string
	AddIn       string
	RedirectURI string
	// Challenge is the PKCE challenge, S256.
	Challenge string
	// Scope is what was consented to; Nonce is what the first ID token repeats, or empty.
	Scope, Nonce string
	Expires      time.Time
	Used         time.Time
	// Opened is the session it opened.
	Opened string
}

// InsertConsent adds a consent.
func InsertConsent(tx *sqldb.Tx, hash []byte, c Consent) error {
	_, err := tx.Exec(`INSERT INTO consents (code_hash, session, add_in, redirect_uri, challenge, scope, nonce, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, hash, c.Session, c.AddIn, c.RedirectURI, c.Challenge, c.Scope, c.Nonce,
		micros(c.Expires))
	return err
}

// ConsentBy returns the consent of a code, or ErrNotFound.
func ConsentBy(tx *sqldb.Tx, hash []byte) (Consent, error) {
	return one(tx, func(r *sqldb.Rows) (c Consent, err error) {
		return c, r.Scan(&c.Session, &c.AddIn, &c.RedirectURI, &c.Challenge, &c.Scope, &c.Nonce, when{&c.Expires}, when{&c.Used},
			&c.Opened)
	}, `SELECT session, add_in, redirect_uri, challenge, scope, nonce, expires_at, used_at, opened FROM consents
		WHERE code_hash = $1`, hash)
}

// UseConsent uses a consent up, noting the session it opened ("" when it opened none). It answers false when it was used.
func UseConsent(tx *sqldb.Tx, hash []byte, opened string, now time.Time) (bool, error) {
	return changedOne(tx.Exec(`UPDATE consents SET used_at = $2, opened = $3 WHERE code_hash = $1 AND used_at = 0`,
		hash, micros(now), opened))
}

// Agent is a program on a firm's premises.
type Agent struct {
	ID, Firm, DisplayName string
	// CreatedBy is the account that made it.
	CreatedBy string
	Created   time.Time
	// Revoked is when its credential was revoked; zero while it works.
	Revoked time.Time
}

// InsertAgent adds an agent under the hash of its credential.
func InsertAgent(tx *sqldb.Tx, hash []byte, a Agent) error {
	_, err := tx.Exec(`INSERT INTO agents (id, firm, display_name, credential_hash, created_by, created_at)
		VALUES ($1, $2, $3, $4, $5, $6)`, a.ID, a.Firm, a.DisplayName, hash, a.CreatedBy, micros(a.Created))
	return err
}

const agentColumns = `id, firm, display_name, created_by, created_at, revoked_at`

func scanAgent(r *sqldb.Rows) (a Agent, err error) {
	return a, r.Scan(&a.ID, &a.Firm, &a.DisplayName, &a.CreatedBy, when{&a.Created}, when{&a.Revoked})
}

// AgentByCredential returns the agent of a credential that works, or ErrNotFound.
func AgentByCredential(tx *sqldb.Tx, hash []byte) (Agent, error) {
	return one(tx, scanAgent, `SELECT `+agentColumns+` FROM agents WHERE credential_hash = $1 AND revoked_at = 0`, hash)
}

// AgentOf returns an agent of a firm, revoked or not, or ErrNotFound.
func AgentOf(tx *sqldb.Tx, firm, id string) (Agent, error) {
	return one(tx, scanAgent, `SELECT `+agentColumns+` FROM agents WHERE firm = $1 AND id = $2`, firm, id)
}

// ListAgents returns the agents of a firm by name, after the cursor.
func ListAgents(tx *sqldb.Tx, firm string, after NameCursor, limit int) ([]Agent, error) {
	return sqldb.Collect(tx, scanAgent, `SELECT `+agentColumns+` FROM agents WHERE firm = $1
		AND (display_name, id) > ($2, $3) ORDER BY display_name, id LIMIT $4`, firm, after.Name, after.ID, limit)
}

// RevokeAgent ends the credential of an agent and tells the suite, which knows the agent's lasting session by the agent's
// id. It does nothing when that was done before.
func RevokeAgent(tx *sqldb.Tx, firm, id string, now time.Time) error {
	done, err := changedOne(tx.Exec(`UPDATE agents SET revoked_at = $3 WHERE firm = $1 AND id = $2 AND revoked_at = 0`,
		firm, id, micros(now)))
	if err != nil || !done {
		return err
	}
	return announceEnd(tx, firm, id, now)
}
