package documents

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/concord-suite/concord/platform/config"
	"github.com/concord-suite/concord/services/documents/internal/blob"
	"github.com/concord-suite/concord/services/documents/internal/blob/bucket"
)

// S3 says where the bytes are when they are in a bucket.
type S3 struct {
	Bucket          string        `config:"bucket" doc:"The S3 bucket of the documents' bytes, which takes the place of a folder."`
	Prefix          string        `config:"prefix" doc:"What stands before each object's name, ending with a slash; for a bucket that others use, too."`
	Region          string        `config:"region" default:"us-east-1" doc:"The bucket's region."`
	Endpoint        *url.URL      `config:"endpoint" doc:"Where S3 answers, when it is not AWS: https:// and a host."`
	PathStyle       bool          `config:"path_style" default:"false" doc:"Whether the bucket is named in the path of an address, not in its host; most makers but AWS want that."`
	AccessKeyID     string        `config:"access_key_id" secret:"true" doc:"The access key. Unset: what the machine has (web identity, environment, instance)."`
	SecretAccessKey string        `config:"secret_access_key" secret:"true" doc:"Its secret."`
	CAFile          string        `config:"ca_file" doc:"The authorities that the endpoint's certificate may have; unset: the system's."`
	Encryption      string        `config:"encryption" default:"bucket" oneof:"bucket AES256 aws:kms" doc:"How objects are encrypted; bucket: as the bucket does by itself."`
	KMSKey          string        `config:"kms_key" doc:"The key for aws:kms; unset: the account's own for S3."`
	Silence         time.Duration `config:"silence" default:"15s" min:"1s" max:"5m" doc:"How long the bucket may move no byte before a request is given up."`
	SpoolDir        string        `config:"spool_dir" doc:"The folder of bytes on their way to the bucket; unset: the system's for temporary files."`
	Spool           config.Size   `config:"spool" default:"1GiB" min:"16MiB" max:"1024GiB" doc:"How many bytes may be on their way at once. An upload takes 16 MiB of it, or twice that while there is room, one above 156 GiB more."`
}

var (
	bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	folderName = regexp.MustCompile(`^([A-Za-z0-9_-][A-Za-z0-9._-]*/)*$`) // nothing that has to be escaped somewhere
)

// Validate checks what one setting says about another.
func (s *S3) Validate() error {
	if s.Bucket == "" {
		if s.Endpoint != nil || s.AccessKeyID != "" {
			return errors.New("s3.bucket is required with the other settings of s3")
		}
		return nil
	}
	var errs []error
	refuse := func(when bool, text string) {
		if when {
			errs = append(errs, errors.New(text))
		}
	}
	refuse(!bucketName.MatchString(s.Bucket), "s3.bucket is the name of a bucket: 3 to 63 small letters, digits, dots and hyphens")
	refuse(!folderName.MatchString(s.Prefix), "s3.prefix is letters, digits, dots and hyphens, and ends with a slash")
	refuse((s.AccessKeyID == "") != (s.SecretAccessKey == ""), "s3.access_key_id and s3.secret_access_key belong together")
	refuse(s.KMSKey != "" && s.Encryption != "aws:kms", "s3.kms_key is for s3.encryption aws:kms")
	if e := s.Endpoint; e != nil {
		refuse(e.Hostname() == "" || e.User != nil || e.RawQuery != "" || strings.Trim(e.Path, "/") != "" ||
			e.Scheme != "https" && (e.Scheme != "http" || !loopback(e.Hostname())),
			"s3.endpoint is https:// and a host, or http:// on the same machine")
	}
	return errors.Join(errs...)
}

func (s *S3) open(ctx context.Context) (*bucket.Store, error) {
	o := bucket.Options{Bucket: s.Bucket, Prefix: s.Prefix, Region: s.Region, Endpoint: s.Endpoint, PathStyle: s.PathStyle,
		AccessKeyID: s.AccessKeyID, SecretAccessKey: s.SecretAccessKey, Authorities: s.CAFile, KMSKey: s.KMSKey,
		Silence: s.Silence, SpoolDir: s.SpoolDir, Spool: int64(s.Spool)}
	if s.Encryption != "bucket" {
		o.Encryption = s.Encryption
	}
	return bucket.Open(ctx, o)
}

// openStorage opens what the settings name.
func openStorage(ctx context.Context, cfg Config, now func() time.Time, logger *slog.Logger) (blob.Store, *watch, error) {
	if cfg.S3.Bucket == "" {
		store, err := blob.OpenLocal(cfg.BlobDir)
		if err != nil {
			return nil, nil, err
		}
		return store, &watch{ask: store.Ready}, nil
	}
	store, err := cfg.S3.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	return store, &watch{ask: store.Ready, remote: true, now: now, log: logger}, nil
}

const (
	// lookEvery is how often a bucket is looked at that was well; lookSoon, one that was not: its recovery is waited for.
	lookEvery = 10 * time.Second
	lookSoon  = 2 * time.Second
	// lookTime bounds one look.
	lookTime = 5 * time.Second
	// sayEvery is how often the log says again what is wrong with a bucket.
	sayEvery = 30 * time.Second
)

// watch knows how the storage is.
//
// A folder is looked at whenever somebody asks: one that is away is most likely this pod's trouble, and another pod can do
// better. A bucket costs a request, and is all pods' trouble alike: were they all not ready, folders, off-boardings and
// signatures would be away as well, which need no bytes. So it is looked at beside the questions. Until it was well once, the
// process is not ready: a wrong key or name is found by the first pod of a rollout, and the pods before it go on. From then on
// the process serves without it, and says so.
type watch struct {
	ask    func(context.Context) error
	remote bool
	now    func() time.Time
	log    *slog.Logger

	mu      sync.Mutex
	looking chan struct{} // closed when the look under way is over; nil when there is none
	looked  time.Time
	reached bool // it was well once
	since   time.Time
	said    time.Time
	err     error
}

// ready is nil when the process can serve. It returns soon after ctx ends.
func (w *watch) ready(ctx context.Context) error {
	if !w.remote {
		return w.ask(ctx)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.look(ctx)
	if w.reached {
		return nil
	}
	if under := w.looking; under != nil {
		w.mu.Unlock()
		select {
		case <-under:
		case <-ctx.Done():
		}
		w.mu.Lock()
	}
	switch {
	case w.reached:
		return nil
	case w.err != nil:
		return w.err
	}
	return errors.New("documents: the bucket was not reached yet")
}

// look begins a look when one is due. The caller holds mu.
func (w *watch) look(ctx context.Context) {
	pause := lookEvery
	if w.err != nil || !w.reached {
		pause = lookSoon
	}
	if w.looking != nil || !w.looked.IsZero() && w.now().Sub(w.looked) < pause {
		return
	}
	done := make(chan struct{})
	w.looking = done
	go func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTime)
		defer cancel()
		err := w.ask(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("documents: the bucket did not answer within %s", lookTime)
		}
		w.note(ctx, err)
	}()
}

// note takes down how the bucket is.
func (w *watch) note(ctx context.Context, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looking, w.looked = nil, w.now()
	switch {
	case err == nil && w.err != nil && w.reached:
		w.log.InfoContext(ctx, "the bucket answers again", "after", w.looked.Sub(w.since).Round(time.Second))
	case err != nil && (w.err == nil || w.looked.Sub(w.said) >= sayEvery):
		w.log.WarnContext(ctx, "the bucket of the documents' bytes can not be used: uploads and downloads fail", "error", err)
		w.said = w.looked
	}
	if err != nil && w.err == nil {
		w.since = w.looked
	}
	w.err, w.reached = err, w.reached || err == nil
}

// state says what the process does without, "" when that is nothing.
func (w *watch) state() string {
	if !w.remote {
		return ""
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil || !w.reached {
		return ""
	}
	return fmt.Sprintf("bytes unreachable for %s, serving without them", w.now().Sub(w.since).Round(time.Second))
}
