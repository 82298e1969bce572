package record

import "strings"

// Watch looks at the pages of one listing as they pass and notices when the listing moved under the reader: a record
// that comes a second time, a page that is not full though another follows, or names out of an order that the first page
// kept. It keeps 16 bytes per record, about 5 MB for 100,000.
//
// What it cannot see is a record that slid, unseen, from an unread page to a read one. That is why nothing is removed on
// a listing's word alone.
type Watch struct {
	seen    map[[16]byte]struct{}
	drifted bool
	ordered bool
	pages   int
	last    string
}

// NewWatch starts watching. drifted and last are what State told when the listing was interrupted; last is empty for a
// new listing and for one whose first page was in no order.
func NewWatch(drifted bool, last string) *Watch {
	w := &Watch{seen: map[[16]byte]struct{}{}, drifted: drifted, last: last}
	if last != "" {
		w.ordered, w.pages = true, 1
	}
	return w
}

// Page looks at one page. full is the page size asked for, more tells whether another page follows.
func (w *Watch) Page(records []Record, full int, more bool) {
	if more && len(records) < full {
		w.drifted = true
	}
	sorted := w.sorted(records)
	if w.pages == 0 {
		w.ordered = sorted
	} else if w.ordered && !sorted {
		w.drifted = true
	}
	w.pages++
	w.look(records)
}

// Gathered looks at records that were put together out of pages of something else: their number and order say nothing.
// drifted is what was seen of those pages.
func (w *Watch) Gathered(records []Record, drifted bool) {
	w.drifted = w.drifted || drifted
	w.ordered = false
	w.pages++
	w.look(records)
}

// look notices what comes a second time.
func (w *Watch) look(records []Record) {
	for _, r := range records {
		key := short(r.ID)
		if _, twice := w.seen[key]; twice {
			w.drifted = true
		}
		w.seen[key] = struct{}{}
	}
}

// Drifted reports whether the listing moved.
func (w *Watch) Drifted() bool { return w.drifted }

// State returns what NewWatch needs to go on after an interruption.
func (w *Watch) State() (drifted bool, last string) {
	if !w.ordered {
		return w.drifted, ""
	}
	return w.drifted, w.last
}

// sorted reports whether the names of a page ascend, from the last name of the page before.
func (w *Watch) sorted(records []Record) bool {
	ok := true
	for _, r := range records {
		name := strings.ToLower(r.name())
		ok = ok && name >= w.last
		w.last = name
	}
	return ok
}

func (r Record) name() string {
	switch {
	case r.Client != nil:
		return r.Client.Name
	case r.Contact != nil:
		return r.Contact.Name
	}
	return ""
}
