package mtls

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"sync"
)

// content is what files hold.
type content [][]byte

func (c content) equal(other content) bool {
	if len(c) != len(other) {
		return false
	}
	for i := range c {
		if !bytes.Equal(c[i], other[i]) {
			return false
		}
	}
	return true
}

// file is one that is followed, and what it holds in a word.
type file struct{ what, path string }

// followed is what files mean, read again whenever it is asked for. Files that cannot be used leave what was there before.
type followed[T any] struct {
	what  string // in the log
	files []file
	parse func(content) (T, error)
	// refuse says why what the files mean now must not replace what they meant before. Optional.
	refuse func(before, now T) error
	// about is what to say of a renewal. Optional.
	about func(T) []any
	said  *notices
	log   *slog.Logger

	mu    sync.Mutex
	raw   content
	value T
}

// open reads the files for the first time.
func (f *followed[T]) open() (err error) {
	if f.raw, err = f.read(); err != nil {
		return err
	}
	f.value, err = f.parse(f.raw)
	return err
}

func (f *followed[T]) read() (content, error) {
	var all content
	for _, file := range f.files {
		b, err := os.ReadFile(file.path)
		if err != nil {
			return nil, fmt.Errorf("mtls: %s: %w", file.what, err)
		}
		all = append(all, b)
	}
	return all, nil
}

// rereads is how often files are read once more that are not as they were a moment before: one that was read before the
// others were swapped does not belong to them, and nobody is to be told.
const rereads = 3

// current returns what the files mean now, or what they meant before while they cannot be used.
func (f *followed[T]) current() T {
	f.mu.Lock()
	defer f.mu.Unlock()
	var tried content
	var why error
	for range rereads {
		raw, err := f.read()
		switch {
		case err == nil && raw.equal(f.raw):
			return f.value
		case err == nil && raw.equal(tried):
			return f.keep(why)
		}
		tried = raw
		if why = f.take(raw, err); why == nil {
			return f.value
		}
	}
	return f.keep(why)
}

// take uses what was read, or says why not. The caller holds mu.
func (f *followed[T]) take(raw content, err error) error {
	if err != nil {
		return err
	}
	now, err := f.parse(raw)
	if err == nil && f.refuse != nil {
		err = f.refuse(f.value, now)
	}
	if err != nil {
		return err
	}
	f.raw, f.value = raw, now
	var about []any
	if f.about != nil {
		about = f.about(now)
	}
	f.log.Info(f.what+" were renewed", about...)
	return nil
}

// keep says that what was there stays. The caller holds mu.
func (f *followed[T]) keep(why error) T {
	if f.said.due(f.what, silence) {
		f.log.Warn(f.what+" cannot be used; those before stay in use", "error", why)
	}
	return f.value
}
