package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"github.com/concord-suite/concord/services/documents/internal/blob"
)

// upload is an object that comes into being in parts.
type upload struct {
	store    *Store
	name, id *string
	parts    []types.CompletedPart
	sending  chan error // of the part on its way; nil when there is none
	stop     context.CancelFunc
	whole    bool
}

// begin begins an upload.
func (s *Store) begin(ctx context.Context, name *string) (*upload, error) {
	in := &s3.CreateMultipartUploadInput{Bucket: s.bucket(), Key: name}
	in.ServerSideEncryption, in.SSEKMSKeyId = s.encryption()
	out, err := s.s3.CreateMultipartUpload(ctx, in)
	if err != nil {
		return nil, s.failure(ctx, "begin an upload", err)
	}
	if out.UploadId == nil {
		return nil, &silent{fmt.Sprintf("blob: bucket %s: begin an upload: the answer is empty", s.o.Bucket)}
	}
	return &upload{store: s, name: name, id: out.UploadId}, nil
}

// send sends a piece, and gives its room back when it has arrived. It returns when the one before has.
func (u *upload) send(ctx context.Context, p *piece) error {
	if err := u.settle(); err != nil {
		p.close()
		return err
	}
	number := int32(len(u.parts) + 1)
	u.parts = append(u.parts, types.CompletedPart{PartNumber: &number})
	sent := make(chan error, 1)
	u.sending = sent
	ctx, u.stop = context.WithCancel(ctx)
	go func(stop context.CancelFunc) {
		defer p.close()
		defer stop()
		out, err := u.store.s3.UploadPart(ctx, &s3.UploadPartInput{Bucket: u.store.bucket(), Key: u.name, UploadId: u.id,
			PartNumber: &number, Body: p.body(), ContentLength: aws.Int64(p.size)}, hashed(p.sum()))
		if err == nil {
			u.parts[number-1].ETag = out.ETag
		}
		sent <- u.store.failure(ctx, "put a part", err)
	}(u.stop)
	return nil
}

// settle waits for the piece that is on its way.
func (u *upload) settle() error {
	if u.sending == nil {
		return nil
	}
	err := <-u.sending
	u.sending = nil
	return err
}

// complete makes one object of the parts, which must have so many bytes. It may be called again.
func (u *upload) complete(ctx context.Context, size int64) error {
	if u.whole {
		return nil
	}
	if err := u.settle(); err != nil {
		return err
	}
	_, err := u.store.s3.CompleteMultipartUpload(patiently(ctx, size), &s3.CompleteMultipartUploadInput{Bucket: u.store.bucket(),
		Key: u.name, UploadId: u.id, MultipartUpload: &types.CompletedMultipartUpload{Parts: u.parts}})
	// An upload that is not known any more was completed by a request whose answer was lost.
	if err != nil && code(err) != "NoSuchUpload" {
		return u.store.failure(ctx, "complete an upload", err)
	}
	if err := u.store.check(ctx, u.name, size); err != nil {
		return err
	}
	u.whole = true
	return nil
}

// discardTime bounds what is done for a sender who may be gone already. What it leaves behind is for Reclaim.
const discardTime = 10 * time.Second

// discard takes away what came of the upload.
func (u *upload) discard(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), discardTime)
	defer cancel()
	if u.sending != nil {
		u.stop() // nobody needs the part any more, and a bucket that does not answer would be waited for
	}
	_ = u.settle()
	if !u.whole {
		_ = u.store.abort(ctx, u.name, u.id)
	}
	_ = u.store.drop(ctx, u.name) // there, too, when an answer was lost
}

// check sees that an object is there, and as large as it must be.
func (s *Store) check(ctx context.Context, name *string, size int64) error {
	out, err := s.head(ctx, name)
	switch {
	case errors.Is(err, blob.ErrNotFound): // who stages did not look for a blob
		return &silent{fmt.Sprintf("blob: bucket %s: look up: what it made is not there", s.o.Bucket)}
	case err == nil && aws.ToInt64(out.ContentLength) != size:
		return fmt.Errorf("blob: the bucket made %d bytes of %d", aws.ToInt64(out.ContentLength), size)
	}
	return err
}

// copy has the bucket copy an object of so many bytes to another name, where it appears whole.
func (s *Store) copy(ctx context.Context, from, to *string, size int64) error {
	source := aws.String(s.o.Bucket + "/" + *from)
	if size > s.copyPart {
		return s.copyParts(ctx, source, to, size)
	}
	in := &s3.CopyObjectInput{Bucket: s.bucket(), Key: to, CopySource: source}
	in.ServerSideEncryption, in.SSEKMSKeyId = s.encryption()
	if _, err := s.s3.CopyObject(patiently(ctx, size), in); err != nil {
		return s.failure(ctx, "copy", err)
	}
	return s.check(ctx, to, size)
}

// copiesAtOnce is how many parts of one object a bucket copies at the same time. Each moves some 100 MiB a second.
const copiesAtOnce = 4

// copyParts copies in parts.
func (s *Store) copyParts(ctx context.Context, source, to *string, size int64) error {
	u, err := s.begin(ctx, to)
	if err != nil {
		return err
	}
	step := max(s.copyPart, (size+maxParts-1)/maxParts)
	u.parts = slices.Repeat([]types.CompletedPart{{}}, int((size+step-1)/step))
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(copiesAtOnce)
	for i := range u.parts {
		first, last := int64(i)*step, min(int64(i+1)*step, size)-1
		number := int32(i + 1)
		group.Go(func() error {
			out, err := s.s3.UploadPartCopy(patiently(within, step), &s3.UploadPartCopyInput{Bucket: s.bucket(), Key: to, UploadId: u.id,
				PartNumber: &number, CopySource: source, CopySourceRange: aws.String(fmt.Sprintf("bytes=%d-%d", first, last))})
			if err != nil {
				return s.failure(within, "copy a part", err)
			}
			if out.CopyPartResult == nil { // an answer without a body
				return &silent{fmt.Sprintf("blob: bucket %s: copy a part: the answer is empty", s.o.Bucket)}
			}
			u.parts[i] = types.CompletedPart{PartNumber: &number, ETag: out.CopyPartResult.ETag}
			return nil
		})
	}
	if err = group.Wait(); err == nil {
		err = u.complete(ctx, size)
	}
	if err != nil && !u.whole {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), discardTime)
		defer cancel()
		_ = s.abort(ending, to, u.id)
	}
	return err
}

// copyPiece copies the bytes of a piece into another one.
func copyPiece(to, from *piece) error {
	_, err := io.Copy(writer(to.write), from.body())
	if err != nil {
		return blob.Failure("spool", err)
	}
	return nil
}

// writer is a function that writes.
type writer func([]byte) error

// Write implements io.Writer.
func (w writer) Write(b []byte) (int, error) {
	if err := w(b); err != nil {
		return 0, err
	}
	return len(b), nil
}
