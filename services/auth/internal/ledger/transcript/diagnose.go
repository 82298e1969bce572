package transcript

import (
	"bytes"

	"github.com/concord-suite/concord/services/auth/internal/ledger"
)

// mostRemoved is how many missing entries are looked for when those behind them were numbered anew.
const mostRemoved = 10_000

// diagnose says what happened to an entry that does not fit where it stands. The entry behind it helps: whether that one
// fits the hash that stands here, or the one that should.
func (v *verifier) diagnose(it *item) (*Problem, error) {
	behind, err := v.peek()
	if err != nil {
		return nil, err
	}
	want, e := v.expected(), it.entry
	switch {
	case e.Sequence > want && behind.entry != nil && behind.entry.Sequence < e.Sequence:
		return wrong(it, Swapped, want, "entry %d stands where entry %d should", e.Sequence, want), nil
	case e.Sequence == want+1:
		return wrong(it, Removed, want, "entry %d is missing", want), nil
	case e.Sequence > want:
		return wrong(it, Removed, want, "entries %d to %d are missing", want, e.Sequence-1), nil
	case e.Sequence < want:
		return wrong(it, Inserted, want, "where entry %d should be, another entry %d stands", want, e.Sequence), nil
	}
	chain, readable, unread := v.o.Words(e.Payload)
	switch {
	case unread == nil && chain != v.head.Chain:
		return wrong(it, OtherChain, want, "entry %d was made for the chain %q", want, chain), nil
	case unread != nil, readable != nil && !bytes.Equal(readable, e.Entry):
		return wrong(it, Changed, want, "entry %d was changed", want), nil
	}
	return v.renumbered(it, behind), nil
}

// renumbered looks at an entry that has the number it should and not the hash.
func (v *verifier) renumbered(it, behind *item) *Problem {
	want, e := v.expected(), it.entry
	follows := func(h ledger.Head) bool {
		return behind.entry != nil && bytes.Equal(h.Next(v.head.Chain, behind.entry.Payload).Hash, behind.hash)
	}
	switch {
	case follows(v.at.Next(v.head.Chain, e.Payload)):
		return wrong(it, Changed, want, "the hash of entry %d was changed", want)
	case follows(ledger.Head{Sequence: want, Hash: it.hash}):
		return wrong(it, Changed, want, "entry %d was changed, or the one before it together with its hash", want)
	case follows(v.at) && bytes.Equal(ledger.Head{Sequence: want, Hash: behind.hash}.Next(v.head.Chain, e.Payload).Hash, it.hash):
		return wrong(it, Swapped, want, "entries %d and %d were swapped, and numbered anew", want, want+1)
	case follows(v.at):
		return wrong(it, Inserted, want, "entry %d was inserted, and those behind it were numbered anew", want)
	case behind.entry == nil:
		return wrong(it, Changed, want, "entry %d is not the one that was chained there", want)
	}
	for gone := int64(1); gone <= mostRemoved; gone++ {
		if follows(ledger.Head{Sequence: want + gone, Hash: it.hash}) {
			return wrong(it, Removed, want, "%d entries are missing from entry %d on, and those behind them were numbered anew", gone, want)
		}
	}
	return wrong(it, Changed, want, "entry %d is not the one that was chained there", want)
}
