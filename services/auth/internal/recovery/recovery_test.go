package recovery

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// N30: at least 64 bits of randomness, and only a keyed hash to keep.
func TestN30_CodesHaveEightyBits(t *testing.T) {
	key, seen := NewKey(), map[string]bool{}
	for range 1000 {
		code := NewCode()
		require.Regexp(t, `^([0-9a-hjkmnp-tv-z]{4}-){3}[0-9a-hjkmnp-tv-z]{4}$`, code)
		require.False(t, seen[code])
		seen[code] = true
		require.NotEqual(t, MAC(key, code), MAC(NewKey(), code), "the hash is keyed")
	}
}

func TestCodesAreReadAsPeopleTypeThem(t *testing.T) {
	key := NewKey()
	const code = "0a1b-2c3d-4e5f-6g7h"
	for _, typed := range []string{
		code, strings.ToUpper(code), "0a1b2c3d4e5f6g7h", " oaib 2c3d 4e5f 6g7h ", "OALB-2C3D-4E5F-6G7H", "0a1b–2c3d–4e5f–6g7h",
	} {
		require.Equal(t, MAC(key, code), MAC(key, typed), typed)
	}
	require.NotEqual(t, MAC(key, code), MAC(key, "0a1b-2c3d-4e5f-6g7j"))
}

func FuzzMAC(f *testing.F) {
	key := NewKey()
	f.Add(NewCode())
	f.Add("–\xff\x00 oO")
	f.Fuzz(func(t *testing.T, typed string) { require.Len(t, MAC(key, typed), 32) })
}
