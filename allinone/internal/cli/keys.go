package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"

	"github.com/concord-suite/concord/allinone/internal/node"
	"github.com/concord-suite/concord/platform/boot"
	"github.com/concord-suite/concord/platform/kms"
	"github.com/concord-suite/concord/platform/rotation"
	"github.com/concord-suite/concord/platform/vault"
)

// keys shows and replaces the keys that seal the suite's secrets. It works beside a running suite, which notices by itself.
func (p process) keys(ctx context.Context, args []string) error {
	word, extra, args := words(args)
	var dir, address, to string
	var lose bool
	f := flag.NewFlagSet("keys "+word, flag.ContinueOnError)
	f.StringVar(&dir, "data-dir", "", "the directory that keeps everything")
	registerKMS(f, &address)
	switch word {
	case "wrap":
		f.StringVar(&to, "kms", "", "the key in a KMS that wraps the keyring from now on")
	case "retire":
		f.BoolVar(&lose, "lose", false, "retire old keys even when rows are under them, which are lost")
	}
	wrong, err := p.parse(f, args)
	if err != nil {
		return err
	}
	switch word {
	case "status", "rotate", "retire", "wrap", "unwrap":
	default:
		wrong.add("keys", "needs status, rotate, retire, wrap or unwrap")
	}
	if extra != "" {
		wrong.add("keys "+word, fmt.Sprintf("takes no argument %q", extra))
	}
	if dir == "" {
		wrong.add("--data-dir", "is required, the directory that keeps everything")
	}
	if err := wrong.err(); err != nil {
		return err
	}
	file, err := keyring(ctx, dir, address)
	if err != nil {
		return err
	}
	proc := boot.Process{Stdout: p.out, Stderr: p.err}
	if word == "wrap" || word == "unwrap" {
		return boot.Wrap(ctx, proc, word, file, to, kms.Open)
	}
	return p.rotation(ctx, proc, word, dir, file, lose)
}

// rotation does a command that concerns the rows of every service.
func (p process) rotation(ctx context.Context, proc boot.Process, word, dir string, file vault.File, lose bool) (err error) {
	ring := rotation.Ring{File: file}
	defer func() {
		for _, b := range ring.Books {
			err = errors.Join(err, b.DB.Close())
		}
	}()
	for service, inventory := range node.Inventories() {
		db, err := openDatabase(ctx, dir, service)
		if err != nil {
			return err
		}
		ring.Books = append(ring.Books, rotation.Book{Service: service, DB: db, Inventory: inventory})
	}
	return boot.Rotation(ctx, proc, word, ring, lose)
}

// keyring is the keyring file of a data directory.
func keyring(ctx context.Context, dir, address string) (vault.File, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return vault.File{}, err
	}
	return node.Keyring(ctx, filepath.Join(dir, "keys"), address)
}

// registerKMS adds the flag that names the key in a KMS.
func registerKMS(f *flag.FlagSet, address *string) {
	f.StringVar(address, "keyring-kms", "", "the key in a KMS that wraps the keyring: awskms://, gcpkms://, azurekeyvault:// or hashivault://")
}
