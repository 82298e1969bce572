package match

import (
	"fmt"
	"strings"

	"github.com/concord-suite/concord/services/sync/internal/client"
)

// The weights. One strong fact that nothing contradicts makes a suggestion (Plausible); an e-mail address or a birth
// date alone does not, since families and their companies share them; numbers that differ outweigh a shared name or code.
const (
	sameName    = 40
	sameCode    = 40
	sameNumber  = 60 // business number (ABN, NZBN) or company number (ACN, NZCN)
	sameBirth   = 25
	sameEmail   = 20
	otherNumber = -80
	otherBirth  = -80
	otherPerson = -30 // an individual on one side, a company or trust on the other
	otherName   = 0   // said, not counted: clients are renamed, and one code rarely stands for two of them

	// Plausible is the least score of a suggestion.
	Plausible = 40
)

// Candidate is an existing client that a record may be.
type Candidate struct {
	Client string
	Fields client.Fields
	// Left is true when the client was off-boarded.
	Left bool
}

// Suggestion is the best candidate with the evidence, in sentences.
type Suggestion struct {
	Client   string
	Score    int
	Evidence []string
}

// Best returns the candidate that scores highest, and false when none is plausible. Of two that score alike the one
// still in the client list is taken, then the first; the evidence says that there are others.
func Best(record client.Fields, candidates []Candidate) (Suggestion, bool) {
	var best Suggestion
	var bestLeft bool
	others := 0
	for _, c := range candidates {
		score, evidence := Score(record, c.Fields)
		if score < Plausible {
			continue
		}
		if c.Left {
			evidence = append(evidence, "this client left the client list before")
		}
		if best.Client != "" {
			others++
			if score < best.Score || score == best.Score && (c.Left || !bestLeft) {
				continue
			}
		}
		best, bestLeft = Suggestion{Client: c.Client, Score: score, Evidence: evidence}, c.Left
	}
	switch {
	case best.Client == "":
		return best, false
	case others == 1:
		best.Evidence = append(best.Evidence, "one more client fits as well")
	case others > 1:
		best.Evidence = append(best.Evidence, fmt.Sprintf("%d more clients fit as well", others))
	}
	return best, true
}

// Score weighs what a record and a client have in common, and says it in words.
func Score(a, b client.Fields) (int, []string) {
	score := 0
	var words []string
	count := func(weight int, format string, args ...any) {
		score += weight
		words = append(words, fmt.Sprintf(format, args...))
	}
	switch ka, kb := KeysOf(a), KeysOf(b); {
	case ka.Name != "" && ka.Name == kb.Name:
		count(sameName, "same name %q", b.Name)
	case ka.Name != "" && kb.Name != "":
		count(otherName, "another name: %q here, %q there", b.Name, a.Name)
	}
	if k := CodeKey(a.Code); k != "" && k == CodeKey(b.Code) {
		count(sameCode, "same client code %s", b.Code)
	}
	compare(digits(a.BusinessNumber), digits(b.BusinessNumber), sameNumber, otherNumber, "business number", count)
	compare(digits(a.CompanyNumber), digits(b.CompanyNumber), sameNumber, otherNumber, "company number", count)
	compare(day(a.BirthDate), day(b.BirthDate), sameBirth, otherBirth, "birth date", count)
	if a.Email != "" && strings.EqualFold(a.Email, b.Email) {
		count(sameEmail, "same e-mail address %s", b.Email)
	}
	if a.EntityType != "" && b.EntityType != "" && individual(a) != individual(b) {
		count(otherPerson, "%s here, %s there", b.EntityType, a.EntityType)
	}
	return score, words
}

func compare(a, b string, same, other int, what string, count func(int, string, ...any)) {
	switch {
	case a == "" || b == "":
	case a == b:
		count(same, "same %s %s", what, b)
	default:
		count(other, "another %s: %s here, %s there", what, b, a)
	}
}

// day is the date of a birth date that may carry a time.
func day(s string) string { return s[:min(len(s), len("2006-01-02"))] }

func individual(f client.Fields) bool { return strings.EqualFold(f.EntityType, "individual") }
