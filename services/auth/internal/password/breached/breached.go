// Package breached knows passwords that were published after thefts and are tried first by whoever guesses.
//
// What it has is no list but the hashes of one, of 20 bits beyond their number, sorted and packed: about 22 bits for each
// password. Every password of the list is found. Of those that are not, one in a million is taken for one that is, which
// costs somebody another idea, and nothing else.
//
// Beside it stands the program that makes the file, generate; its doc says from which lists.
package breached

import (
	_ "embed"
	"strings"

	"golang.org/x/text/unicode/norm"
)

//go:embed passwords.gcs
var packed []byte

// MinLength is the fewest characters of the passwords in the list. Nobody may choose a shorter one.
const MinLength = 8

// OneIn is how many passwords that are not in the list there are to each one that is taken for one of it.
const OneIn = spread

// Contains tells whether a password, the whole of it, is in the list. Case makes no difference. It reads through the
// list, which takes less than a hundredth of what hashing the password takes.
func Contains(password string) bool { return contains(packed, Fold(password)) }

// Entries is how many passwords the list has.
func Entries() int {
	n, _, err := header(packed)
	if err != nil {
		return 0
	}
	return n
}

// Fold is the form in which passwords are listed: NFC, lower case.
func Fold(password string) string { return strings.ToLower(norm.NFC.String(password)) }
