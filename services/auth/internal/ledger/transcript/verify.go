package transcript

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"time"

	"github.com/concord-suite/concord/services/auth/internal/ledger"
)

// Kind says in a word what is wrong with a transcript.
type Kind string

// The kinds.
const (
	// Malformed: not a transcript, or of a form that this release does not know.
	Malformed Kind = "malformed"
	// Changed: an entry, or what people read of it, is another than the one that was chained.
	Changed Kind = "changed"
	// Removed: entries are missing.
	Removed Kind = "removed"
	// Inserted: something stands where nothing stood.
	Inserted Kind = "inserted"
	// Swapped: entries are in another order.
	Swapped Kind = "swapped"
	// Truncated: the end is missing.
	Truncated Kind = "truncated"
	// OtherChain: an entry, or all of it, belongs to another chain.
	OtherChain Kind = "other chain"
	// WrongTrailer: the signed end is not that of what stands before it, or not signed by whom it should be.
	WrongTrailer Kind = "wrong trailer"
)

// Problem is the first thing that is wrong.
type Problem struct {
	Kind Kind
	// Sequence is the place in the chain of the first entry that is not as it was, 0 when it is not about an entry.
	Sequence int64
	// Line is the line of the file, from 1.
	Line int64
	// Text says it in words.
	Text string
}

// Report is what was found out about a transcript.
type Report struct {
	Chain string
	// First and Last are the places of the first and last entry that were found in order, Entries how many that are.
	First, Last, Entries int64
	// Hash is the hash of the last of them, hex.
	Hash string
	// KeyID names the key that signed; empty before the signed end was reached.
	KeyID   string
	Created time.Time
	// Unreadable counts entries of a later release, whose bytes are in order and whose words could not be compared.
	Unreadable int64
	// Problem is nil when all is as it was signed.
	Problem *Problem
}

// Options says what to expect.
type Options struct {
	// Words reads an entry's bytes: the chain it was made for, and what people read of it, nil when that cannot be said.
	Words func(payload []byte) (chain string, readable json.RawMessage, err error)
	// Chain is the chain the transcript must be of, unless AnyChain is set.
	Chain    string
	AnyChain bool
	// Key is the id of the key that must have signed; empty for any in the file.
	Key string
}

// chainName is what a chain may be called: ids have this form. Names are shown to people on screens that a file must not
// write to in any other way.
var chainName = regexp.MustCompile(`^[A-Za-z0-9._-]{0,64}$`)

// Verify checks a transcript from its first line to its last. It holds two lines in memory at a time. An error means that
// the file could not be read; what is wrong with it is in the report.
func Verify(r io.Reader, o Options) (Report, error) {
	v := &verifier{o: o, in: newReader(r)}
	problem, err := v.run()
	v.report.Problem = problem
	return v.report, err
}

type verifier struct {
	o      Options
	in     *reader
	head   Header
	at     ledger.Head
	report Report
	ahead  *item // a line that was looked at before its turn
}

func (v *verifier) run() (*Problem, error) {
	if problem, err := v.begin(); problem != nil || err != nil {
		return problem, err
	}
	for {
		it, err := v.next()
		if err != nil {
			return nil, err
		}
		switch {
		case it.end:
			return wrong(it, Truncated, v.expected(), "the file ends after entry %d, without its signed end", v.at.Sequence), nil
		case it.last != nil:
			return v.finish(it)
		}
		problem, err := v.entry(it)
		if problem != nil || err != nil {
			return problem, err
		}
	}
}

func wrong(it *item, kind Kind, sequence int64, text string, args ...any) *Problem {
	return &Problem{Kind: kind, Sequence: sequence, Line: it.number, Text: fmt.Sprintf(text, args...)}
}

// expected is the place of the entry that comes next.
func (v *verifier) expected() int64 { return v.at.Sequence + 1 }

// begin reads the first line.
func (v *verifier) begin() (*Problem, error) {
	it, err := v.in.read()
	if err != nil {
		return nil, err
	}
	if it.end || strict(it.text, &v.head) != nil {
		return wrong(it, Malformed, 0, "the first line is not that of a transcript"), nil
	}
	if v.head.Format != Format || v.head.Hashes != ledger.Format {
		return wrong(it, Malformed, 0, "the transcript is of the form %q with hashes %q; this program knows %q with %q",
			v.head.Format, v.head.Hashes, Format, ledger.Format), nil
	}
	previous, broken := hex.DecodeString(v.head.Previous)
	if broken != nil || v.head.First < 1 || (v.head.First == 1) != (len(previous) == 0) {
		return wrong(it, Malformed, 0, "the first line does not say where the transcript begins"), nil
	}
	if !chainName.MatchString(v.head.Chain) {
		return wrong(it, Malformed, 0, "the first line does not say whose transcript it is"), nil
	}
	v.report.Chain, v.report.First, v.report.Last, v.report.Hash = v.head.Chain, v.head.First, v.head.First-1, v.head.Previous
	if !v.o.AnyChain && v.head.Chain != v.o.Chain {
		return wrong(it, OtherChain, 0, "the transcript is of the chain %q, not of %q", v.head.Chain, v.o.Chain), nil
	}
	if v.at.Sequence = v.head.First - 1; v.at.Sequence > 0 {
		v.at.Hash = previous
	}
	return nil, nil
}

// next is the next line, also when it was looked at already.
func (v *verifier) next() (*item, error) {
	if it := v.ahead; it != nil {
		v.ahead = nil
		return it, nil
	}
	return v.in.read()
}

func (v *verifier) peek() (it *item, err error) {
	if v.ahead == nil {
		v.ahead, err = v.in.read()
	}
	return v.ahead, err
}

// entry checks the next entry.
func (v *verifier) entry(it *item) (*Problem, error) {
	want := v.expected()
	if it.entry == nil {
		return wrong(it, Changed, want, "line %d, where entry %d should be, is no entry", it.number, want), nil
	}
	e := it.entry
	next := v.at.Next(v.head.Chain, e.Payload)
	if e.Sequence != want || !bytes.Equal(it.hash, next.Hash) {
		return v.diagnose(it)
	}
	chain, readable, unread := v.o.Words(e.Payload)
	switch {
	case unread != nil:
		return wrong(it, Changed, want, "entry %d is in its place, and nothing that a ledger holds", want), nil
	case chain != v.head.Chain:
		return wrong(it, OtherChain, want, "entry %d was made for the chain %q", want, chain), nil
	case readable == nil:
		v.report.Unreadable++
	case !bytes.Equal(readable, e.Entry):
		return wrong(it, Changed, want, "what people read of entry %d is not what was chained", want), nil
	}
	v.at = next
	v.report.Last, v.report.Hash = next.Sequence, hex.EncodeToString(next.Hash)
	v.report.Entries++
	return nil, nil
}
