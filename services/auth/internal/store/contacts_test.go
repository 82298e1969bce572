package store

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
)

// A word as sync says it: a set of clients, or a removal or release.
type said struct {
	removal  bool
	sequence int64
	at       int
	is       bool
}

func (w said) put(tx *sqldb.Tx, contact string) (bool, error) {
	word := Word{Firm: "f", Contact: contact, Sequence: w.sequence, At: time.UnixMilli(int64(w.at))}
	if w.removal {
		return PutRemoval(tx, word, w.is)
	}
	return PutRelations(tx, word, w.is)
}

// orders calls fn with every order of the words.
func orders(words []said, fn func([]said)) {
	var build func(done, left []said)
	build = func(done, left []said) {
		if len(left) == 0 {
			fn(done)
		}
		for i, w := range left {
			build(append(slices.Clone(done), w), slices.Concat(left[:i], left[i+1:]))
		}
	}
	build(nil, words)
}

// Whatever order the words of sync arrive in, and however coarse its clock is, the contact ends up as sync has it.
func TestAContactIsAsSyncHasItInEveryOrder(t *testing.T) {
	leaves := []said{
		{sequence: 1, at: 1, is: true}, {sequence: 2, at: 2, is: true}, {removal: true, sequence: 1, at: 3, is: true}, {sequence: 3, at: 3},
	}
	back := append(slices.Clone(leaves), said{sequence: 4, at: 4, is: true})
	for name, c := range map[string]struct {
		words   []said
		removed bool
	}{
		"both clients leave":       {leaves, true},
		"and one comes back":       {back, false},
		"its login was known late": {append(slices.Clone(leaves), said{removal: true, sequence: 2, at: 4}), false},
		"back, and released later": {append(slices.Clone(back[2:]), said{removal: true, sequence: 2, at: 5}, said{sequence: 5, at: 5}), false},
		"back, and removed again":  {append(slices.Clone(back[2:]), said{removal: true, sequence: 2, at: 5, is: true}, said{sequence: 5, at: 5}), true},
	} {
		t.Run(name, func(t *testing.T) {
			sqldbtest.Each(t, Migrations, func(t *testing.T, db *sqldb.DB) {
				for _, coarse := range []bool{false, true} {
					orders(c.words, func(words []said) {
						require.NoError(t, db.Tx(t.Context(), func(tx *sqldb.Tx) error {
							if _, err := tx.Exec(`DELETE FROM contacts`); err != nil {
								return err
							}
							for _, w := range words {
								if coarse {
									w.at = 1
								}
								if _, err := w.put(tx, "c"); err != nil {
									return err
								}
							}
							removed, err := ContactRemoved(tx, "f", "c")
							require.Equal(t, c.removed, removed, "%v", words)
							return err
						}))
					})
				}
			})
		})
	}
}

func TestLiftedFencesAreForgottenAfterAMonth(t *testing.T) {
	sqldbtest.Each(t, Migrations, func(t *testing.T, db *sqldb.DB) {
		lifted := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
		fencedAfter := func(d time.Duration) (fenced bool) {
			require.NoError(t, db.Tx(t.Context(), func(tx *sqldb.Tx) (err error) {
				if err := Sweep(tx, lifted.Add(d)); err != nil {
					return err
				}
				if err := AddFences(tx, "f", "saga", []string{"c"}, lifted.Add(d)); err != nil {
					return err
				}
				fenced, err = Fenced(tx, "f", "c")
				return err
			}))
			return fenced
		}
		require.NoError(t, db.Tx(t.Context(), func(tx *sqldb.Tx) error { return LiftFences(tx, "f", "saga", lifted) }))
		require.False(t, fencedAfter(30*24*time.Hour))
		require.True(t, fencedAfter(30*24*time.Hour+time.Second))
	})
}
