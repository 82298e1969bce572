// Package passkeys is the SQL of passkeys: one text for SQLite and PostgreSQL. It decides nothing.
package passkeys

import (
	"strings"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/auth/internal/passkey"
)

// Handle returns the user handle of an account, and keeps the one offered when it has none.
func Handle(tx *sqldb.Tx, account string, offered []byte) (handle []byte, err error) {
	if _, err := tx.Exec(`INSERT INTO passkey_handles (account, handle) VALUES ($1, $2) ON CONFLICT (account) DO NOTHING`,
		account, offered); err != nil {
		return nil, err
	}
	err = tx.QueryRow(`SELECT handle FROM passkey_handles WHERE account = $1`, account).Scan(&handle)
	return handle, err
}

const columns = `p.id, p.account, p.site, p.credential_id, p.public_key, p.sign_count, p.transports, p.synced, p.backed_up,
	p.display_name, p.created_at, p.used_at`

func dest(k *passkey.Passkey, transports *string, created, used *int64, synced, backedUp *int64) []any {
	return []any{&k.ID, &k.Account, &k.Site, &k.CredentialID, &k.PublicKey, &k.SignCount, transports, synced, backedUp, &k.Name, created, used}
}

// held is a passkey with the handle of its account.
type held struct {
	key    passkey.Passkey
	handle []byte
}

func scan(r *sqldb.Rows) (h held, err error) {
	var transports string
	var created, used, synced, backedUp int64
	err = r.Scan(append(dest(&h.key, &transports, &created, &used, &synced, &backedUp), &h.handle)...)
	h.key.Transports, h.key.Synced, h.key.BackedUp = strings.Fields(transports), synced == 1, backedUp == 1
	h.key.Created = sqldb.FromMicros(created)
	if used != 0 {
		h.key.Used = sqldb.FromMicros(used)
	}
	return h, err
}

const from = ` FROM passkeys p JOIN passkey_handles h ON h.account = p.account `

// Of returns the passkeys that an account has for a site, oldest first.
func Of(tx *sqldb.Tx, account, site string) ([]passkey.Passkey, error) {
	all, err := sqldb.Collect(tx, scan, `SELECT `+columns+`, h.handle`+from+`WHERE p.account = $1 AND p.site = $2
		ORDER BY p.created_at, p.id`, account, site)
	keys := make([]passkey.Passkey, len(all))
	for i, h := range all {
		keys[i] = h.key
	}
	return keys, err
}

// ByCredential returns the passkey for a site by the authenticator's id, and the handle of its account, or ErrNotFound.
func ByCredential(tx *sqldb.Tx, site string, id []byte) (key passkey.Passkey, handle []byte, err error) {
	all, err := sqldb.Collect(tx, scan, `SELECT `+columns+`, h.handle`+from+`WHERE p.credential_id = $1 AND p.site = $2`, id, site)
	switch {
	case err != nil:
		return key, nil, err
	case len(all) == 0:
		return key, nil, sqldb.ErrNotFound
	}
	return all[0].key, all[0].handle, nil
}

// Insert adds a passkey. It answers false when somebody has it already.
func Insert(tx *sqldb.Tx, k passkey.Passkey) (bool, error) {
	n, err := tx.Exec(`INSERT INTO passkeys (id, account, site, credential_id, public_key, sign_count, transports, synced,
		backed_up, display_name, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (credential_id) DO NOTHING`,
		k.ID, k.Account, k.Site, k.CredentialID, k.PublicKey, k.SignCount, strings.Join(k.Transports, " "), sqldb.Flag(k.Synced),
		sqldb.Flag(k.BackedUp), k.Name, sqldb.Micros(k.Created))
	return n == 1, err
}

// Used writes what a use changed. It answers false when the passkey is gone, or was used with a higher counter meanwhile.
func Used(tx *sqldb.Tx, k passkey.Passkey, now time.Time) (bool, error) {
	n, err := tx.Exec(`UPDATE passkeys SET sign_count = $2, backed_up = $3, used_at = $4 WHERE id = $1 AND sign_count <= $2`,
		k.ID, k.SignCount, sqldb.Flag(k.BackedUp), sqldb.Micros(now))
	return n == 1, err
}

// Delete takes a passkey from an account. It answers false when the account has no such passkey.
func Delete(tx *sqldb.Tx, account, id string) (bool, error) {
	n, err := tx.Exec(`DELETE FROM passkeys WHERE account = $1 AND id = $2`, account, id)
	return n == 1, err
}

// DeleteAll takes every passkey from an account, and answers how many they were.
func DeleteAll(tx *sqldb.Tx, account string) (int64, error) {
	return tx.Exec(`DELETE FROM passkeys WHERE account = $1`, account)
}

// Challenge is what a browser was asked to sign.
type Challenge struct {
	// Hash is that of the id of the sign-in or enrolment.
	Hash []byte
	// Challenge is the random bytes.
	Challenge []byte
	// Verify is true when the authenticator must verify its holder.
	Verify  bool
	Expires time.Time
}

// PutChallenge keeps what a browser was asked. One that was asked before for the same is void.
func PutChallenge(tx *sqldb.Tx, c Challenge) error {
	_, err := tx.Exec(`INSERT INTO passkey_challenges (id_hash, challenge, verify, expires_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (id_hash) DO UPDATE SET challenge = excluded.challenge, verify = excluded.verify, expires_at = excluded.expires_at`,
		c.Hash, c.Challenge, sqldb.Flag(c.Verify), sqldb.Micros(c.Expires))
	return err
}

// ChallengeOf returns what a browser was asked, or ErrNotFound.
func ChallengeOf(tx *sqldb.Tx, hash []byte) (Challenge, error) {
	return challenge(tx, `SELECT id_hash, challenge, verify, expires_at FROM passkey_challenges WHERE id_hash = $1`, hash)
}

// TakeChallenge returns what a browser was asked, once: it is gone in the same statement. ErrNotFound when nothing was.
func TakeChallenge(tx *sqldb.Tx, hash []byte) (Challenge, error) {
	return challenge(tx, `DELETE FROM passkey_challenges WHERE id_hash = $1 RETURNING id_hash, challenge, verify, expires_at`, hash)
}

func challenge(tx *sqldb.Tx, query string, hash []byte) (Challenge, error) {
	all, err := sqldb.Collect(tx, func(r *sqldb.Rows) (c Challenge, err error) {
		var verify, expires int64
		err = r.Scan(&c.Hash, &c.Challenge, &verify, &expires)
		c.Verify, c.Expires = verify == 1, sqldb.FromMicros(expires)
		return c, err
	}, query, hash)
	if err == nil && len(all) == 0 {
		err = sqldb.ErrNotFound
	}
	if err != nil {
		return Challenge{}, err
	}
	return all[0], nil
}

// Sweep deletes challenges nobody answered in time.
func Sweep(tx *sqldb.Tx, now time.Time) error {
	_, err := tx.Exec(`DELETE FROM passkey_challenges WHERE expires_at < $1`, sqldb.Micros(now))
	return err
}
