package rotation

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestATimeThatIsLeftIsToldInHours(t *testing.T) {
	for left, want := range map[time.Duration]string{
		time.Second:                "1 minutes",
		time.Hour - time.Second:    "60 minutes",
		2*time.Hour - time.Second:  "2 hours",
		24*time.Hour - time.Second: "24 hours",
		24 * time.Hour:             "24 hours and 1 minutes",
		3*time.Hour + time.Minute:  "3 hours and 2 minutes",
	} {
		require.Equal(t, want, inWords(left))
	}
}
