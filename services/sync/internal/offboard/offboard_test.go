package offboard_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/services/sync/internal/offboard"
)

func TestFateOf(t *testing.T) {
	require.Equal(t, offboard.RemovedFate, offboard.FateOf(false, 0))
	require.Equal(t, offboard.ReleasedFate, offboard.FateOf(true, 0))
	require.Equal(t, offboard.Kept, offboard.FateOf(false, 1))
	require.Equal(t, offboard.Kept, offboard.FateOf(true, 2))
}

func TestRetryAt(t *testing.T) {
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	require.Equal(t, 250*time.Millisecond, offboard.RetryAt(now, 0).Sub(now))
	require.Equal(t, time.Second, offboard.RetryAt(now, 3).Sub(now))
	require.Equal(t, time.Minute, offboard.RetryAt(now, 1000).Sub(now))
}
