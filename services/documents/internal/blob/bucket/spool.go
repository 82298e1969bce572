package bucket

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/concord-suite/concord/services/documents/internal/blob"
)

// spoolWait is how long somebody who sends may wait for room in the spool: longer than a request to a bucket takes, and less
// than those who wait for the answer do.
const spoolWait = 30 * time.Second

// spool is the room of what is on its way to the bucket. Whoever takes of it takes a whole request's worth at once, so that each
// can be finished and given back, whatever the others wait for.
type spool struct {
	dir  string
	size int64
	room *semaphore.Weighted
}

func newSpool(dir string, size int64) (*spool, error) {
	if dir == "" {
		dir = os.TempDir()
	}
	s := &spool{dir: dir, size: size, room: semaphore.NewWeighted(size)}
	f, err := s.file()
	if err != nil {
		return nil, fmt.Errorf("blob: the folder %s can not be written: %w", dir, err)
	}
	return s, f.Close()
}

// file makes a file that is gone when it is closed, or when the process ends.
func (s *spool) file() (*os.File, error) {
	f, err := os.CreateTemp(s.dir, "concord-blob-")
	if err != nil {
		return nil, blob.Failure("spool", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		_ = f.Close()
		return nil, blob.Failure("spool", err)
	}
	return f, nil
}

// piece is the body of one request: a file, its size and hash.
type piece struct {
	spool *spool
	file  *os.File
	room  int64
	size  int64
	hash  hash.Hash
}

// take makes a piece of at most room bytes, waiting for it when wait is set; else there may be none.
func (s *spool) take(ctx context.Context, room int64, wait bool) (*piece, error) {
	if room > s.size {
		return nil, fmt.Errorf("blob: one part of it is larger than the spool, %d bytes", s.size)
	}
	if !s.room.TryAcquire(room) {
		if !wait {
			return nil, nil
		}
		waiting, cancel := context.WithTimeout(ctx, spoolWait)
		defer cancel()
		if err := s.room.Acquire(waiting, room); err != nil {
			return nil, errors.Join(ctx.Err(), &silent{fmt.Sprintf("blob: no room in the spool for %s: more is sent than the bucket takes", spoolWait)})
		}
	}
	f, err := s.file()
	if err != nil {
		s.room.Release(room)
		return nil, err
	}
	return &piece{spool: s, file: f, room: room, hash: sha256.New()}, nil
}

func (p *piece) write(b []byte) error {
	n, err := p.file.Write(b)
	p.hash.Write(b[:n])
	p.size += int64(n)
	if err != nil {
		return blob.Failure("spool", err)
	}
	return nil
}

// body reads the piece from its beginning; it may be read by several requests.
func (p *piece) body() io.ReadSeeker { return io.NewSectionReader(p.file, 0, p.size) }

// sum is the hash of the piece as it came in, before it was in the file.
func (p *piece) sum() string { return blob.Sum(p.hash.Sum(nil)) }

// close gives the room back.
func (p *piece) close() {
	_ = p.file.Close()
	p.spool.room.Release(p.room)
}
