// Package guards is what keeps a rotation of the keyring from losing anything of this service: the list of what is sealed,
// and the triggers that keep values sealed with a retired key out of the tables.
package guards

import (
	"embed"

	"github.com/concord-suite/concord/platform/rotation"
	"github.com/concord-suite/concord/platform/sqldb"
)

//go:embed sqlite postgres
var files embed.FS

// Schema is the part of the schema with the triggers. It comes after that of package store, whose tables it guards, and
// after rotation.Schema, which it uses.
var Schema = sqldb.Named("guards", files)

// openChallenge is the condition for a challenge or an enrolment whose PIN may still be typed.
const openChallenge = "closed_at = 0 AND expires_at > :now"

// Inventory lists what is sealed and what is hashed with a key. A new sealed column is added here and gets a guard; a test
// walks the schema.
var Inventory = rotation.Inventory{
	Secrets: []rotation.Secret{
		{Table: "peppers", Sealed: "sealed", Key: "vault_key", ID: "id", As: "sealed"},
		{Table: "signing_keys", Sealed: "sealed", Key: "vault_key", ID: "id", As: "sealed"},
		{Table: "ledger_keys", Sealed: "sealed", Key: "vault_key", ID: "id", As: "sealed"},
		{Table: "deliveries", Sealed: "sealed", Key: "vault_key", ID: "id", Firm: "firm", As: "sealed"},
		{Table: "totps", Sealed: "sealed", Key: "vault_key", ID: "account", Firm: "firm", As: "sealed"},
		{Table: "recovery_keys", Sealed: "sealed", Key: "vault_key", ID: "account", Firm: "firm", As: "sealed"},
		{Table: "enrolments", Sealed: "sealed", Key: "vault_key", ID: "id", Firm: "firm", As: "sealed"},
		{Table: "id_token_keys", Sealed: "sealed", Key: "vault_key", ID: "id", As: "sealed"},
	},
	Hashes: []rotation.Hash{
		{What: "PINs sent by SMS", Table: "challenges", Column: "sms_mac", Live: openChallenge},
		{What: "PINs sent by e-mail", Table: "challenges", Column: "email_mac", Live: openChallenge},
		{What: "PINs that validate a mobile", Table: "enrolments", Column: "pin_mac", Live: openChallenge},
	},
}
