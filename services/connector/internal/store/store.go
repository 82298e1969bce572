// Package store keeps what the connector owns: grants, connections, attempts to connect, and what is still to be told to
// the outside. One SQL text serves both engines; every function works in the transaction it is given.
//
// Rows are found by firm and id together. What is found by id alone (a grant of a connection, an attempt by its state) is
// found on behalf of nobody but the service itself.
package store

import (
	"embed"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/vault"
)

//go:embed migrations
var migrations embed.FS

// Migrations is the connector's own schema, per engine.
var Migrations = migrations

// Sealed is a secret as it is stored: the ciphertext and the key it is under. Empty when there is none.
type Sealed struct {
	Text []byte
	Key  vault.KeyID
}

// Empty reports whether there is no secret.
func (s Sealed) Empty() bool { return len(s.Text) == 0 }

// micros stores a time, 0 for none.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return sqldb.Micros(t)
}

// times scans a time stored by micros.
type times struct{ to *time.Time }

// Scan implements sql.Scanner.
func (s times) Scan(value any) error {
	*s.to = time.Time{}
	if us, ok := value.(int64); ok && us != 0 {
		*s.to = sqldb.FromMicros(us)
	}
	return nil
}
