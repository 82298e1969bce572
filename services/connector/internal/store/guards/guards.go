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

// Inventory lists what is sealed. A new sealed column is added here and gets a guard; a test walks the schema.
var Inventory = rotation.Inventory{Secrets: []rotation.Secret{
	{Table: "grants", Sealed: "refresh_sealed", Key: "refresh_key", ID: "id", Firm: "firm", As: "refresh"},
	{Table: "grants", Sealed: "access_sealed", Key: "access_key", ID: "id", Firm: "firm", As: "access"},
	{Table: "grants", Sealed: "spare_sealed", Key: "spare_key", ID: "id", Firm: "firm", As: "spare"},
	{Table: "attempts", Sealed: "secrets_sealed", Key: "secrets_key", ID: "id", Firm: "firm", As: "secrets"},
	{Table: "attempts", Sealed: "tokens_sealed", Key: "tokens_key", ID: "id", Firm: "firm", As: "tokens"},
	{Table: "chores", Sealed: "sealed", Key: "sealed_key", ID: "id", Firm: "firm", As: "token"},
}}
