package factor

import (
	"slices"
	"strings"

	"github.com/concord-suite/concord/services/auth/internal/account"
)

// Kinds is a set of kinds of factor, in the order in which they are offered.
type Kinds []account.Factor

// Has tells whether a kind is in the set.
func (k Kinds) Has(kind account.Factor) bool { return slices.Contains(k, kind) }

// String is the form in which a set is stored: the names of its kinds with spaces between.
func (k Kinds) String() string {
	words := make([]string, len(k))
	for i, kind := range k {
		words[i] = string(kind)
	}
	return strings.Join(words, " ")
}

// ParseKinds reads what String wrote.
func ParseKinds(text string) (k Kinds) {
	for _, word := range strings.Fields(text) {
		k = append(k, account.Factor(word))
	}
	return k
}

// Kinds are the kinds of factor that the PINs of this channel show.
func (c Channel) Kinds() (k Kinds) {
	if c.UsesSMS() {
		k = append(k, account.SMSPIN)
	}
	if c.UsesEmail() {
		k = append(k, account.EmailPIN)
	}
	return k
}
