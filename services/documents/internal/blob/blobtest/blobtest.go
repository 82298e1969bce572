// Package blobtest is what every driver of package blob must do, as tests.
package blobtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/services/documents/internal/blob"
)

// Two firms, as keys name them.
const (
	FirmA = "0198a000-0000-7000-8000-00000000000a"
	FirmB = "0198a000-0000-7000-8000-00000000000b"
)

// KeyOf is the key of the bytes, first generation.
func KeyOf(firm string, content []byte) blob.Key {
	sum := sha256.Sum256(content)
	return blob.Key{Firm: firm, SHA256: blob.Sum(sum[:]), Generation: 1}
}

// Put stages and commits content and returns its key and whether it was new.
func Put(t testing.TB, s blob.Store, firm string, content []byte) (blob.Key, bool) {
	t.Helper()
	staged, err := s.Stage(t.Context(), blob.Unknown)
	require.NoError(t, err)
	defer staged.Discard()
	_, err = io.Copy(staged, bytes.NewReader(content))
	require.NoError(t, err)
	key := KeyOf(firm, content)
	require.Equal(t, key.SHA256, staged.Sum())
	require.EqualValues(t, len(content), staged.Size())
	created, err := staged.Commit(t.Context(), key)
	require.NoError(t, err)
	return key, created
}

// Get reads the blob whole.
func Get(t testing.TB, s blob.Store, key blob.Key) []byte {
	t.Helper()
	o, err := s.Open(t.Context(), key)
	require.NoError(t, err)
	defer o.Close()
	got, err := io.ReadAll(o)
	require.NoError(t, err)
	require.EqualValues(t, len(got), o.Info().Size)
	return got
}

// Keys lists everything below a prefix, sorted.
func Keys(t testing.TB, s blob.Store, prefix string) []string {
	t.Helper()
	var keys []string
	require.NoError(t, s.List(t.Context(), prefix, func(i blob.Info) error {
		keys = append(keys, i.Key.String())
		return nil
	}))
	slices.Sort(keys)
	return keys
}

// Exception is what a driver does not do, and need not.
type Exception int

// ManyFirsts is said of drivers that may tell several writers of the same moment that each was the first.
const ManyFirsts Exception = 1

// Run checks a driver. open gives a new, empty store.
func Run(t *testing.T, open func(t *testing.T) blob.Store, exceptions ...Exception) {
	t.Run("what is put is got", func(t *testing.T) { putGet(t, open(t)) })
	t.Run("ranges", func(t *testing.T) { ranges(t, open(t)) })
	t.Run("write once", func(t *testing.T) { writeOnce(t, open(t)) })
	t.Run("generations", func(t *testing.T) { generations(t, open(t)) })
	t.Run("staged bytes are not seen", func(t *testing.T) { unseen(t, open(t)) })
	t.Run("mismatch", func(t *testing.T) { mismatch(t, open(t)) })
	t.Run("delete", func(t *testing.T) { remove(t, open(t)) })
	t.Run("list", func(t *testing.T) { list(t, open(t)) })
	t.Run("many writers of the same bytes", func(t *testing.T) { race(t, open(t), slices.Contains(exceptions, ManyFirsts)) })
	t.Run("strange keys", func(t *testing.T) { strange(t, open(t)) })
	t.Run("reclaim spares what is under way", func(t *testing.T) { reclaim(t, open(t)) })
	t.Run("ended context", func(t *testing.T) { ended(t, open(t)) })
}

func putGet(t *testing.T, s blob.Store) {
	require.NoError(t, s.Ready(t.Context()))
	for _, size := range []int{0, 1, 4096, 100_000, 9 << 20} {
		content := make([]byte, size)
		_, _ = rand.Read(content)
		key, created := Put(t, s, FirmA, content)
		require.True(t, created, "size %d", size)
		require.True(t, bytes.Equal(content, Get(t, s, key)), "size %d", size)
	}
	_, err := s.Open(t.Context(), KeyOf(FirmA, []byte("never put")))
	require.ErrorIs(t, err, blob.ErrNotFound)
}

func ranges(t *testing.T, s blob.Store) {
	content := []byte("0123456789")
	key, _ := Put(t, s, FirmA, content)
	o, err := s.Open(t.Context(), key)
	require.NoError(t, err)
	defer o.Close()
	end, err := o.Seek(0, io.SeekEnd)
	require.NoError(t, err)
	require.EqualValues(t, 10, end)
	for from := range content {
		_, err := o.Seek(int64(from), io.SeekStart)
		require.NoError(t, err)
		got, err := io.ReadAll(io.LimitReader(o, 3))
		require.NoError(t, err)
		require.Equal(t, content[from:min(from+3, 10)], got)
	}
}

func writeOnce(t *testing.T, s blob.Store) {
	key, created := Put(t, s, FirmA, []byte("once"))
	require.True(t, created)
	again, created := Put(t, s, FirmA, []byte("once"))
	require.False(t, created, "the second writer finds the bytes there")
	require.Equal(t, key, again)
	_, created = Put(t, s, FirmB, []byte("once"))
	require.True(t, created, "firms share nothing")
	require.Len(t, Keys(t, s, ""), 2)
}

func generations(t *testing.T, s blob.Store) {
	content := []byte("comes again")
	staged, err := s.Stage(t.Context(), blob.Unknown)
	require.NoError(t, err)
	defer staged.Discard()
	_, err = staged.Write(content)
	require.NoError(t, err)
	first := KeyOf(FirmA, content)
	second := first
	second.Generation = 2
	for _, key := range []blob.Key{first, second} {
		created, err := staged.Commit(t.Context(), key)
		require.NoError(t, err)
		require.True(t, created)
	}
	require.NoError(t, s.Delete(t.Context(), first))
	require.Equal(t, content, Get(t, s, second), "a generation lives by itself")
	require.NoError(t, s.Delete(t.Context(), second))
	third := first
	third.Generation = 3
	created, err := staged.Commit(t.Context(), third)
	require.NoError(t, err)
	require.True(t, created, "what was staged outlives every blob made of it")
	require.Equal(t, content, Get(t, s, third))
}

func unseen(t *testing.T, s blob.Store) {
	content := []byte("not yet")
	staged, err := s.Stage(t.Context(), blob.Unknown)
	require.NoError(t, err)
	_, err = staged.Write(content)
	require.NoError(t, err)
	require.Empty(t, Keys(t, s, ""))
	_, err = s.Open(t.Context(), KeyOf(FirmA, content))
	require.ErrorIs(t, err, blob.ErrNotFound)
	staged.Discard()
	staged.Discard()
	require.Empty(t, Keys(t, s, ""))
	_, err = staged.Commit(t.Context(), KeyOf(FirmA, content))
	require.Error(t, err, "what was discarded can not be committed")
}

func mismatch(t *testing.T, s blob.Store) {
	staged, err := s.Stage(t.Context(), blob.Unknown)
	require.NoError(t, err)
	defer staged.Discard()
	_, err = staged.Write([]byte("these bytes"))
	require.NoError(t, err)
	_, err = staged.Commit(t.Context(), KeyOf(FirmA, []byte("other bytes")))
	require.ErrorIs(t, err, blob.ErrMismatch)
	require.Empty(t, Keys(t, s, ""))
}

func remove(t *testing.T, s blob.Store) {
	content := []byte("goes away")
	key, _ := Put(t, s, FirmA, content)
	o, err := s.Open(t.Context(), key)
	require.NoError(t, err)
	defer o.Close()
	first := make([]byte, 1)
	_, err = io.ReadFull(o, first)
	require.NoError(t, err)
	require.NoError(t, s.Delete(t.Context(), key))
	require.NoError(t, s.Delete(t.Context(), key), "twice is no error")
	_, err = s.Open(t.Context(), key)
	require.ErrorIs(t, err, blob.ErrNotFound)
	got, err := io.ReadAll(o)
	require.NoError(t, err)
	require.Equal(t, content, append(first, got...), "who has begun to read reads on")
	_, created := Put(t, s, FirmA, content)
	require.True(t, created)
}

func list(t *testing.T, s blob.Store) {
	require.Empty(t, Keys(t, s, FirmA+"/"), "a firm that has nothing")
	var a, b []string
	for i := range 60 {
		key, _ := Put(t, s, FirmA, fmt.Appendf(nil, "a %d", i))
		a = append(a, key.String())
		if i%3 == 0 {
			key, _ = Put(t, s, FirmB, fmt.Appendf(nil, "b %d", i))
			b = append(b, key.String())
		}
	}
	slices.Sort(a)
	slices.Sort(b)
	require.Equal(t, a, Keys(t, s, FirmA+"/"))
	require.Equal(t, b, Keys(t, s, FirmB+"/"))
	require.Equal(t, append(slices.Clone(a), b...), Keys(t, s, ""))
	folder := a[0][:len(FirmA)+4]
	for _, key := range Keys(t, s, folder) {
		require.Contains(t, key, folder)
	}
	stop := errors.New("stop")
	require.ErrorIs(t, s.List(t.Context(), "", func(blob.Info) error { return stop }), stop)
	for _, prefix := range []string{"../", "/", "x", FirmA, "./", ".staging/"} {
		require.Error(t, s.List(t.Context(), prefix, func(blob.Info) error { return nil }), "prefix %q", prefix)
	}
}

func race(t *testing.T, s blob.Store, manyFirsts bool) {
	const writers, rounds = 8, 50
	for round := range rounds {
		content := fmt.Appendf(nil, "round %d", round)
		var wg sync.WaitGroup
		var mu sync.Mutex
		firsts := 0
		for range writers {
			wg.Go(func() {
				staged, err := s.Stage(t.Context(), blob.Unknown)
				if err != nil {
					t.Error(err)
					return
				}
				defer staged.Discard()
				_, _ = staged.Write(content)
				created, err := staged.Commit(t.Context(), KeyOf(FirmA, content))
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				if created {
					firsts++
				}
			})
		}
		wg.Wait()
		if manyFirsts {
			require.Positive(t, firsts, "some writer is the first")
		} else {
			require.Equal(t, 1, firsts, "exactly one writer is the first")
		}
		require.Equal(t, content, Get(t, s, KeyOf(FirmA, content)))
	}
}

func strange(t *testing.T, s blob.Store) {
	good := KeyOf(FirmA, nil)
	for _, key := range []blob.Key{
		{}, {Firm: "../../etc", SHA256: good.SHA256, Generation: 1}, {Firm: FirmA, SHA256: "passwd", Generation: 1},
		{Firm: FirmA, SHA256: good.SHA256}, {Firm: FirmA, SHA256: good.SHA256, Generation: -1}, {Firm: FirmA, Generation: 1},
	} {
		_, err := s.Open(t.Context(), key)
		require.Error(t, err)
		require.NotErrorIs(t, err, blob.ErrNotFound)
		require.Error(t, s.Delete(t.Context(), key))
	}
	parsed, err := blob.ParseKey(good.String())
	require.NoError(t, err)
	require.Equal(t, good, parsed)
	for _, text := range []string{"", "a/b/c", good.String() + "x", good.String() + "/", FirmA + "/00/" + good.SHA256 + "-1"} {
		_, err := blob.ParseKey(text)
		require.Error(t, err, text)
	}
}

func reclaim(t *testing.T, s blob.Store) {
	staged, err := s.Stage(t.Context(), blob.Unknown)
	require.NoError(t, err)
	defer staged.Discard()
	content := []byte("under way")
	_, err = staged.Write(content)
	require.NoError(t, err)
	kept, _ := Put(t, s, FirmA, []byte("kept"))
	require.NoError(t, s.Reclaim(t.Context(), time.Unix(0, 0)))
	_, err = staged.Commit(t.Context(), KeyOf(FirmA, content))
	require.NoError(t, err)
	require.Equal(t, []byte("kept"), Get(t, s, kept))
}

func ended(t *testing.T, s blob.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	staged, err := s.Stage(ctx, blob.Unknown)
	require.NoError(t, err)
	defer staged.Discard()
	_, _ = staged.Write([]byte("late"))
	cancel()
	_, err = staged.Commit(ctx, KeyOf(FirmA, []byte("late")))
	require.ErrorIs(t, err, context.Canceled)
	_, err = s.Stage(ctx, blob.Unknown)
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, Keys(t, s, ""))
}
