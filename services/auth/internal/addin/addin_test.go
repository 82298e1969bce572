package addin

import (
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRegistrations(t *testing.T) {
	r, err := Register([]string{"word=Concord for Word", " desktop = Concord for the Desktop = /signed/in "})
	require.NoError(t, err)
	require.Equal(t, Client{ID: "word", Name: "Concord for Word", Path: "/done"}, r["word"])
	require.Equal(t, Client{ID: "desktop", Name: "Concord for the Desktop", Path: "/signed/in"}, r["desktop"])
	for _, bad := range []string{"", "word", "word=", "Word=Concord", "w d=Concord", "word=Concord=done", "word=Concord=/a?b", "=Concord"} {
		_, err := Register([]string{bad})
		require.Error(t, err, bad)
	}
	_, err = Register([]string{"word=One", "word=Two"})
	require.ErrorContains(t, err, "twice")
}

func TestOnlyTheOwnPathOnALoopbackAddress(t *testing.T) {
	c := Client{ID: "word", Name: "Word", Path: "/done"}
	for _, good := range []string{"http://127.0.0.1:1/done", "http://127.0.0.1:65535/done", "http://[::1]:49152/done"} {
		require.True(t, c.Accepts(good), good)
	}
	for _, bad := range []string{
		"", "http://127.0.0.1/done", "http://127.0.0.1:0/done", "http://127.0.0.1:65536/done", "http://127.0.0.1:080/done",
		"https://127.0.0.1:80/done", "http://localhost:80/done", "http://127.0.0.2:80/done", "http://127.1:80/done",
		"http://127.0.0.1.evil.example:80/done", "http://evil.example:80/done", "http://user@127.0.0.1:80/done",
		"http://127.0.0.1:80/other", "http://127.0.0.1:80/done/", "http://127.0.0.1:80/done?", "http://127.0.0.1:80/done?a=b",
		"http://127.0.0.1:80/done#", "http://127.0.0.1:80/done#x", "http://127.0.0.1:80/./done", "http://127.0.0.1:80/%64one",
		"HTTP://127.0.0.1:80/done", "http://127.0.0.1:80\\@evil.example/done", "http://[::ffff:127.0.0.1]:80/done",
		"http://[0:0:0:0:0:0:0:1]:80/done", "//127.0.0.1:80/done", "http://127.0.0.1:80/done\n", " http://127.0.0.1:80/done",
		"http://[::1%25lo]:80/done", "myapp://127.0.0.1:80/done", "http://127.0.0.1:+80/done",
	} {
		require.False(t, c.Accepts(bad), bad)
	}
}

func TestScopes(t *testing.T) {
	s, ok := ParseScope("  openid offline_access openid ")
	require.True(t, ok)
	require.Equal(t, "offline_access openid", s.String())
	_, ok = ParseScope("openid profile")
	require.False(t, ok)
	none, ok := ParseScope("")
	require.True(t, ok)
	require.Equal(t, Scope{Offline}, none.OrDefault())
	require.True(t, Scope{OpenID}.Within(s))
	require.False(t, s.Within(Scope{OpenID}))
	require.True(t, none.Within(nil))
}

func TestWhatBecomesOfARefreshToken(t *testing.T) {
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	rotated := Tokens{Rotated: now, Salt: NewSalt()}
	require.Equal(t, Rotate, Judge(Tokens{}, Tokens{}, now))
	require.Equal(t, Rotate, Judge(Tokens{Generation: MaxGenerations - 1}, Tokens{}, now))
	require.Equal(t, Refuse, Judge(Tokens{Generation: MaxGenerations}, Tokens{}, now), "nobody needs so many")
	require.Equal(t, Repeat, Judge(rotated, Tokens{}, now.Add(RetryFor-1)))
	require.Equal(t, End, Judge(rotated, Tokens{}, now.Add(RetryFor)))
	require.Equal(t, Refuse, Judge(rotated, Tokens{Used: now}, now.Add(RetryFor-1)), "the answer arrived")
	require.Equal(t, Repeat, Judge(rotated, Tokens{}, now.Add(-time.Minute)), "another replica's clock is a bit behind")
	require.Equal(t, End, Judge(rotated, Tokens{}, now.Add(-time.Hour)), "a clock was put back")
	require.Equal(t, End, Judge(rotated, Tokens{Used: now}, now.Add(RetryFor)))
	require.Equal(t, End, Judge(rotated, Tokens{Used: now, Rotated: now}, now.Add(1)), "its successor was redeemed, too")
	require.Equal(t, Refuse, Judge(Tokens{Rotated: now}, Tokens{}, now), "the salt is gone: it can't be made again")
}

func TestDerivedTokensNeedBothHalves(t *testing.T) {
	salt := NewSalt()
	one := Derive("car_a", salt, "car_")
	require.Len(t, one, 43, "256 bits")
	require.Equal(t, one, Derive("car_a", salt, "car_"))
	require.NotEqual(t, one, Derive("car_b", salt, "car_"))
	require.NotEqual(t, one, Derive("car_a", NewSalt(), "car_"))
	require.NotEqual(t, one, Derive("car_a", salt, "cai_"), "the access token says nothing about the refresh token")
}

// FuzzRedirect: whatever passes leads to this machine, by the registered path and nothing behind it.
func FuzzRedirect(f *testing.F) {
	for _, seed := range []string{"http://127.0.0.1:1/done", "http://[::1]:49152/done", "http://127.0.0.1:1@evil.example/done", "http://127.0.0.1:1/done?x#y"} {
		f.Add(seed)
	}
	c := Client{ID: "word", Name: "Word", Path: "/done"}
	f.Fuzz(func(t *testing.T, redirect string) {
		if !c.Accepts(redirect) {
			return
		}
		u, err := url.Parse(redirect)
		require.NoError(t, err)
		require.True(t, net.ParseIP(u.Hostname()).IsLoopback())
		require.Equal(t, "http", u.Scheme)
		require.Equal(t, "/done", u.EscapedPath())
		require.Empty(t, u.RawQuery+u.Fragment)
		require.NotEmpty(t, u.Port())
	})
}

// FuzzScope: what is read is spelled the same when it is read again, and holds nothing that does not exist.
func FuzzScope(f *testing.F) {
	f.Add("openid offline_access")
	f.Add("openid\topenid\u2003x")
	f.Fuzz(func(t *testing.T, text string) {
		s, ok := ParseScope(text)
		if !ok {
			return
		}
		require.True(t, s.Within(Scopes()))
		again, ok := ParseScope(s.String())
		require.True(t, ok)
		require.Equal(t, s.String(), again.String())
	})
}

// FuzzRegister: a registration that is taken names a client that can be asked for.
func FuzzRegister(f *testing.F) {
	f.Add("word=Concord for Word=/done")
	f.Fuzz(func(t *testing.T, line string) {
		r, err := Register([]string{line})
		if err != nil {
			return
		}
		require.Len(t, r, 1)
		for id, c := range r {
			require.Equal(t, id, c.ID)
			require.NotEmpty(t, c.Name)
			require.True(t, c.Accepts("http://127.0.0.1:1024"+c.Path), c.Path)
		}
	})
}
