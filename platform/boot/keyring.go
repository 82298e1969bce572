package boot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/concord-suite/concord/platform/config"
	"github.com/concord-suite/concord/platform/rotation"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/vault"
)

// keys shows and changes the keyring.
func (c command) keys(ctx context.Context, proc Process, p program, s settings) error {
	if s.keyring == nil {
		return errors.New("this service has no keyring")
	}
	file, err := s.keyringFile(ctx, p)
	if err != nil {
		return err
	}
	word := strings.TrimPrefix(c.words, "keys ")
	if c.print {
		err = printed(proc, word, func(proc Process, out io.Writer) error {
			file.Print = out
			return c.changeKeys(ctx, proc, p, s, word, file)
		})
	} else {
		err = c.changeKeys(ctx, proc, p, s, word, file)
	}
	return p.keyringError(err, word != "create")
}

// keyringError names the setting of an error that is about the keyring file itself, and says how the first is made where that
// may be what is missing; another error stays as it is.
func (p program) keyringError(err error, first bool) error {
	if err == nil || !strings.HasPrefix(err.Error(), "vault: ") || errors.Is(err, vault.ErrSealed) {
		return err
	}
	fault := &keyringFault{setting: "keyring_file (" + config.Prefix(p.name) + "KEYRING_FILE): ", error: err}
	if first && errors.Is(err, fs.ErrNotExist) {
		fault.first = "; for a first start make it: concord-" + p.name + " keys create"
	}
	return fault
}

// keyringFault is what is wrong with a keyring file, with the setting that names it.
type keyringFault struct {
	setting, first string
	error
}

// Error implements error.
func (k *keyringFault) Error() string {
	return k.setting + strings.TrimPrefix(k.error.Error(), "vault: ") + k.first
}

// Unwrap returns what package vault said.
func (k *keyringFault) Unwrap() error { return k.error }

// printed does a command with what becomes of the file on stdout, and what it says on stderr.
func printed(proc Process, word string, do func(proc Process, out io.Writer) error) error {
	if !slices.Contains([]string{"add", "promote", "retire", "wrap", "unwrap"}, word) {
		return fmt.Errorf("keys %s makes no new file of the one that is there, so there is nothing to --print", word)
	}
	var file bytes.Buffer
	out := proc.Stdout
	proc.Stdout = proc.Stderr
	if err := do(proc, &file); err != nil {
		return err
	}
	if file.Len() == 0 { // whoever puts it into a Secret must not put nothing there
		return errors.New("there is nothing to print: the file stays as it is")
	}
	_, err := file.WriteTo(out)
	return err
}

func (c command) changeKeys(ctx context.Context, proc Process, p program, s settings, word string, file vault.File) error {
	switch word {
	case "create":
		return file.Create()
	case "wrap", "unwrap":
		return Wrap(ctx, proc, word, file, c.kms, p.openKMS)
	default:
		ring := rotation.Ring{File: file}
		if s.database != nil {
			db, err := sqldb.Open(ctx, s.database.open(2))
			if err != nil {
				return err
			}
			defer db.Close()
			ring.Books = []rotation.Book{{Service: p.name, DB: db, Inventory: p.inventory}}
		}
		return Rotation(ctx, proc, word, ring, c.lose)
	}
}

// Rotation does one of the commands that concern keys and rows (status, add, promote, rotate, retire) and says what it
// did. It works beside running processes.
func Rotation(ctx context.Context, proc Process, word string, ring rotation.Ring, lose bool) (err error) {
	var kept error
	switch word {
	case "status":
		status, err := ring.Status(ctx)
		if err != nil {
			return err
		}
		return status.Print(proc.Stdout)
	case "add":
		if err := ring.Add(); err != nil {
			return err
		}
		fmt.Fprintln(proc.Stdout, "keys were added that only open yet; give every replica the file, then promote")
		return nil
	case "promote":
		if err := ring.Promote(ctx); err != nil {
			return err
		}
		fmt.Fprintln(proc.Stdout, "the new keys seal; give every replica the file, then retire the old ones when status shows no row under them")
		return nil
	case "retire":
		kept, err = ring.Retire(ctx, lose)
	case "rotate":
		screen := rotation.NewScreen(proc.Stdout)
		kept, err = ring.Rotate(ctx, screen.Show)
		screen.End()
	default:
		return fmt.Errorf("there is no command keys %s", word)
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(proc.Stdout, "no row is under an old key, and the old keys that seal are gone")
	if kept != nil {
		fmt.Fprintf(proc.Stdout, "an old key that hashes stays: %s; the next rotate or retire removes it\n",
			strings.TrimPrefix(kept.Error(), rotation.ErrRefused.Error()+": "))
	}
	return nil
}

// Wrap encrypts a keyring file with a key in a KMS, or writes it in plain again.
func Wrap(ctx context.Context, proc Process, word string, file vault.File, url string, open func(context.Context, string) (vault.Keeper, error)) error {
	if word == "unwrap" {
		if err := file.Unwrap(); err != nil {
			return err
		}
		fmt.Fprintln(proc.Stdout, "the keyring file is plain; its permissions protect it")
		return nil
	}
	if url == "" || open == nil {
		return errors.New("say which key in a KMS wraps the file: --kms URL")
	}
	keeper, err := open(ctx, url)
	if err != nil {
		return fmt.Errorf("--kms: %w", err)
	}
	if err := file.Wrap(keeper); err != nil {
		return err
	}
	fmt.Fprintln(proc.Stdout, "the keyring file is wrapped; a start needs keyring_kms, and running processes go on with the keys they have")
	return nil
}
