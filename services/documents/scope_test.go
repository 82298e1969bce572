package documents_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/services/documents"
)

// A lag that stays a little above its bound, as of a consumer that never quite catches up, is not waited for without end.
func TestALagThatStaysIsNotWaitedFor(t *testing.T) {
	const bound = 2 * time.Second
	looks := 0
	err := documents.Heard(t.Context(), bound, func(context.Context) (time.Duration, error) {
		looks++
		return bound + bound/4, t.Context().Err()
	})
	require.ErrorContains(t, err, "last heard 2.5s ago")
	require.LessOrEqual(t, looks, 5, "a look is a query: four in the second, and the first")
}

func TestALagIsWaitedForWhileItMayPass(t *testing.T) {
	const bound = time.Minute
	for name, c := range map[string]struct {
		lags  []time.Duration
		looks int
		fails bool
	}{
		"fresh":         {[]time.Duration{bound}, 1, false},
		"a little late": {[]time.Duration{bound + time.Second, bound + bound/2, 0}, 3, false},
		"far too late":  {[]time.Duration{bound + bound/2 + 1, 0}, 1, true},
		"getting worse": {[]time.Duration{bound + time.Second, 2 * bound, 0}, 2, true},
	} {
		t.Run(name, func(t *testing.T) {
			looks := 0
			err := documents.Heard(t.Context(), bound, func(context.Context) (time.Duration, error) {
				looks++
				return c.lags[looks-1], nil
			})
			require.Equal(t, c.fails, err != nil, "%v", err)
			require.Equal(t, c.looks, looks)
		})
	}
	unknown := errors.New("the database does not answer")
	require.ErrorIs(t, documents.Heard(t.Context(), bound, func(context.Context) (time.Duration, error) { return 0, unknown }), unknown)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorContains(t, documents.Heard(gone, bound, func(context.Context) (time.Duration, error) { return bound + 1, nil }), "last heard")
}
