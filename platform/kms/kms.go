// Package kms opens keys that live in a KMS, by URL, for wrapping a keyring file (vault.File).
//
// It links the clients of five KMS, some 15 MB of a program, and stands apart for that: only programs that read a keyring
// import it (see docs/adr/0012-keys.md).
//
//	awskms://alias/concord?region=ap-southeast-2             AWS KMS
//	gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K  Google Cloud KMS
//	azurekeyvault://vault.vault.azure.net/keys/K             Azure Key Vault
//	hashivault://K                                           HashiCorp Vault or OpenBao, its transit engine
//	base64key://...                                          a key in the URL itself, for tests
//
// Credentials come from where each client looks for them: environment, files, the machine's identity.
package kms

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"gocloud.dev/secrets"
	_ "gocloud.dev/secrets/awskms"        // awskms://
	_ "gocloud.dev/secrets/azurekeyvault" // azurekeyvault://
	_ "gocloud.dev/secrets/gcpkms"        // gcpkms://
	_ "gocloud.dev/secrets/hashivault"    // hashivault://
	_ "gocloud.dev/secrets/localsecrets"  // base64key://

	"github.com/concord-suite/concord/platform/vault"
)

// schemes are those of the KMS that can be used.
var schemes = []string{"awskms", "gcpkms", "azurekeyvault", "hashivault", "base64key"}

// Open opens the key that a URL names. It does not call the KMS: that is done when the keyring is read or written. The key
// is held until the process ends. Errors do not repeat the URL, which may hold a secret.
func Open(ctx context.Context, address string) (vault.Keeper, error) {
	scheme, _, _ := strings.Cut(address, "://")
	if !slices.Contains(schemes, scheme) {
		return nil, fmt.Errorf("must begin with one of %s://", strings.Join(schemes, "://, "))
	}
	if _, err := url.Parse(address); err != nil {
		return nil, errors.New("must be a URL")
	}
	keeper, err := secrets.OpenKeeper(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("%s: %s", scheme, strings.ReplaceAll(err.Error(), address, scheme+"://..."))
	}
	return keeper, nil
}
