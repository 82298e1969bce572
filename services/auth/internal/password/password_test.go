package password

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/argon2"
)

// cheap keeps tests quick; the costs of Current are measured by the benchmark.
var cheap = Params{Memory: 64, Time: 1, Threads: 1}

func TestHashIsPHCWithTodaysCosts(t *testing.T) {
	h := NewHasher(1)
	salt := []byte("0123456789abcdef")
	require.NoError(t, h.Do(context.Background(), func(s *Slot) error {
		text := s.Hash("correct horse", salt)
		require.True(t, strings.HasPrefix(text, "$argon2id$v=19$m=19456,t=2,p=1$"), text)
		parsed, err := parse(text)
		require.NoError(t, err)
		require.Equal(t, argon2.IDKey([]byte("correct horse"), salt, 2, 19456, 1, 32), parsed.key)
		return nil
	}))
}

func TestCheckComparesTheWholePassword(t *testing.T) {
	s := &Slot{params: cheap}
	long := strings.Repeat("x", 100)
	hash := s.Hash(long+"y", NewSalt())
	require.Equal(t, []Result{{Match: true}}, s.Check(long+"y", []string{hash}))
	for _, wrong := range []string{long, long + "Y", long + "y ", ""} {
		require.Equal(t, []Result{{}}, s.Check(wrong, []string{hash}), wrong)
	}
}

func TestCheckTakesEitherWayOfTypingAnAccent(t *testing.T) {
	s := &Slot{params: cheap}
	hash := s.Hash("caf\u00e9 au lait", NewSalt())
	require.True(t, s.Check("cafe\u0301 au lait", []string{hash})[0].Match)
}

func TestCheckAnswersForSeveralAccounts(t *testing.T) {
	s := &Slot{params: cheap}
	salt := NewSalt()
	one, two := s.Hash("first one", salt), s.Hash("second one", salt)
	require.Equal(t, []Result{{}, {Match: true}, {}}, s.Check("second one", []string{one, two, "rubbish"}))
}

func TestOldCostsAreStale(t *testing.T) {
	old := (&Slot{params: Params{Memory: 32, Time: 1, Threads: 1}}).Hash("pass phrase", NewSalt())
	s := &Slot{params: cheap}
	require.Equal(t, []Result{{Match: true, Stale: true}}, s.Check("pass phrase", []string{old}))
	require.Equal(t, []Result{{}}, s.Check("another", []string{old}))
}

func TestAPepperIsNeededToCompare(t *testing.T) {
	bare := &Slot{params: cheap}
	seasoned := &Slot{params: cheap, pepper: Pepper{ID: "p1", Secret: []byte("0123456789abcdef0123456789abcdef")}}
	salt := NewSalt()
	hash, old := seasoned.Hash("pass phrase", salt), bare.Hash("pass phrase", salt)
	require.Contains(t, hash, "$m=64,t=1,p=1,keyid=cDE$")
	require.Equal(t, []Result{{Match: true}, {Match: true, Stale: true}}, seasoned.Check("pass phrase", []string{hash, old}),
		"what was hashed before there was a pepper is hashed anew")
	require.Equal(t, []Result{{}}, seasoned.Check("another", []string{hash}))
	require.Equal(t, []Result{{}}, bare.Check("pass phrase", []string{hash}))
	require.Equal(t, []Result{{}}, bare.Check("pass phrase", []string{strings.Replace(hash, ",keyid=cDE", "", 1)}))
	other := &Slot{params: cheap, pepper: Pepper{ID: "p1", Secret: []byte("another secret of thirty-two byt")}}
	require.Equal(t, []Result{{}}, other.Check("pass phrase", []string{hash}))
	require.Equal(t, hash, seasoned.Rehash("pass phrase", old), "the salt of the address stays")
	_, err := parse(strings.Replace(hash, "cDE", "", 1))
	require.ErrorIs(t, err, errFormat)
}

func TestParseRefusesWhatWouldCostTooMuch(t *testing.T) {
	good := (&Slot{params: cheap}).Hash("x", NewSalt())
	_, err := parse(good)
	require.NoError(t, err)
	for _, change := range [][2]string{
		{"argon2id", "argon2i"}, {"v=19", "v=16"}, {"m=64", "m=999999999"}, {"m=64", "m=-1"}, {"t=1", "t=99"}, {"p=1", "p=0"},
		{"$m=", "$$m="},
	} {
		_, err := parse(strings.Replace(good, change[0], change[1], 1))
		require.ErrorIs(t, err, errFormat, change)
	}
}

func TestOnlySoManyAtOnceAndTheRestIsBusy(t *testing.T) {
	h := NewHasher(2)
	h.wait = 20 * time.Millisecond
	release, entered := make(chan struct{}), make(chan struct{}, 2)
	var running, most atomic.Int32
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			_ = h.Do(context.Background(), func(*Slot) error {
				most.Store(max(most.Load(), running.Add(1)))
				entered <- struct{}{}
				<-release
				running.Add(-1)
				return nil
			})
		})
	}
	<-entered
	<-entered
	require.ErrorIs(t, h.Do(context.Background(), func(*Slot) error { return nil }), ErrBusy)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, h.Do(ctx, func(*Slot) error { return nil }), context.Canceled)
	close(release)
	wg.Wait()
	require.NoError(t, h.Do(context.Background(), func(*Slot) error { return nil }))
	require.EqualValues(t, 2, most.Load())
}

func TestRules(t *testing.T) {
	person := []string{"Jane Citizen", "jane.citizen@harbour-tax.example", "Harbour Tax & Advice"}
	cases := map[string]*Rule{
		"short7!":                  tooShort,
		"ééééééé":                  tooShort, // seven characters, fourteen bytes
		strings.Repeat("ab€", 342): tooLong,
		"tab\tinside it":           notText,
		"bad\xffutf":               notText,
		"password":                 common,
		"Password123!":             common,
		"P@ssw0rd2024":             common,
		"welcome2026":              common,
		"Summer2026!!":             common,
		"let me in!":               common,
		"12345678":                 repeated,
		"87654321":                 repeated,
		"aaaaaaaaaa":               repeated,
		"abcabcabcabc":             repeated,
		"qwertyui":                 repeated,
		"JaneCitizen1":             fromContext,
		"citizen-1987":             fromContext,
		"harbourtax!":              fromContext,
		"concord2026":              fromContext,
		"ramp lunar tightly":       nil,
		"Zw4-hk2-plo9":             nil,
		"пароль из слов":           nil,
		varied(64):                 nil,
		varied(MaxLength):          nil,
		"passwordpassword":         repeated,
		"trustno1trustno1trustno1": repeated,
		"basketball23":             common,
		"Undertaker":               stolen,
		"nuttertools":              stolen,
	}
	for text, want := range cases {
		require.Equal(t, want, Check(text, Beside, person...), "%q", text)
	}
}

// varied is a text of so many characters that repeats nothing.
func varied(n int) string {
	rng, out := rand.New(rand.NewPCG(1, 2)), make([]rune, n)
	for i := range out {
		out[i] = rune('a' + rng.IntN(26))
	}
	return string(out)
}

func TestCommonWordsAreWrittenAsCheckLooksThemUp(t *testing.T) {
	for w := range commonStems {
		require.Equal(t, compact(strings.ToLower(w)), w)
	}
	require.Greater(t, len(commonStems), 400)
}

func BenchmarkBareArgon2id(b *testing.B) {
	salt := NewSalt()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			argon2.IDKey([]byte("ramp lunar tightly"), salt, Current.Time, Current.Memory, Current.Threads, keyLength)
		}
	})
}
