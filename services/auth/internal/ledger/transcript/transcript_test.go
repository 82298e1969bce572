package transcript

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/services/auth/internal/ledger"
)

const firm = "0198c0de-0000-7000-8000-000000000001"

var (
	key   = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	other = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{8}, ed25519.SeedSize))
	begun = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
)

// words reads the entries of these tests: "chain|text".
func words(payload []byte) (string, json.RawMessage, error) {
	chain, text, ok := strings.Cut(string(payload), "|")
	if !ok {
		return "", nil, errors.New("no entry")
	}
	if text == "later" {
		return chain, nil, nil
	}
	readable, err := json.Marshal(map[string]string{"text": text})
	return chain, readable, err
}

// write writes a transcript of n entries from a place on, changed on the way by edit, and returns its lines.
func write(t testing.TB, chain string, from, n int, signer ed25519.PrivateKey) []string {
	t.Helper()
	var head ledger.Head
	for head.Sequence < int64(from-1) {
		head = head.Next(chain, payload(chain, head.Sequence+1))
	}
	keys, err := KeySet(signer.Public().(ed25519.PublicKey))
	require.NoError(t, err)
	var out bytes.Buffer
	w, err := NewWriter(&out, Header{
		Chain: chain, First: int64(from), Previous: fmt.Sprintf("%x", head.Hash), Created: begun, Program: "test", Keys: keys,
	})
	require.NoError(t, err)
	for range n {
		p := payload(chain, head.Sequence+1)
		head = head.Next(chain, p)
		_, readable, err := words(p)
		require.NoError(t, err)
		require.NoError(t, w.Entry(head.Sequence, readable, p, head.Hash))
	}
	require.NoError(t, w.Close(signer, begun))
	return strings.SplitAfter(strings.TrimSuffix(out.String(), "\n"), "\n")
}

func payload(chain string, n int64) []byte { return fmt.Appendf(nil, "%s|entry %d <of>", chain, n) }

// check verifies lines of a file.
func check(t testing.TB, o Options, lines ...string) Report {
	t.Helper()
	o.Words = words
	text := strings.Join(lines, "")
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	report, err := Verify(strings.NewReader(text), o)
	require.NoError(t, err)
	return report
}

func TestATranscriptIsAsItWasSigned(t *testing.T) {
	for _, c := range []struct{ from, n int }{{1, 0}, {1, 1}, {1, 6}, {4, 3}, {7, 0}} {
		r := check(t, Options{Chain: firm, Key: KeyID(publicOf(key))}, write(t, firm, c.from, c.n, key)...)
		require.Nil(t, r.Problem, "%+v", r.Problem)
		require.EqualValues(t, c.n, r.Entries)
		require.EqualValues(t, c.from, r.First)
		require.EqualValues(t, c.from+c.n-1, r.Last)
		require.Equal(t, KeyID(publicOf(key)), r.KeyID)
	}
	r := check(t, Options{Chain: ""}, write(t, "", 1, 2, key)...)
	require.Nil(t, r.Problem, "the chain outside every firm")
}

// swap, edit and so on are what somebody does to a file: line 0 is the header, line n the entry n.
func TestWhatWasDoneToATranscriptIsNamed(t *testing.T) {
	swap := func(a, b int) func([]string) []string {
		return func(l []string) []string { l[a], l[b] = l[b], l[a]; return l }
	}
	edit := func(n int, from, to string) func([]string) []string {
		return func(l []string) []string {
			require.Contains(t, l[n], from)
			l[n] = strings.Replace(l[n], from, to, 1)
			return l
		}
	}
	cut := func(from, to int) func([]string) []string {
		return func(l []string) []string { return append(l[:from:from], l[to:]...) }
	}
	insert := func(at int, line string) func([]string) []string {
		return func(l []string) []string { return append(append(append([]string{}, l[:at]...), line), l[at:]...) }
	}
	number := func(lines []string, from, by int) []string { // numbers entries anew
		for i := from; i < len(lines)-1; i++ {
			lines[i] = strings.Replace(lines[i], fmt.Sprintf(`"sequence":%d,`, i-by), fmt.Sprintf(`"sequence":%d,`, i), 1)
		}
		return lines
	}
	foreign := write(t, "0198c0de-0000-7000-8000-000000000002", 1, 6, key)
	longer, shorter := write(t, firm, 1, 7, key), write(t, firm, 1, 5, key)
	for name, c := range map[string]struct {
		do   func([]string) []string
		kind Kind
		at   int64
	}{
		"words changed":    {edit(3, "entry 3", "entry 9"), Changed, 3},
		"words taken away": {edit(3, `"entry":{"text":"entry 3 \u003cof\u003e"},`, ""), Changed, 3},
		"bytes changed":    {edit(3, `"payload":"M`, `"payload":"N`), OtherChain, 3},
		"hash changed":     {edit(3, `"hash":"`, `"hash":"00`), Changed, 3},
		"a hash of another": {func(l []string) []string {
			h := hashOf(l[5])
			l[3] = strings.Replace(l[3], hashOf(l[3]), h, 1)
			return l
		}, Changed, 3},
		"changed and rehashed":     {rehashed(3), Changed, 4},
		"changed, the hash left":   {forged(3), Changed, 3},
		"a second word":            {edit(3, `"entry":{`, `"entry":{"text":"first",`), Changed, 3},
		"a blank":                  {edit(3, `{"sequence"`, `{ "sequence"`), Changed, 3},
		"a word of its own":        {edit(3, `{"sequence"`, `{"note":"x","sequence"`), Changed, 3},
		"no JSON":                  {edit(3, `{"sequence"`, `"sequence"`), Changed, 3},
		"an empty line":            {insert(3, "\n"), Changed, 3},
		"one removed":              {cut(3, 4), Removed, 3},
		"three removed":            {cut(2, 5), Removed, 2},
		"the first removed":        {cut(1, 2), Removed, 1},
		"removed and renumbered":   {func(l []string) []string { return number(cut(3, 4)(l), 3, -1) }, Removed, 3},
		"two gone and renumbered":  {func(l []string) []string { return number(cut(2, 4)(l), 2, -2) }, Removed, 2},
		"one twice":                {func(l []string) []string { return insert(4, l[3])(l) }, Inserted, 4},
		"inserted and renumbered":  {func(l []string) []string { return number(insert(3, forged(2)(write(t, firm, 1, 6, key))[2])(l), 3, 1) }, Inserted, 3},
		"neighbours swapped":       {swap(3, 4), Swapped, 3},
		"far ones swapped":         {swap(2, 5), Swapped, 2},
		"swapped and renumbered":   {func(l []string) []string { return swapNumbers(swap(3, 4)(l), 3, 4) }, Swapped, 3},
		"last ones removed":        {cut(5, 7), Truncated, 5},
		"all removed":              {cut(1, 7), Truncated, 1},
		"no end":                   {cut(7, 8), Truncated, 7},
		"cut in the middle":        {func(l []string) []string { return append(l[:4:4], l[4][:20]) }, Changed, 4},
		"an entry of another firm": {func(l []string) []string { l[3] = foreign[3]; return l }, OtherChain, 3},
		"another firm's":           {func([]string) []string { return foreign }, OtherChain, 0},
		"named as another's":       {edit(0, firm, "0198c0de-0000-7000-8000-000000000003"), OtherChain, 0},
		"entries of another firm":  {func(l []string) []string { return append(append(l[:1:1], foreign[1:7]...), l[7]) }, OtherChain, 1},
		"the end of a longer":      {func(l []string) []string { l[7] = longer[8]; return l }, Truncated, 7},
		"the end of a shorter":     {func(l []string) []string { l[7] = shorter[6]; return l }, Inserted, 6},
		"the end of another firm":  {func(l []string) []string { l[7] = foreign[7]; return l }, WrongTrailer, 0},
		"the end of a later part":  {func(l []string) []string { l[7] = write(t, firm, 3, 4, key)[5]; return l }, WrongTrailer, 0},
		"the end changed":          {edit(7, `"entries":6`, `"entries":7`), WrongTrailer, 0},
		"the signature changed":    {edit(7, `"signature":"e`, `"signature":"f`), WrongTrailer, 0},
		"another key's signature":  {func(l []string) []string { l[7] = write(t, firm, 1, 6, other)[7]; return l }, WrongTrailer, 0},
		"signed by another":        {func([]string) []string { return write(t, firm, 1, 6, other) }, WrongTrailer, 0},
		"another key of that name": {rekeyed, WrongTrailer, 0},
		"the first line changed":   {edit(0, `"program":"test"`, `"program":"tess"`), WrongTrailer, 0},
		"another hash before": {func(l []string) []string {
			return edit(0, hashBefore(write(t, firm, 3, 4, key)[0]), strings.Repeat("ab", 32))(write(t, firm, 3, 4, key))
		}, Changed, 3},
		"something behind":         {func(l []string) []string { return append(l, "\n", "more\n") }, Inserted, 0},
		"two files":                {func(l []string) []string { return append(append(l, "\n"), write(t, firm, 1, 6, key)...) }, Inserted, 0},
		"another form":             {edit(0, Format, "concord/transcript/2"), Malformed, 0},
		"no first line":            {cut(0, 1), Malformed, 0},
		"nothing":                  {func([]string) []string { return nil }, Malformed, 0},
		"a place before the first": {edit(0, `"first_sequence":1`, `"first_sequence":0`), Malformed, 0},
	} {
		t.Run(name, func(t *testing.T) {
			lines := write(t, firm, 1, 6, key)
			r := check(t, Options{Chain: firm, Key: KeyID(publicOf(key))}, c.do(lines)...)
			require.NotNil(t, r.Problem)
			require.Equal(t, c.kind, r.Problem.Kind, r.Problem.Text)
			require.Equal(t, c.at, r.Problem.Sequence, r.Problem.Text)
			require.NotEmpty(t, r.Problem.Text)
			require.Positive(t, r.Problem.Line)
		})
	}
}

func hashOf(line string) string     { return line[strings.Index(line, `"hash":"`)+8:][:64] }
func hashBefore(line string) string { return line[strings.Index(line, `"previous_hash":"`)+17:][:64] }

// forge changes an entry's bytes and words; then its hash stays, or fits.
func forge(l []string, n int, rehash bool) []string {
	var e line
	if json.Unmarshal([]byte(l[n]), &e) != nil {
		panic("no entry")
	}
	e.Payload = []byte(firm + "|forged")
	_, e.Entry, _ = words(e.Payload)
	if rehash {
		before := ledger.Head{}
		for i := int64(1); i < int64(n); i++ {
			before = before.Next(firm, payload(firm, i))
		}
		e.Hash = fmt.Sprintf("%x", before.Next(firm, e.Payload).Hash)
	}
	text, _ := json.Marshal(e)
	l[n] = string(text) + "\n"
	return l
}

func forged(n int) func([]string) []string {
	return func(l []string) []string { return forge(l, n, false) }
}
func rehashed(n int) func([]string) []string {
	return func(l []string) []string { return forge(l, n, true) }
}

func swapNumbers(l []string, a, b int) []string {
	l[a] = strings.Replace(l[a], fmt.Sprintf(`"sequence":%d,`, b), fmt.Sprintf(`"sequence":%d,`, a), 1)
	l[b] = strings.Replace(l[b], fmt.Sprintf(`"sequence":%d,`, a), fmt.Sprintf(`"sequence":%d,`, b), 1)
	return l
}

// rekeyed is signed by another key that calls itself by the name of the right one.
func rekeyed(l []string) []string {
	var h Header
	_ = json.Unmarshal([]byte(l[0]), &h)
	set, _ := KeySet(publicOf(other))
	h.Keys = json.RawMessage(strings.ReplaceAll(string(set), KeyID(publicOf(other)), KeyID(publicOf(key))))
	text, _ := json.Marshal(h)
	l[0] = string(text) + "\n"
	return l
}

// Without the id of the key, a file proves that it is whole; who signed it is said.
func TestAnyKeyIsToldByItsID(t *testing.T) {
	r := check(t, Options{AnyChain: true}, write(t, firm, 1, 3, other)...)
	require.Nil(t, r.Problem)
	require.Equal(t, KeyID(publicOf(other)), r.KeyID)
	require.Equal(t, firm, r.Chain)
}

// An entry of a later release, which says more than this one can read, does not break the chain.
func TestEntriesOfALaterRelease(t *testing.T) {
	var out bytes.Buffer
	keys, _ := KeySet(publicOf(key))
	w, err := NewWriter(&out, Header{Chain: firm, First: 1, Created: begun, Keys: keys})
	require.NoError(t, err)
	p := []byte(firm + "|later")
	require.NoError(t, w.Entry(1, json.RawMessage(`{"text":"what nobody knows here"}`), p, ledger.Head{}.Next(firm, p).Hash))
	require.NoError(t, w.Close(key, begun))
	r := check(t, Options{Chain: firm}, out.String())
	require.Nil(t, r.Problem)
	require.EqualValues(t, 1, r.Unreadable)
}

// A file of any size, with lines of any length, takes no more memory than two lines.
func TestALineWithoutEnd(t *testing.T) {
	head := write(t, firm, 1, 1, key)[0]
	zeros := io.LimitReader(forever('x'), 64<<20)
	r, err := Verify(io.MultiReader(strings.NewReader(head), zeros), Options{Words: words, Chain: firm})
	require.NoError(t, err)
	require.Equal(t, Changed, r.Problem.Kind)
	left, err := io.Copy(io.Discard, zeros)
	require.NoError(t, err)
	require.Greater(t, left, int64(60<<20), "it is not read to its end")

	broken := errors.New("the disk")
	_, err = Verify(io.MultiReader(strings.NewReader(head), failing{broken}), Options{Words: words, Chain: firm})
	require.ErrorIs(t, err, broken)
}

type forever byte

// Read implements io.Reader.
func (f forever) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(f)
	}
	return len(p), nil
}

type failing struct{ error }

// Read implements io.Reader.
func (f failing) Read([]byte) (int, error) { return 0, f.error }

// FuzzVerify: whatever a file holds, checking it ends with a finding, and no file but one that was written here passes.
func FuzzVerify(f *testing.F) {
	good := strings.Join(write(f, firm, 1, 4, key), "") + "\n"
	f.Add([]byte(good))
	f.Add([]byte(strings.Join(write(f, firm, 3, 2, key), "") + "\n"))
	f.Add([]byte(good[:len(good)/2]))
	f.Add([]byte(strings.ReplaceAll(good, `"sequence":2`, `"sequence":3`)))
	known := map[string]bool{good: true, strings.Join(write(f, firm, 3, 2, key), "") + "\n": true}
	f.Fuzz(func(t *testing.T, file []byte) {
		r, err := Verify(bytes.NewReader(file), Options{Words: words, Chain: firm, Key: KeyID(publicOf(key))})
		require.NoError(t, err)
		if r.Problem == nil {
			require.True(t, known[string(file)], "%q", file)
			return
		}
		require.NotEmpty(t, r.Problem.Kind)
		require.NotEmpty(t, r.Problem.Text)
	})
}

// What is told of a file goes to somebody's screen, below which the file must not write: neither lines of its own nor what
// turns a terminal.
func TestAFileSaysNothingOfItsOwnOnTheScreen(t *testing.T) {
	const spoof = "0198c0de-0000-7000-8000-000000000001, entries 1 to 9\nsigned by the key that you trust\x1b[8m"
	r := check(t, Options{AnyChain: true}, write(t, spoof, 1, 1, key)...)
	require.NotNil(t, r.Problem)
	require.Equal(t, Malformed, r.Problem.Kind)
	require.NotContains(t, r.Chain+r.Problem.Text, "\n")
	require.NotContains(t, r.Chain+r.Problem.Text, "\x1b")

	head := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"EdDSA","kid":"x\u001b[2J\nwhole","typ":"concord-transcript"}`))
	for _, o := range []Options{{AnyChain: true}, {AnyChain: true, Key: KeyID(publicOf(key))}} {
		lines := write(t, firm, 1, 1, key)
		before, after, _ := strings.Cut(lines[2], `"signature":"`)
		_, signature, _ := strings.Cut(after, ".")
		lines[2] = before + `"signature":"` + head + "." + signature
		r = check(t, o, lines...)
		require.NotNil(t, r.Problem)
		require.Equal(t, WrongTrailer, r.Problem.Kind)
		require.NotContains(t, r.Problem.Text+r.KeyID, "\x1b")
		require.NotContains(t, r.Problem.Text+r.KeyID, "\n")
	}
	lines := write(t, "0198c0de-0000-7000-8000-000000000002", 1, 1, key)
	own := write(t, firm, 1, 1, key)
	own[2] = lines[2]
	r = check(t, Options{AnyChain: true}, own...)
	require.NotContains(t, r.Problem.Text, "\n")
}
