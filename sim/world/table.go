package world

import (
	"encoding/json"
	"fmt"
	"iter"

	"github.com/concord-suite/concord/sim/journal"
)

// Table holds the rows of one kind by id. A row is never changed in place: writers put a changed
// copy, so a reader may keep the pointer it got for as long as it likes.
type Table[T any] struct {
	kind    string
	rows    map[string]*T
	version uint64 // grows with every change; lets sorted views know when they are stale
}

func newTable[T any](kind string) *Table[T] {
	return &Table[T]{kind: kind, rows: map[string]*T{}}
}

// Get returns the row or nil.
func (t *Table[T]) Get(id string) *T { return t.rows[id] }

// Len returns the number of rows.
func (t *Table[T]) Len() int { return len(t.rows) }

// All yields every row in no particular order.
func (t *Table[T]) All() iter.Seq2[string, *T] {
	return func(yield func(string, *T) bool) {
		for id, row := range t.rows {
			if !yield(id, row) {
				return
			}
		}
	}
}

// Put stores row under id as part of tx.
func (t *Table[T]) Put(tx *Tx, id string, row *T) {
	value, err := json.Marshal(row)
	if err != nil {
		tx.fail(fmt.Errorf("encode %s %s: %w", t.kind, id, err))
		return
	}
	tx.add(journal.Record{Kind: t.kind, ID: id, Value: value}, t.restore(id))
	t.set(id, row)
}

// Delete removes the row under id as part of tx. A missing row is no error.
func (t *Table[T]) Delete(tx *Tx, id string) {
	if t.rows[id] == nil {
		return
	}
	tx.add(journal.Record{Kind: t.kind, ID: id}, t.restore(id))
	t.set(id, nil)
}

// restore returns a function that puts back what stands under id now.
func (t *Table[T]) restore(id string) func() {
	old := t.rows[id]
	return func() { t.set(id, old) }
}

func (t *Table[T]) set(id string, row *T) {
	t.version++
	if row == nil {
		delete(t.rows, id)
		return
	}
	t.rows[id] = row
}

// load and dump are how the store moves rows from and to the journal.
func (t *Table[T]) load(r journal.Record) error {
	if r.Value == nil {
		t.set(r.ID, nil)
		return nil
	}
	row := new(T)
	if err := json.Unmarshal(r.Value, row); err != nil {
		return fmt.Errorf("decode %s %s: %w", t.kind, r.ID, err)
	}
	t.set(r.ID, row)
	return nil
}

func (t *Table[T]) dump(yield func(journal.Record) error) error {
	for id, row := range t.rows {
		value, err := json.Marshal(row)
		if err != nil {
			return fmt.Errorf("encode %s %s: %w", t.kind, id, err)
		}
		if err := yield(journal.Record{Kind: t.kind, ID: id, Value: value}); err != nil {
			return err
		}
	}
	return nil
}
