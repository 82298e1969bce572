package documents

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/concord-suite/concord/services/documents/internal/blob"
)

// Move says what CopyBlobs copies: between the storage that the settings name and a folder.
type Move struct {
	// Folder is the other place: a blob_dir as it was, or is to be.
	Folder string
	// Out copies from the storage into the folder, else from the folder into the storage.
	Out bool
	// Verify reads what is there already as well, and puts it again when it is damaged.
	Verify bool
}

// Moved counts blobs, and the bytes of those that were copied.
type Moved struct{ Found, Copied, Bytes, There, Gone, Damaged int64 }

// String is a line for people.
func (m Moved) String() string {
	return fmt.Sprintf("%d blobs found: %d copied (%d bytes), %d there already, %d removed meanwhile, %d damaged",
		m.Found, m.Copied, m.Bytes, m.There, m.Gone, m.Damaged)
}

// copiers is how many blobs are copied at once: most of the time goes by waiting for the bucket.
const copiers = 8

// CopyBlobs copies every blob that the other place does not have. It removes nothing, may be stopped and begun again, and may run beside
// a service that writes: what was written since is copied the next time. Bytes are held against their hash before they are put;
// damaged names those that did not match.
func CopyBlobs(ctx context.Context, cfg Config, m Move, damaged func(key string)) (Moved, error) {
	own, _, err := openStorage(ctx, cfg, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		return Moved{}, err
	}
	other, err := blob.OpenLocal(m.Folder)
	if err != nil {
		return Moved{}, err
	}
	c := copier{from: other, to: own, verify: m.Verify, damaged: damaged}
	if m.Out {
		c.from, c.to = own, other
	}
	return c.run(ctx)
}

type copier struct {
	from, to blob.Store
	verify   bool

	mu      sync.Mutex // held while damaged is called
	damaged func(string)

	found, copied, bytes, there, gone, broken atomic.Int64
}

func (c *copier) run(ctx context.Context) (Moved, error) {
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(copiers)
	err := c.from.List(within, "", func(info blob.Info) error {
		if err := within.Err(); err != nil {
			return err
		}
		c.found.Add(1)
		group.Go(func() error { return c.one(within, info) })
		return nil
	})
	if first := group.Wait(); first != nil {
		err = first
	}
	return Moved{Found: c.found.Load(), Copied: c.copied.Load(), Bytes: c.bytes.Load(), There: c.there.Load(),
		Gone: c.gone.Load(), Damaged: c.broken.Load()}, err
}

// one copies a blob unless it is there.
func (c *copier) one(ctx context.Context, info blob.Info) error {
	there, err := c.has(ctx, info)
	if err != nil {
		return err
	}
	if there {
		c.there.Add(1)
		return nil
	}
	err = c.copy(ctx, info)
	switch {
	case errors.Is(err, blob.ErrNotFound):
		c.gone.Add(1)
		return nil
	case errors.Is(err, blob.ErrMismatch), errors.Is(err, blob.ErrDamaged):
		c.broken.Add(1)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.damaged(info.Key.String())
		return nil
	case err != nil:
		return err
	}
	c.copied.Add(1)
	c.bytes.Add(info.Size)
	return nil
}

// has tells whether the other place has the blob: of its size, or of its hash when that is to be verified.
func (c *copier) has(ctx context.Context, info blob.Info) (bool, error) {
	o, err := c.to.Open(ctx, info.Key)
	if errors.Is(err, blob.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer o.Close()
	if o.Info().Size != info.Size || !c.verify {
		return o.Info().Size == info.Size, nil
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, o); err != nil && !errors.Is(err, blob.ErrDamaged) {
		return false, err
	}
	return blob.Sum(hash.Sum(nil)) == info.Key.SHA256, nil
}

func (c *copier) copy(ctx context.Context, info blob.Info) error {
	o, err := c.from.Open(ctx, info.Key)
	if err != nil {
		return err
	}
	defer o.Close()
	staged, err := c.to.Stage(ctx, info.Size)
	if err != nil {
		return err
	}
	defer staged.Discard()
	if _, err := io.Copy(staged, o); err != nil {
		return err
	}
	_, err = staged.Commit(ctx, info.Key)
	return err
}
