package bucket

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/concord-suite/concord/services/documents/internal/blob"
)

// object is an opened blob. It asks for bytes when it is read.
type object struct {
	store *Store
	ctx   context.Context
	end   context.CancelFunc // of ctx
	name  *string
	info  blob.Info

	mu     sync.Mutex // held by who reads, seeks or closes
	closed bool
	at     int64 // where the reader is
	body   io.ReadCloser
	bodyAt int64 // where the body is, and up to where it goes
	until  int64
	window int64     // how much the next request asks for after a seek
	hash   hash.Hash // of the first hashed bytes, as they were read
	hashed int64
}

const (
	// firstWindow is what is asked for after a seek, in bytes: a reader of ranges mostly wants some kilobytes, and what a request
	// asked for and nobody reads costs a connection. Who reads on gets windowGrowth times more with each request.
	firstWindow  = 1 << 20
	windowGrowth = 4
	// readTries bounds how often a connection that breaks is replaced before the reader is told, while no byte comes.
	readTries = 3
	// readPause is the pause before the second try; it doubles.
	readPause = 200 * time.Millisecond
)

// Open implements blob.Store.
func (s *Store) Open(ctx context.Context, key blob.Key) (blob.Object, error) {
	name, err := s.name(key)
	if err != nil {
		return nil, err
	}
	head, err := s.head(ctx, name)
	if err != nil {
		return nil, err
	}
	ctx, end := context.WithCancel(ctx)
	return &object{store: s, ctx: ctx, end: end, name: name, hash: sha256.New(), window: firstWindow,
		info: blob.Info{Key: key, Size: aws.ToInt64(head.ContentLength), ModTime: aws.ToTime(head.LastModified)}}, nil
}

// Info implements blob.Object.
func (o *object) Info() blob.Info { return o.info }

// Seek implements io.Seeker. It asks for nothing.
func (o *object) Seek(offset int64, whence int) (int64, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch whence {
	case io.SeekCurrent:
		offset += o.at
	case io.SeekEnd:
		offset += o.info.Size
	}
	if offset < 0 {
		return 0, errors.New("blob: seek before the start")
	}
	o.at = offset
	return offset, nil
}

// Read implements io.Reader. The last bytes of a blob that was read from its start are given out only when its hash is right.
func (o *object) Read(b []byte) (n int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return 0, fs.ErrClosed
	}
	if o.at >= o.info.Size {
		if o.at == 0 && o.info.Key.SHA256 != blob.Sum(o.hash.Sum(nil)) {
			return 0, blob.ErrDamaged
		}
		return 0, io.EOF
	}
	if len(b) == 0 {
		return 0, nil
	}
	for try := 1; ; try++ {
		if n, err = o.read(b); n > 0 || err == nil {
			break
		}
		o.hangUp()
		if try == readTries || errors.Is(err, blob.ErrNotFound) || o.ctx.Err() != nil {
			return 0, err
		}
		if err := pause(o.ctx, readPause<<(try-1)); err != nil {
			return 0, err
		}
	}
	if o.hashed == o.at {
		o.hash.Write(b[:n])
		o.hashed += int64(n)
		if o.hashed == o.info.Size && o.info.Key.SHA256 != blob.Sum(o.hash.Sum(nil)) {
			return 0, blob.ErrDamaged
		}
	}
	o.at += int64(n)
	return n, nil
}

// read reads from the body that stands where the reader is, asking for one when there is none. It returns no bytes and an
// error, or bytes and none.
func (o *object) read(b []byte) (int, error) {
	if o.body == nil || o.bodyAt != o.at {
		if err := o.ask(); err != nil {
			return 0, err
		}
	}
	n, err := o.body.Read(b[:min(int64(len(b)), o.until-o.bodyAt)])
	o.bodyAt += int64(n)
	if o.bodyAt == o.until {
		o.hangUp()
	}
	if n > 0 {
		return n, nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return 0, o.store.failure(o.ctx, "get", err)
}

// ask asks for the bytes from where the reader is: from the start for all of them, from elsewhere for a window.
func (o *object) ask() error {
	o.hangUp()
	if o.at != o.bodyAt {
		o.window = firstWindow // elsewhere than where the last one ended
	}
	in := &s3.GetObjectInput{Bucket: o.store.bucket(), Key: o.name}
	o.until = o.info.Size
	if o.at > 0 {
		if o.hashed != o.at { // a connection that broke while all was being read goes on for all the rest
			o.until = min(o.until, o.at+o.window)
			o.window = min(o.window*windowGrowth, o.info.Size) // no larger, however often a connection breaks
		}
		in.Range = aws.String(fmt.Sprintf("bytes=%d-%d", o.at, o.until-1))
	}
	out, err := o.store.s3.GetObject(o.ctx, in)
	if err != nil {
		if code(err) == "NoSuchKey" || code(err) == "InvalidRange" || status(err) == http.StatusRequestedRangeNotSatisfiable {
			return blob.ErrNotFound // removed, or replaced by something shorter, since it was opened
		}
		return o.store.failure(o.ctx, "get", err)
	}
	if got := aws.ToInt64(out.ContentLength); got != o.until-o.at {
		_ = out.Body.Close()
		return fmt.Errorf("blob: get: the bucket gives %d bytes where %d were asked for", got, o.until-o.at)
	}
	o.body, o.bodyAt = out.Body, o.at
	return nil
}

// Close implements io.Closer. It ends a read that is under way.
func (o *object) Close() error {
	o.end()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.hangUp()
	return nil
}

// hangUp ends the request that stands.
func (o *object) hangUp() {
	if o.body != nil {
		_ = o.body.Close() // what is not read is not wanted
		o.body = nil
	}
}

// pause waits, or ends with ctx.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
