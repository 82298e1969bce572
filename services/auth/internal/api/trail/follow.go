package trail

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/auth/internal/store/chain"
)

// Places are how far each chain was copied: the place of its last entry that was. It is kept as JSON.
type Places map[string]int64

// copied is an entry on its way to another system.
type copied struct {
	Chain    string          `json:"chain"`
	Sequence int64           `json:"sequence"`
	Entry    json.RawMessage `json:"entry,omitempty"`
	Hash     string          `json:"hash"`
	Payload  []byte          `json:"payload"`
}

// Follow copies entries as lines of JSON to w, those of one chain in their order, from the places on; only those of one
// chain when only is not nil. After each round of lines it calls kept with the places as they are then. Without wait it ends
// when it has caught up; else it looks again after each wait until ctx ends, and returns nil then.
func Follow(
	ctx context.Context, db *sqldb.DB, only *string, from Places, w io.Writer, kept func(Places) error, wait time.Duration,
) error {
	for {
		n, err := round(ctx, db, only, from, w)
		if err == nil && n > 0 {
			err = kept(from)
		}
		switch {
		case err != nil && ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case n > 0:
			continue // there may be more already
		case wait == 0:
			return nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// round copies at most a page of each chain.
func round(ctx context.Context, db *sqldb.DB, only *string, at Places, w io.Writer) (n int, err error) {
	var heads []chain.Named
	if err := db.Read(ctx, func(tx *sqldb.Tx) (err error) { heads, err = chain.Heads(tx); return err }); err != nil {
		return 0, err
	}
	for _, h := range heads {
		if (only != nil && h.Chain != *only) || h.Sequence <= at[h.Chain] {
			continue
		}
		var page []chain.Entry
		err := db.Read(ctx, func(tx *sqldb.Tx) (err error) {
			page, err = chain.After(tx, h.Chain, at[h.Chain], pageSize)
			return err
		})
		if err != nil {
			return n, err
		}
		for _, e := range page {
			_, readable, unread := Words(e.Payload)
			if unread != nil {
				readable = nil
			}
			text, err := json.Marshal(copied{h.Chain, e.Sequence, readable, hex.EncodeToString(e.Hash), e.Payload})
			if err == nil {
				_, err = w.Write(append(text, '\n'))
			}
			if err != nil {
				return n, err
			}
			at[h.Chain] = e.Sequence
			n++
		}
	}
	return n, nil
}
