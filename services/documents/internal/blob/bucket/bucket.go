// Package bucket keeps blobs as objects of an S3 bucket, of AWS or of whoever else speaks S3.
//
// A blob is one object under its key. Bytes that fit into one request are put there in one, which a bucket does whole or
// not at all. More bytes go up in parts as they come, to a name that no key has, and are copied to their key by the bucket
// itself once they are complete and their hash is the one of the key. Each request carries the SHA-256 of its body, taken
// when the bytes arrived, and the bucket refuses a body that does not match.
//
// What a request sends is kept in a file until it is confirmed, so that it can be sent again. Those files share a bounded
// room; memory does not grow with blobs.
package bucket

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/concord-suite/concord/services/documents/internal/blob"
)

// Options say where the bucket is and how it is used.
type Options struct {
	// Bucket is its name; Prefix stands before each key, "" or "folder/".
	Bucket, Prefix string
	// Region is the bucket's.
	Region string
	// Endpoint is where S3 answers; nil is AWS.
	Endpoint *url.URL
	// PathStyle names the bucket in the path instead of the host.
	PathStyle bool
	// AccessKeyID and SecretAccessKey are a key of the bucket's account. Without them credentials come from where the machine
	// has them: a web identity token, the environment, the instance.
	AccessKeyID, SecretAccessKey string
	// Authorities are the file of the authorities that the endpoint's certificate may have; "" is the system's.
	Authorities string
	// Encryption is "AES256" or "aws:kms", with KMSKey or without; "" is what the bucket does by itself.
	Encryption, KMSKey string
	// Silence is how long the bucket may move no byte before a request is given up.
	Silence time.Duration
	// SpoolDir is the folder of what is on its way; "" is the system's for such files. Spool is how many bytes may be there.
	SpoolDir string
	Spool    int64
	// Pause is the longest pause before a request is sent again; default 4 s: a bucket that asks to slow down is well again after
	// seconds, and people wait for the answer.
	Pause time.Duration

	dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// The sizes of requests, in bytes.
const (
	// partSize is what goes up in one request. Documents of a practice are smaller, nearly all, and need one request; S3 wants
	// at least 5 MiB of a part that is not the last.
	partSize = 16 << 20
	// maxParts is how many parts an object may have, by S3's rules. Larger objects have larger parts.
	maxParts = 10_000
	// copySize is what the bucket copies in one request. S3 allows 5 GiB, which takes it minutes; several of these run at once.
	copySize = 512 << 20
)

// staging is the folder of what is no blob yet. No key starts with a dot.
const staging = ".staging/"

// Store keeps blobs in one bucket. Several processes may use the bucket at once.
type Store struct {
	s3       *s3.Client
	o        Options
	spool    *spool
	part     int64
	copyPart int64
	proved   atomic.Bool // the bucket took an object since it last failed
}

// Open prepares a store. It does not ask the bucket: Ready does.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Pause == 0 {
		o.Pause = 4 * time.Second
	}
	if o.dial == nil {
		o.dial = (&net.Dialer{Timeout: dialTime}).DialContext
	}
	spool, err := newSpool(o.SpoolDir, o.Spool)
	if err != nil {
		return nil, err
	}
	client, err := connect(ctx, o)
	if err != nil {
		return nil, err
	}
	return &Store{s3: client, o: o, spool: spool, part: partSize, copyPart: copySize}, nil
}

// name is the object of a key.
func (s *Store) name(key blob.Key) (*string, error) {
	if !key.Valid() {
		return nil, errors.New("blob: not a key")
	}
	return aws.String(s.o.Prefix + key.String()), nil
}

func (s *Store) bucket() *string { return aws.String(s.o.Bucket) }

// Delete implements blob.Store.
func (s *Store) Delete(ctx context.Context, key blob.Key) error {
	name, err := s.name(key)
	if err != nil {
		return err
	}
	return s.drop(ctx, name)
}

func (s *Store) drop(ctx context.Context, name *string) error {
	_, err := s.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: s.bucket(), Key: name})
	if err != nil && code(err) != "NoSuchKey" {
		return s.failure(ctx, "delete", err)
	}
	return nil
}

// head asks how large an object is; ErrNotFound when there is none.
func (s *Store) head(ctx context.Context, name *string) (*s3.HeadObjectOutput, error) {
	out, err := s.s3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: s.bucket(), Key: name})
	switch {
	case err != nil && status(err) == http.StatusNotFound:
		return nil, blob.ErrNotFound
	case err != nil:
		return nil, s.failure(ctx, "look up", err)
	}
	return out, nil
}

// absent tells whether there is no object. A refusal counts as none: it comes without a word, and the request that follows is
// told the reason.
func (s *Store) absent(ctx context.Context, name *string) (bool, error) {
	_, err := s.s3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: s.bucket(), Key: name})
	if n := status(err); n >= http.StatusBadRequest && n < http.StatusInternalServerError {
		return n == http.StatusNotFound, nil
	}
	return false, s.failure(ctx, "look up", err)
}

// List implements blob.Store.
func (s *Store) List(ctx context.Context, prefix string, fn func(blob.Info) error) error {
	if err := blob.CheckPrefix(prefix); err != nil {
		return err
	}
	return s.each(ctx, prefix, func(o types.Object) error {
		key, err := blob.ParseKey(strings.TrimPrefix(aws.ToString(o.Key), s.o.Prefix))
		if err != nil {
			return nil // not ours, or no blob yet: neither counted nor ever removed
		}
		return fn(blob.Info{Key: key, Size: aws.ToInt64(o.Size), ModTime: aws.ToTime(o.LastModified)})
	})
}

// each calls fn for every object below a folder.
func (s *Store) each(ctx context.Context, folder string, fn func(types.Object) error) error {
	pages := s3.NewListObjectsV2Paginator(s.s3, &s3.ListObjectsV2Input{Bucket: s.bucket(), Prefix: aws.String(s.o.Prefix + folder)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return s.failure(ctx, "list", err)
		}
		for _, o := range page.Contents {
			if err := fn(o); err != nil {
				return err
			}
		}
		if aws.ToBool(page.IsTruncated) && aws.ToString(page.NextContinuationToken) == "" {
			return s.unending("list")
		}
	}
	return nil
}

// unending is a listing that does not say how it goes on: it is not taken for a whole one.
func (s *Store) unending(op string) error {
	return &silent{fmt.Sprintf("blob: bucket %s: %s: the bucket has more, and does not say where it goes on", s.o.Bucket, op)}
}

// Reclaim implements blob.Store: it ends uploads that nobody goes on with, and removes what was complete and never copied.
func (s *Store) Reclaim(ctx context.Context, before time.Time) error {
	in := &s3.ListMultipartUploadsInput{Bucket: s.bucket(), Prefix: aws.String(s.o.Prefix)}
	for {
		page, err := s.s3.ListMultipartUploads(ctx, in)
		if err != nil {
			return s.failure(ctx, "list uploads", err)
		}
		for _, u := range page.Uploads {
			if !s.ours(aws.ToString(u.Key)) || !aws.ToTime(u.Initiated).Before(before) {
				continue
			}
			if err := s.abort(ctx, u.Key, u.UploadId); err != nil {
				return err
			}
		}
		if !aws.ToBool(page.IsTruncated) {
			break
		}
		if aws.ToString(page.NextKeyMarker) == "" {
			return s.unending("list uploads")
		}
		in.KeyMarker, in.UploadIdMarker = page.NextKeyMarker, page.NextUploadIdMarker
	}
	return s.each(ctx, staging, func(o types.Object) error {
		if !aws.ToTime(o.LastModified).Before(before) {
			return nil
		}
		return s.drop(ctx, o.Key)
	})
}

// ours tells whether an upload of that name is one that this package begins: of staged bytes, or a copy to a key.
func (s *Store) ours(name string) bool {
	name = strings.TrimPrefix(name, s.o.Prefix)
	_, err := blob.ParseKey(name)
	return err == nil || path.Dir(name)+"/" == staging
}

func (s *Store) abort(ctx context.Context, name, upload *string) error {
	_, err := s.s3.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: s.bucket(), Key: name, UploadId: upload})
	if err != nil && code(err) != "NoSuchUpload" {
		return s.failure(ctx, "abort", err)
	}
	return nil
}

// Ready implements blob.Store. The first time, and after a failure, it puts an object and removes it: a key that may read
// and not write is found out before a person uploads something. Otherwise it asks whether the bucket is there, as objects that
// come and go leave traces in a bucket that keeps versions.
func (s *Store) Ready(ctx context.Context) error {
	if s.proved.Load() {
		_, err := s.s3.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: s.bucket()}, soon)
		if err != nil {
			s.proved.Store(false)
		}
		return s.failure(ctx, "look at the bucket", err)
	}
	probe := s.unnamed()
	in := &s3.PutObjectInput{Bucket: s.bucket(), Key: probe, Body: strings.NewReader("concord")}
	in.ServerSideEncryption, in.SSEKMSKeyId = s.encryption()
	if _, err := s.s3.PutObject(ctx, in, soon); err != nil {
		return s.failure(ctx, "put", err)
	}
	if _, err := s.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: s.bucket(), Key: probe}, soon); err != nil {
		return s.failure(ctx, "delete", err)
	}
	s.proved.Store(true)
	return nil
}

func (s *Store) encryption() (types.ServerSideEncryption, *string) {
	if s.o.KMSKey == "" {
		return types.ServerSideEncryption(s.o.Encryption), nil
	}
	return types.ServerSideEncryption(s.o.Encryption), aws.String(s.o.KMSKey)
}
