package breached

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEveryPasswordOfAListIsFound(t *testing.T) {
	for _, n := range []int{1, 2, 7, 1000} {
		var words []string
		for i := range n {
			words = append(words, fmt.Sprintf("password number %d", i), fmt.Sprintf("password number %d", i))
		}
		list := Pack(words)
		count, _, err := header(list)
		require.NoError(t, err)
		require.Equal(t, n, count, "each once")
		for _, w := range words {
			require.True(t, contains(list, w), w)
		}
		require.False(t, contains(list, "password number 1000"))
	}
	require.False(t, contains(Pack(nil), "anything"))
}

func TestADamagedListFindsNothingAndEnds(t *testing.T) {
	list := Pack([]string{"one word", "another word", "a third word"})
	for i := range list {
		_ = contains(list[:i], "another word")
	}
	for _, bad := range [][]byte{nil, []byte("gcs1"), []byte("gcs2\x00\x00\x00\x01\x00\x00"), []byte("gcs1\xff\xff\xff\xff\xff\xff")} {
		require.False(t, contains(bad, "one word"))
	}
}

// The list that is shipped: of the passwords that everybody has heard of, and not of others.
func TestTheListThatIsShipped(t *testing.T) {
	require.Greater(t, Entries(), 5*3000, "the standard asks for 3,000 that could be chosen (ASVS 6.2.4)")
	require.Less(t, len(packed)*8, Entries()*23, "bits for each password")
	for _, w := range []string{"password", "12345678", "qwertyuiop", "Iloveyou", "TRUSTNO1", "starwars", "1q2w3e4r", "football", "mypassword"} {
		require.True(t, Contains(w), w)
	}
	for _, w := range []string{"ramp lunar tightly", "Zw4-hk2-plo9", "correcthorsebatterystaplf", "пароль из слов"} {
		require.False(t, Contains(w), w)
	}
	r := reader{buf: packed[headerSize:]}
	for range Entries() {
		r.next()
	}
	require.False(t, r.over)
	require.Empty(t, r.buf, "nothing behind the last one")
}

func TestFewOthersAreTakenForOnesOfTheList(t *testing.T) {
	words := make([]string, 100)
	for i := range words {
		words[i] = fmt.Sprint("listed ", i)
	}
	list := Pack(words)
	rng, wrong := rand.New(rand.NewPCG(1, 2)), 0
	const tries = 200_000
	for range tries {
		if contains(list, fmt.Sprintf("%x%x", rng.Uint64(), rng.Uint64())) {
			wrong++
		}
	}
	// One in a million is expected: 0.2 of these. Five would be one chance in 400,000.
	require.Less(t, wrong, 5)
	require.GreaterOrEqual(t, OneIn, 1_000_000)
}

func BenchmarkContains(b *testing.B) {
	for b.Loop() {
		Contains("ramp lunar tightly")
	}
}
