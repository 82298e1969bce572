package node

import (
	"context"
	"fmt"
	"iter"
	"path/filepath"

	"github.com/concord-suite/concord/platform/kms"
	"github.com/concord-suite/concord/platform/rotation"
	"github.com/concord-suite/concord/platform/vault"
)

// Keyring is the keyring file in the folder keys of a data directory. The address names the key in a KMS that wraps it;
// empty for a plain file.
func Keyring(ctx context.Context, keys, address string) (vault.File, error) {
	file := vault.File{Path: filepath.Join(keys, "keyring.json")}
	if address == "" {
		return file, nil
	}
	keeper, err := kms.Open(ctx, address)
	if err != nil {
		return file, fmt.Errorf("--keyring-kms: %w", err)
	}
	file.KMS = keeper
	return file, nil
}

// Inventories are what each service keeps under the keyring, by its name.
func Inventories() iter.Seq2[string, rotation.Inventory] {
	return func(yield func(string, rotation.Inventory) bool) {
		for _, p := range parts {
			if p.inventory != nil && !yield(p.name, *p.inventory) {
				return
			}
		}
	}
}
