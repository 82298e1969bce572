package totp

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The key that RFC 4226 counts with; the longer hashes repeat it to their own length.
const rfcKey = "12345678901234567890"

func TestVectorsOfRFC4226(t *testing.T) {
	for counter, want := range []string{
		"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489",
	} {
		require.Equal(t, want, code(sha1.New, []byte(rfcKey), uint64(counter), 6))
	}
}

func TestVectorsOfRFC6238(t *testing.T) {
	key := []byte(strings.Repeat("1234567890", 7)[:64])
	hashes := []struct {
		new  func() hash.Hash
		size int
	}{{sha1.New, 20}, {sha256.New, 32}, {sha512.New, 64}}
	for _, v := range []struct {
		at   int64
		want [3]string
	}{
		{59, [3]string{"94287082", "46119246", "90693936"}},
		{1111111109, [3]string{"07081804", "68084774", "25091201"}},
		{1111111111, [3]string{"14050471", "67062674", "99943326"}},
		{1234567890, [3]string{"89005924", "91819424", "93441116"}},
		{2000000000, [3]string{"69279037", "90698825", "38618901"}},
		{20000000000, [3]string{"65353130", "77737706", "47863826"}},
	} {
		for i, h := range hashes {
			require.Equal(t, v.want[i], code(h.new, key[:h.size], uint64(StepOf(time.Unix(v.at, 0))), 8))
		}
	}
}

// N23: SHA-1, six digits, half a minute, a secret of 160 random bits.
func TestN23_SecretsHave160RandomBits(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		secret := NewSecret()
		require.Len(t, secret, 20)
		require.False(t, seen[string(secret)])
		seen[string(secret)] = true
	}
}

// N25: the code of this half minute and of the one before, by our clock, and no other.
func TestN25_TheCodeOfNowAndTheOneBeforeAreTaken(t *testing.T) {
	secret, now := []byte(rfcKey), time.Unix(1234567890, 0)
	at := func(d time.Duration) string { return Code(secret, StepOf(now.Add(d))) }
	for d, want := range map[time.Duration]bool{0: true, -30 * time.Second: true, 30 * time.Second: false, -60 * time.Second: false} {
		step, ok := Check(secret, at(d), now, 0)
		require.Equal(t, want, ok, d)
		if ok {
			require.Equal(t, StepOf(now.Add(d)), step)
		}
	}
	for _, malformed := range []string{"", "12345", "1234567", "abcdef", "१२३४५६"} {
		_, ok := Check(secret, malformed, now, 0)
		require.False(t, ok, malformed)
	}
}

// N24: no step up to the last one that was accepted is accepted again.
func TestN24_AStepIsTakenOnce(t *testing.T) {
	secret, now := []byte(rfcKey), time.Unix(1234567890, 0)
	step := StepOf(now)
	_, ok := Check(secret, Code(secret, step), now, step)
	require.False(t, ok)
	_, ok = Check(secret, Code(secret, step-1), now, step-1)
	require.False(t, ok)
	got, ok := Check(secret, Code(secret, step), now, step-1)
	require.True(t, ok)
	require.Equal(t, step, got)
}

// N27: the address has no padding, and the secret can be copied as text.
func TestN27_TheAddressIsOneThatProgramsRead(t *testing.T) {
	secret := []byte(rfcKey)
	require.Equal(t, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", Text(secret))
	address := URI(secret, "Concord app.example.com", "ada+x@harbour.example")
	require.Equal(t, "otpauth://totp/Concord%20app.example.com:ada+x@harbour.example?"+
		"secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Concord%20app.example.com&algorithm=SHA1&digits=6&period=30", address)
	u, err := url.Parse(address)
	require.NoError(t, err)
	require.Equal(t, "Concord app.example.com", u.Query().Get("issuer"))
}

func BenchmarkCheck(b *testing.B) {
	secret, now := NewSecret(), time.Unix(1234567890, 0)
	for b.Loop() {
		Check(secret, "000000", now, 0)
	}
}
