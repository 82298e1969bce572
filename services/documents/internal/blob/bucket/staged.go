package bucket

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"hash"
	"io/fs"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/concord-suite/concord/services/documents/internal/blob"
)

// staged is bytes on their way: a last piece that is not sent yet, and, when there were more, an upload to a name that no key
// has.
type staged struct {
	store  *Store
	ctx    context.Context
	hash   hash.Hash
	size   int64
	part   int64  // bytes of a piece
	room   int64  // what the next piece may grow to
	last   *piece // not sent yet; nil before the first byte, and when upload is complete
	upload *upload
	failed error
	closed bool
}

// Stage implements blob.Store.
func (s *Store) Stage(ctx context.Context, size int64) (blob.Staged, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t := &staged{store: s, ctx: ctx, hash: sha256.New(), part: s.part}
	if need := (size + maxParts - 1) / maxParts; need > t.part {
		t.part = (need + 1<<20 - 1) >> 20 << 20
	}
	t.room = t.part
	if size != blob.Unknown && size < t.room {
		t.room = size
	}
	return t, nil
}

// Write implements blob.Staged.
func (t *staged) Write(b []byte) (int, error) {
	if t.failed != nil {
		return 0, t.failed
	}
	if t.closed {
		return 0, fs.ErrClosed
	}
	t.hash.Write(b)
	t.size += int64(len(b))
	for rest := b; len(rest) > 0; {
		if t.failed = t.space(); t.failed != nil {
			return 0, t.failed
		}
		n := int(min(int64(len(rest)), t.last.room-t.last.size))
		if t.failed = t.last.write(rest[:n]); t.failed != nil {
			return 0, t.failed
		}
		rest = rest[n:]
	}
	return len(b), nil
}

// space sees to it that the last piece can take a byte. A full one is sent on its way while the next one fills.
func (t *staged) space() (err error) {
	if t.last != nil && t.last.size < t.last.room {
		return nil
	}
	if t.last != nil {
		if t.last.size < t.part { // more came than was said: it goes on in pieces of the usual size
			return t.grow()
		}
		if t.upload == nil {
			if t.upload, err = t.store.begin(t.ctx, t.store.unnamed()); err != nil {
				return err
			}
		}
		full := t.last
		t.last, t.room = nil, t.part
		if err := t.upload.send(t.ctx, full); err != nil {
			return err
		}
	}
	if t.last, err = t.store.spool.take(t.ctx, t.room, t.upload == nil); t.last != nil || err != nil {
		return err
	}
	// There is no room beside the piece that is being sent. It gives its own back when it has arrived.
	if err = t.upload.settle(); err != nil {
		return err
	}
	t.last, err = t.store.spool.take(t.ctx, t.room, true)
	return err
}

// grow moves the last piece into one of the usual size.
func (t *staged) grow() error {
	larger, err := t.store.spool.take(t.ctx, t.part, true)
	if err != nil {
		return err
	}
	small := t.last
	t.last = larger
	defer small.close()
	return copyPiece(larger, small)
}

// Sum implements blob.Staged.
func (t *staged) Sum() string { return blob.Sum(t.hash.Sum(nil)) }

// Size implements blob.Staged.
func (t *staged) Size() int64 { return t.size }

// Commit implements blob.Staged.
func (t *staged) Commit(ctx context.Context, key blob.Key) (created bool, err error) {
	name, err := t.store.name(key)
	switch {
	case t.failed != nil:
		return false, t.failed
	case t.closed:
		return false, fs.ErrClosed
	case err != nil:
		return false, err
	case key.SHA256 != t.Sum():
		return false, blob.ErrMismatch
	case ctx.Err() != nil:
		return false, ctx.Err()
	}
	// What is there already is put again: whoever sends bytes anew may do so because the bucket has lost or damaged them.
	if created, err = t.store.absent(ctx, name); err != nil {
		return false, err
	}
	if t.upload == nil {
		return created, t.put(ctx, name)
	}
	if err := t.complete(ctx); err != nil {
		return false, err
	}
	return created, t.store.copy(ctx, t.upload.name, name, t.size)
}

// put makes the object of the only piece.
func (t *staged) put(ctx context.Context, name *string) error {
	in := &s3.PutObjectInput{Bucket: t.store.bucket(), Key: name, ContentLength: aws.Int64(t.size), Body: strings.NewReader("")}
	in.ServerSideEncryption, in.SSEKMSKeyId = t.store.encryption()
	if t.last != nil {
		in.Body = t.last.body()
	}
	_, err := t.store.s3.PutObject(ctx, in, hashed(t.Sum()))
	return t.store.failure(ctx, "put", err)
}

// complete makes an object of the upload, once.
func (t *staged) complete(ctx context.Context) error {
	if t.last != nil {
		last := t.last
		t.last = nil
		if t.failed = t.upload.send(ctx, last); t.failed != nil {
			return t.failed
		}
	}
	return t.upload.complete(ctx, t.size)
}

// Discard implements blob.Staged.
func (t *staged) Discard() {
	if t.closed {
		return
	}
	t.closed = true
	if t.last != nil {
		t.last.close()
	}
	if t.upload != nil {
		t.upload.discard(t.ctx)
	}
}

// unnamed is a new name of something that is no blob.
func (s *Store) unnamed() *string { return aws.String(s.o.Prefix + staging + rand.Text()) }
