package trail

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"io"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/auth/internal/ledger"
	"github.com/concord-suite/concord/services/auth/internal/ledger/transcript"
	"github.com/concord-suite/concord/services/auth/internal/store/chain"
)

// ErrBeyond says that a transcript was to begin behind the end of its chain.
var ErrBeyond = errors.New("trail: the chain is not that long")

// pageSize is how many entries are held in memory: at under a kilobyte each, some hundred kilobytes.
const pageSize = 500

// Export writes the transcript of a chain, from a place on to where the chain ended when it began. It reads page by page, so
// that a slow reader keeps no transaction open: what is in a chain does not change. Entries go out as they are kept, also
// when they do not fit: that is for whoever checks them to find.
func (k Keys) Export(ctx context.Context, w io.Writer, name string, first int64, program string) error {
	key, err := k.Signer(ctx)
	if err != nil {
		return err
	}
	set, err := transcript.KeySet(key.Public().(ed25519.PublicKey))
	if err != nil {
		return err
	}
	first = max(first, 1)
	end, previous, err := k.span(ctx, name, first)
	if err != nil {
		return err
	}
	out, err := transcript.NewWriter(w, transcript.Header{
		Chain: name, First: first, Previous: previous, Created: k.Now().UTC(), Program: program, Keys: set,
	})
	if err != nil {
		return err
	}
	for at := first - 1; at < end.Sequence; {
		page, err := k.page(ctx, name, at, end.Sequence)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break // rows are missing; the transcript shows it
		}
		for _, e := range page {
			_, readable, unread := Words(e.Payload)
			if unread != nil {
				readable = nil
			}
			if err := out.Entry(e.Sequence, readable, e.Payload, e.Hash); err != nil {
				return err
			}
			at = e.Sequence
		}
	}
	return out.Close(key, k.Now().UTC())
}

// span is the end of a chain, and the hash before a place in it.
func (k Keys) span(ctx context.Context, name string, first int64) (end ledger.Head, previous string, err error) {
	err = k.DB.Read(ctx, func(tx *sqldb.Tx) error {
		if end, err = chain.Head(tx, name); err != nil || first == 1 {
			return err
		}
		if first > end.Sequence+1 {
			return ErrBeyond
		}
		before, err := chain.After(tx, name, first-2, 1)
		if len(before) == 1 {
			previous = hex.EncodeToString(before[0].Hash)
		}
		return err
	})
	return end, previous, err
}

func (k Keys) page(ctx context.Context, name string, after, last int64) (page []chain.Entry, err error) {
	err = k.DB.Read(ctx, func(tx *sqldb.Tx) error {
		page, err = chain.After(tx, name, after, int(min(pageSize, last-after)))
		return err
	})
	for len(page) > 0 && page[len(page)-1].Sequence > last { // rows are missing in between
		page = page[:len(page)-1]
	}
	return page, err
}
