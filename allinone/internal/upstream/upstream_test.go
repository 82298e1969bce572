package upstream

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/webhooks"
	"github.com/concord-suite/concord/sim/world"
)

// start brings a world up in the data directory, with its settings.
func start(t *testing.T, dir string) (*sim.World, []string) {
	t.Helper()
	w, err := sim.Start(context.Background(), sim.Config{Dir: filepath.Join(dir, "world"), Clients: 1, Contacts: 1, ClockFactor: ClockFactor})
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.Close() })
	environ, err := Settings(dir, w)
	require.NoError(t, err)
	return w, environ
}

func TestTheKeyStaysTheSame(t *testing.T) {
	dir := t.TempDir()
	none, err := Kept(dir)
	require.NoError(t, err)
	require.Empty(t, none)
	first, before := start(t, dir)
	kept, err := Kept(dir)
	require.NoError(t, err)
	require.Equal(t, before, kept)
	info, err := os.Stat(file(dir))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.NoError(t, first.Close())

	_, after := start(t, dir)
	require.Equal(t, keyOf(before), keyOf(after))
	_, other := start(t, t.TempDir())
	require.NotEqual(t, keyOf(before), keyOf(other))

	require.NoError(t, os.Truncate(file(dir), 0))
	kept, err = Kept(dir)
	require.NoError(t, err)
	require.Empty(t, kept, "and the next start makes another key")
}

// TestAWebhookThatWorksIsLeftAlone: one whose address or key changed is made anew and checked, another stays as it is, with
// what it has still to tell.
func TestAWebhookThatWorksIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	w, environ := start(t, dir)
	suite := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.URL.Path != "/webhooks/xero" || r.Header.Get(webhooks.SignatureHeader) != webhooks.Sign(keyOf(environ), body) {
			rw.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(suite.Close)
	state := func() string {
		all, err := w.Remote().Hooks(t.Context())
		require.NoError(t, err)
		require.Len(t, all, 1)
		return all[0].State
	}
	require.NoError(t, Tell(t.Context(), w.Remote(), suite.URL, environ))
	require.Eventually(t, func() bool { return state() == world.HookActive }, time.Minute, 10*time.Millisecond)
	require.NoError(t, Tell(t.Context(), w.Remote(), suite.URL, environ))
	require.Equal(t, world.HookActive, state(), "not checked again")
	require.NoError(t, Tell(t.Context(), w.Remote(), suite.URL+"/elsewhere", environ))
	require.Never(t, func() bool { return state() == world.HookActive }, 200*time.Millisecond, 10*time.Millisecond)
	require.NoError(t, Tell(t.Context(), w.Remote(), suite.URL, environ))
	require.Eventually(t, func() bool { return state() == world.HookActive }, time.Minute, 10*time.Millisecond)

	require.NoError(t, w.Close())
	require.ErrorContains(t, Tell(t.Context(), w.Remote(), suite.URL, environ), "simulated world")
}
