package transport

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

func TestBoundedEndsADocumentThatIsTooLong(t *testing.T) {
	all, err := io.ReadAll(NewBounded(strings.NewReader("1234567890"), 10, 1<<10))
	require.ErrorIs(t, err, ErrLarge, "the end was not seen, so there may be more")
	require.Len(t, all, 10)
	all, err = io.ReadAll(NewBounded(strings.NewReader("1234567890"), 11, 1<<10))
	require.NoError(t, err)
	require.Len(t, all, 10)
}

func TestBoundedEndsATokenThatIsTooLong(t *testing.T) {
	b := NewBounded(strings.NewReader(strings.Repeat("a", 4*Slack)), 1<<30, Slack)
	all, err := io.ReadAll(b)
	require.ErrorIs(t, err, ErrLarge)
	require.Less(t, len(all), 3*Slack)

	b = NewBounded(strings.NewReader(strings.Repeat("a", 4*Slack)), 1<<30, Slack)
	part := make([]byte, Slack)
	for range 4 { // as many bytes, in tokens that are short enough
		b.Token()
		_, err := io.ReadFull(b, part)
		require.NoError(t, err)
	}
}

func TestBoundedTellsWhatBroke(t *testing.T) {
	lost := errors.New("connection reset")
	b := NewBounded(io.MultiReader(strings.NewReader("{"), iotest.ErrReader(lost)), 10, 10)
	_, err := io.ReadAll(b)
	require.ErrorIs(t, err, lost)
	require.ErrorIs(t, b.Broke(), lost)

	b = NewBounded(strings.NewReader("{}"), 10, 10)
	_, err = io.ReadAll(b)
	require.NoError(t, err)
	require.NoError(t, b.Broke())
}
