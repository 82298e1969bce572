package store

import (
	"errors"
	"slices"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/documents/internal/blob"
)

// LiveBlob answers the key under which bytes with this hash are, or should be put: the present generation, or the one
// after it when that is being removed. size is -1 when there are none yet.
func LiveBlob(tx *sqldb.Tx, firm, sha256 string) (key blob.Key, size int64, err error) {
	key = blob.Key{Firm: firm, SHA256: sha256, Generation: 1}
	var state string
	err = tx.QueryRow(`SELECT generation, size, state FROM blobs WHERE firm = $1 AND sha256 = $2`, firm, sha256).
		Scan(&key.Generation, &size, &state)
	switch {
	case errors.Is(err, sqldb.ErrNotFound):
		return key, -1, nil
	case err == nil && state != live:
		key.Generation++
		return key, -1, nil
	}
	return key, size, err
}

// A blob is LIVE, then DELETING (its file may go any moment), then GONE. Its row stays, so that a generation that is gone
// is never taken again.
const live = "LIVE"

// ErrBlobGoing is returned when the bytes that a document should refer to are being removed: put them under the key that
// LiveBlob answers now, and try again.
var ErrBlobGoing = errors.New("store: the blob is being removed")

// UseBlob makes the bytes under key referable by the document that this transaction writes, and protects them from the
// sweep. Whoever swept first wins: the error is ErrBlobGoing.
func UseBlob(tx *sqldb.Tx, key blob.Key, size int64, now time.Time) error {
	n, err := tx.Exec(`INSERT INTO blobs (firm, sha256, generation, size, state, touched) VALUES ($1, $2, $3, $4, 'LIVE', $5)
		ON CONFLICT (firm, sha256) DO UPDATE SET generation = excluded.generation, state = 'LIVE', touched = excluded.touched
		WHERE (blobs.state = 'LIVE' AND blobs.generation = excluded.generation)
		OR (blobs.state <> 'LIVE' AND blobs.generation < excluded.generation)`,
		key.Firm, key.SHA256, key.Generation, size, micros(now))
	if err == nil && n == 0 {
		return ErrBlobGoing
	}
	return err
}

// TouchBlob begins the grace of bytes that a document let go.
func TouchBlob(tx *sqldb.Tx, firm, sha256 string, now time.Time) error {
	_, err := tx.Exec(`UPDATE blobs SET touched = $3 WHERE firm = $1 AND sha256 = $2`, firm, sha256, micros(now))
	return err
}

const unreferenced = `NOT EXISTS (SELECT 1 FROM documents d WHERE d.firm = blobs.firm AND d.sha256 = blobs.sha256)`

// CondemnBlobs declares dead, at most limit at once, the blobs that no document refers to and that were not touched since
// the time given. From here on no document can come to refer to them; their files may go. It is for a transaction that
// sees what others committed meanwhile (sqldb.ReadCommitted): the rows are held first and the documents looked for after
// that, so a document filed at the same moment is either seen or finds its blob condemned.
func CondemnBlobs(tx *sqldb.Tx, before time.Time, limit int) (int64, error) {
	held, err := sqldb.Collect(tx, func(r *sqldb.Rows) (k blob.Key, err error) { return k, r.Scan(&k.Firm, &k.SHA256) },
		`SELECT firm, sha256 FROM blobs WHERE state = 'LIVE' AND touched < $1 AND `+unreferenced+`
		ORDER BY firm, sha256 LIMIT $2`+tx.Dialect().SkipLocked(), micros(before), limit)
	if err != nil {
		return 0, err
	}
	for _, k := range held {
		if _, err := tx.Exec(`UPDATE blobs SET state = 'DELETING' WHERE firm = $1 AND sha256 = $2 AND state = 'LIVE' AND `+unreferenced,
			k.Firm, k.SHA256); err != nil {
			return 0, err
		}
	}
	return int64(len(held)), nil
}

// CondemnStray declares dead a file that no live row refers to: its upload never came to its end, or it was left by a
// removal that did not. It answers false when the file is, or may come to be, in use.
func CondemnStray(tx *sqldb.Tx, info blob.Info, now time.Time) (bool, error) {
	k := info.Key
	n, err := tx.Exec(`INSERT INTO blobs (firm, sha256, generation, size, state, touched) VALUES ($1, $2, $3, $4, 'DELETING', $5)
		ON CONFLICT (firm, sha256) DO UPDATE SET generation = excluded.generation, state = 'DELETING'
		WHERE blobs.state <> 'LIVE' AND blobs.generation < excluded.generation`,
		k.Firm, k.SHA256, k.Generation, info.Size, micros(now))
	if err != nil || n > 0 {
		return n > 0, err
	}
	var known int64
	var state string
	err = tx.QueryRow(`SELECT generation, state FROM blobs WHERE firm = $1 AND sha256 = $2`, k.Firm, k.SHA256).Scan(&known, &state)
	return known > k.Generation || (known == k.Generation && state != live), err
}

// Condemned lists blobs whose files may go.
func Condemned(tx *sqldb.Tx, limit int) ([]blob.Key, error) {
	return sqldb.Collect(tx, func(r *sqldb.Rows) (k blob.Key, err error) { return k, r.Scan(&k.Firm, &k.SHA256, &k.Generation) },
		`SELECT firm, sha256, generation FROM blobs WHERE state = 'DELETING' ORDER BY firm, sha256 LIMIT $1`, limit)
}

// BuryBlob says that the file of a condemned blob is gone. A newer generation stays what it is.
func BuryBlob(tx *sqldb.Tx, key blob.Key) error {
	_, err := tx.Exec(`UPDATE blobs SET state = 'GONE' WHERE firm = $1 AND sha256 = $2 AND generation = $3 AND state = 'DELETING'`,
		key.Firm, key.SHA256, key.Generation)
	return err
}

// LiveBlobs answers which of the files are those of live rows.
func LiveBlobs(tx *sqldb.Tx, files []blob.Info) (map[blob.Key]bool, error) {
	var sums, firms []string
	for _, f := range files {
		sums = append(sums, f.Key.SHA256)
		if !slices.Contains(firms, f.Key.Firm) {
			firms = append(firms, f.Key.Firm)
		}
	}
	d := tx.Dialect()
	keys, err := sqldb.Collect(tx, func(r *sqldb.Rows) (k blob.Key, err error) { return k, r.Scan(&k.Firm, &k.SHA256, &k.Generation) },
		`SELECT firm, sha256, generation FROM blobs WHERE state = 'LIVE'
		AND `+d.AnyOf("firm", 1)+` AND `+d.AnyOf("sha256", 2), sqldb.List(d, firms), sqldb.List(d, sums))
	live := make(map[blob.Key]bool, len(keys))
	for _, k := range keys {
		live[k] = true
	}
	return live, err
}
