// Package ledger chains audit entries so that a change shows.
//
// Each firm has a chain, and the installation has one. The hash of an entry covers the chain's name, its place, its bytes
// and the hash before it: nothing can be changed, removed, added in between or moved to another chain without breaking
// every hash after it. What a chain cannot show by itself is that its end was cut off; for that the last hash is kept
// elsewhere as a witness.
package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
)

// Head is the end of a chain: the place and hash of its last entry. The zero value is the head of an empty chain.
type Head struct {
	Sequence int64
	Hash     []byte
}

// Format names the way hashes are made, so that another way could follow one day.
const Format = "concord/ledger/1"

// Next is the head after an entry with these bytes.
func (h Head) Next(chain string, payload []byte) Head {
	sum := sha256.New()
	for _, part := range [][]byte{[]byte(Format), []byte(chain), h.Hash} {
		sum.Write(binary.AppendUvarint(nil, uint64(len(part)))) // lengths in front: no two lists of parts look alike
		sum.Write(part)
	}
	sum.Write(binary.BigEndian.AppendUint64(nil, uint64(h.Sequence+1)))
	content := sha256.Sum256(payload)
	sum.Write(content[:])
	return Head{Sequence: h.Sequence + 1, Hash: sum.Sum(nil)}
}

// Walk checks a chain entry by entry. The zero value with a Chain is at its beginning.
type Walk struct {
	// Chain is the name of the chain.
	Chain string
	// Broken is the place of the first entry that does not fit, 0 as long as all do.
	Broken int64
	// Entries counts what was looked at.
	Entries int64

	head Head
}

// Step checks the next entry: its place, its hash over its bytes, and whatever else the caller found out about it.
func (w *Walk) Step(sequence int64, payload, hash []byte, sound bool) {
	w.Entries++
	if w.Broken != 0 {
		return
	}
	next := w.head.Next(w.Chain, payload)
	if sequence != next.Sequence || !bytes.Equal(hash, next.Hash) || !sound {
		w.Broken = next.Sequence
		return
	}
	w.head = next
}

// End compares the end reached with the head that was kept. A chain that lacks its last entries breaks at the first one
// missing.
func (w *Walk) End(kept Head) Head {
	if w.Broken == 0 && (kept.Sequence != w.head.Sequence || !bytes.Equal(kept.Hash, w.head.Hash)) {
		w.Broken = w.head.Sequence + 1
	}
	return w.head
}
