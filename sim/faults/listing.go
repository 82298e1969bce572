package faults

import (
	"slices"

	"github.com/concord-suite/concord/sim/world"
)

// defaultShift is how many rows a drifting page is off when the fault does not say.
const defaultShift = 5

// Rows returns the rows of a listing, or none of them under a fault that empties it.
func Rows[T any](f *world.Fault, rows []T) []T {
	if f != nil && f.Kind == Empty {
		return nil
	}
	return rows
}

// Page returns rows[from:to], or under a drift fault what such a page looks like when rows moved since
// the one before. Insertion is acted out by whoever owns the rows.
func Page[T any](f *world.Fault, rows []T, from, to int) []T {
	if f == nil || f.Kind != Drift {
		return rows[from:to]
	}
	shift := f.Shift
	if shift == 0 {
		shift = defaultShift
	}
	switch f.Order {
	case "repeat":
		return rows[max(from-shift, 0):max(to-shift, 0)]
	case "reverse":
		page := slices.Clone(rows[len(rows)-to : len(rows)-from])
		slices.Reverse(page)
		return page
	case "insert":
		return rows[from:to]
	default: // skip
		return rows[min(from+shift, to):to]
	}
}
