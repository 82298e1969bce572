package record

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
)

// short is the first half of a SHA-256 over an id: enough to tell ids apart, and the same length for every id.
func short(id string) (s [16]byte) {
	sum := sha256.Sum256([]byte(id))
	copy(s[:], sum[:])
	return s
}

const (
	// witnesses is how many ids a sample keeps. It is the same for every size of practice: what matters is how likely it
	// is that all of them left between two listings, and that is no practice.
	witnesses = 32
	// fewest is the size of a sample below which nothing is concluded: in a tiny practice all may have left.
	fewest = 10
)

// Sample tells whether a listing is of the same practice as an earlier one. It keeps the ids with the smallest hashes,
// a choice that depends on the ids alone, and counts how many of the ids kept from the earlier listing come again.
type Sample struct {
	kept    [][16]byte
	earlier [][16]byte
	again   int
}

// NewSample starts a sample. earlier is what String gave at the end of an earlier listing, or "". Text that is not a
// sample counts as none: nothing is concluded from it.
func NewSample(earlier string) *Sample { return &Sample{earlier: parse(earlier)} }

// Add takes the id of a record into account.
func (s *Sample) Add(id string) {
	h := short(id)
	if slices.Contains(s.earlier, h) {
		s.again++
	}
	at, found := slices.BinarySearchFunc(s.kept, h, func(a, b [16]byte) int { return strings.Compare(string(a[:]), string(b[:])) })
	if found || at >= witnesses {
		return
	}
	s.kept = slices.Insert(s.kept, at, h)
	s.kept = s.kept[:min(len(s.kept), witnesses)]
}

// Strange reports, at the end of a complete listing, that it cannot be of the practice the earlier one was of: it has
// records, and none of those kept before is among them.
func (s *Sample) Strange() bool {
	return len(s.earlier) >= fewest && len(s.kept) > 0 && s.again == 0
}

// String returns the sample as text for NewSample.
func (s *Sample) String() string {
	parts := make([]string, len(s.kept))
	for i, h := range s.kept {
		parts[i] = hex.EncodeToString(h[:])
	}
	return strings.Join(parts, " ")
}

func parse(text string) [][16]byte {
	var all [][16]byte
	for _, part := range strings.Fields(text) {
		b, err := hex.DecodeString(part)
		if err != nil || len(b) != 16 {
			return nil
		}
		all = append(all, [16]byte(b))
	}
	return all
}
