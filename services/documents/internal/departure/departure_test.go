package departure_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/services/documents/internal/departure"
)

// Every step against every state of the client and of the off-boarding.
func TestSteps(t *testing.T) {
	const me, other = "me", "other"
	type step = func(departure.Client, departure.Offboarding) (bool, error)
	begin, abort, commit, reverse := step(departure.Begin), step(departure.Abort), step(departure.Commit), step(departure.Reverse)
	listed := departure.Client{ID: "c", State: departure.Listed}
	mine, theirs, gone := listed, listed, listed
	mine.Fence, theirs.Fence, gone.State = me, other, departure.Departed
	for _, c := range []struct {
		name   string
		do     step
		client departure.Client
		state  departure.State
		done   bool
		err    error
	}{
		{"begin", begin, listed, departure.Unknown, false, nil},
		{"begin again", begin, mine, departure.Fenced, true, nil},
		{"begin after abort", begin, listed, departure.Aborted, false, departure.ErrAborted},
		{"begin after abort against another", begin, theirs, departure.Aborted, false, departure.ErrAborted},
		{"begin against another", begin, theirs, departure.Unknown, false, departure.ErrFenced},
		{"begin when gone", begin, gone, departure.Unknown, false, departure.ErrGone},
		{"begin when gone by it", begin, gone, departure.Committed, true, nil},
		{"begin when back", begin, listed, departure.Reversed, true, nil},
		{"abort", abort, mine, departure.Fenced, false, nil},
		{"abort again", abort, listed, departure.Aborted, true, nil},
		{"abort what never was", abort, listed, departure.Unknown, false, nil},
		{"abort beside another's fence", abort, theirs, departure.Unknown, false, nil},
		{"abort too late", abort, gone, departure.Committed, false, departure.ErrCommitted},
		{"abort far too late", abort, listed, departure.Reversed, false, departure.ErrCommitted},
		{"commit", commit, mine, departure.Fenced, false, nil},
		{"commit without a fence", commit, listed, departure.Unknown, false, nil},
		{"commit again", commit, gone, departure.Committed, true, nil},
		{"commit after the return", commit, listed, departure.Reversed, true, nil},
		{"reverse", reverse, gone, departure.Committed, false, nil},
		{"reverse first", reverse, listed, departure.Unknown, false, nil},
		{"reverse again", reverse, listed, departure.Reversed, true, nil},
	} {
		done, err := c.do(c.client, departure.Offboarding{ID: me, Client: "c", State: c.state})
		require.ErrorIs(t, err, c.err, c.name)
		require.Equal(t, c.done, done, c.name)
		_, err = c.do(c.client, departure.Offboarding{ID: me, Client: "somebody else", State: c.state})
		require.ErrorIs(t, err, departure.ErrOtherClient, c.name)
	}
	require.NoError(t, listed.Open())
	require.ErrorIs(t, mine.Open(), departure.ErrFenced)
	require.ErrorIs(t, gone.Open(), departure.ErrGone)
}

func TestDestroyed(t *testing.T) {
	require.Equal(t, `the folder "A" was deleted by hand; its 3 documents were destroyed on 2026-12-21`, departure.Destroyed("A", 3, "2026-12-21"))
	require.Contains(t, departure.Destroyed("A", 1, "2026-12-21"), "its one document was")
}
