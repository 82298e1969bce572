package account

import (
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

var e164 = regexp.MustCompile(`^\+(61|64)[0-9]{6,13}$`)

// What is taken for a mobile is a number of the countries given, in the one form that is stored; everything else is
// refused by name.
func FuzzNormalizeMobile(f *testing.F) {
	for _, seed := range []string{"+61 491 570 156", "+64 21 123 4567", "+61491570156;ext=1", "+٦١٤٩١٥٧٠١٥٦", "+1 900 555 0100", "0491570156", "+\x00"} {
		f.Add(seed)
	}
	countries := []string{"AU", "NZ"}
	f.Fuzz(func(t *testing.T, text string) {
		mobile, err := NormalizeMobile(text, countries)
		if err != nil {
			require.True(t, slices.Contains([]error{ErrMobile, ErrCountry}, err), "%v", err)
			return
		}
		require.Regexp(t, e164, mobile)
		again, err := NormalizeMobile(mobile, countries)
		require.NoError(t, err)
		require.Equal(t, mobile, again)
		require.NotContains(t, MaskMobile(mobile), mobile[3:9])
	})
}
