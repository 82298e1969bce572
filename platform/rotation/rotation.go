// Package rotation replaces the keys of a keyring while the service goes on, and loses nothing on the way.
//
// A service says in an Inventory which columns hold sealed values. Its Worker tells the database every few seconds which
// keys the process has, and seals anew, in small batches, what is under an old key: a row is written only where the old
// ciphertext still stands, so that a token renewed meanwhile is never overwritten. Who rotates (Ring) goes step by step:
//
//	add       a key that opens and does not seal yet
//	promote   once every process has it; from now on it seals
//	reseal    done by the services, or here when none runs
//	retire    once no process seals with the old key and no row is under it
//
// Where a rotation stands is read from the file and the databases, never remembered: one that was killed goes on with the
// next call, wherever it was. A step that would lose something is refused with the reason (ErrRefused).
//
// One gap is left by looking and acting apart: a process that was frozen between sealing a value and writing it. Retiring
// therefore puts the key on a list in the database first, in the transaction that counts the rows under it, and triggers
// beside the sealed columns refuse to write what is sealed with a key of the list.
//
// Hashes cannot be made anew without the value. An old key that hashes stays in the file until what was made with it is
// over: counted where rows tell, waited for where they do not (Hash).
package rotation

import (
	"embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/vault"
)

//go:embed migrations
var migrations embed.FS

// Schema is the part of a service's schema that this package needs. It stands before the service's own, whose triggers
// use it.
var Schema = sqldb.Named("keys", migrations)

// ErrRefused is returned for a step that would lose something; the text says what.
var ErrRefused = errors.New("refused")

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrRefused}, args...)...)
}

// Inventory is what a service keeps under its keyring.
type Inventory struct {
	Secrets []Secret
	Hashes  []Hash
}

// Secret is a column of sealed values. An empty value is none. The database has triggers that call keys_admit for its key
// column (PostgreSQL) or do the same (SQLite), and an index on key and id.
type Secret struct {
	Table string
	// Sealed and Key are the columns of the ciphertext and of the id of the key it is under.
	Sealed, Key string
	// ID is the column of the primary key.
	ID string
	// Firm is the column of the firm; empty for what belongs to the installation.
	Firm string
	// As is the column in vault.Row, which is not always the one in the database.
	As string
}

// Name is the table and column, for people.
func (s Secret) Name() string { return s.Table + "." + s.Sealed }

// columns are those read for a row: id, firm, ciphertext.
func (s Secret) columns() string {
	firm := s.Firm
	if firm == "" {
		firm = "''"
	}
	return strings.Join([]string{s.ID, firm, s.Sealed}, ", ")
}

// present is the condition for a row that has a value; an empty one needs no key.
func (s Secret) present() string { return "length(" + s.Sealed + ") > 0" }

func (s Secret) row(id, firm string) vault.Row {
	return vault.Row{Firm: firm, Table: s.Table, ID: id, Column: s.As}
}

// Hash is a kind of hashed values.
type Hash struct {
	// What is hashed, for people: "PINs".
	What string
	// Table and Column hold the hashes while Live holds, an SQL condition in which :now is the time; or Column is empty.
	Table, Column, Live string
	// Life is how long a hash counts that is kept nowhere; 0 when a column has them.
	Life time.Duration
}

// Book is the database of one service with what it keeps under its keyring.
type Book struct {
	Service string
	DB      *sqldb.DB
	Inventory
}

// Uses counts rows by the key they are under.
type Uses map[vault.KeyID]int

// Of returns how many rows are under any of the keys.
func (u Uses) Of(keys []vault.KeyID) (n int) {
	for _, key := range keys {
		n += u[key]
	}
	return n
}

// secrets counts the rows of a column.
func (s Secret) uses(tx *sqldb.Tx) (Uses, error) {
	return uses(tx, `SELECT `+s.Key+`, count(*) FROM `+s.Table+` WHERE `+s.present()+` GROUP BY `+s.Key)
}

// uses counts the hashes that are still of use.
func (h Hash) uses(tx *sqldb.Tx) (Uses, error) {
	if h.Column == "" {
		return nil, nil
	}
	id := `lower(hex(substr(` + h.Column + `, 2, 4)))`
	if tx.Dialect() == sqldb.Postgres {
		id = `encode(substr(` + h.Column + `, 2, 4), 'hex')`
	}
	live := strings.ReplaceAll(h.Live, ":now", tx.Dialect().NowMicros())
	return uses(tx, `SELECT `+id+`, count(*) FROM `+h.Table+` WHERE `+h.Column+` IS NOT NULL AND `+live+` GROUP BY 1`)
}

func uses(tx *sqldb.Tx, query string) (Uses, error) {
	u := Uses{}
	rows, err := tx.Query(query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var key vault.KeyID
		var n int
		if err := rows.Scan(&key, &n); err != nil {
			return nil, err
		}
		u[key] = n
	}
	return u, rows.Err()
}
