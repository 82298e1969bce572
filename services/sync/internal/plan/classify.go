package plan

import (
	"strings"
	"time"

	"github.com/concord-suite/concord/services/sync/internal/client"
)

// Presence is what is known of a linked record at its provider.
type Presence string

// The presences.
const (
	// Present: there, as far as is known.
	Present Presence = "PRESENT"
	// Gone: the provider said that it is archived, closed, deleted or absent.
	Gone Presence = "GONE"
	// Kept: gone there, and a person decided to keep the client here. Nothing removes it until it was there again.
	Kept Presence = "KEPT"
)

// Held is what is held of a record: its link, and where its client stands.
type Held struct {
	Record, Client string
	Hash           string
	// BaseAt is the provider's clock when the base was agreed; GoneAt when the record was said to be gone.
	BaseAt, GoneAt time.Time
	// GoneRun is the connection's run that was under way, or the last, when that was said; "" when that is not known.
	GoneRun    string
	Presence   Presence
	OutOfScope bool
	// Refuted: it was in use when it was read, although it was not listed.
	Refuted     bool
	LinkVersion int64

	ClientState   client.State
	ClientVersion int64
	ListSource    string
	// Offboarding is the client's last one; Hand says that a person started it; OpenHere that the client has not left
	// through it yet.
	Offboarding    string
	Hand, OpenHere bool
}

// Seen is a record as a listing has it.
type Seen struct {
	Active bool
	Hash   string
	// At is the provider's clock when it answered the page.
	At time.Time
	// Run is the run that reads the listing.
	Run string
	// Outside: it is in use, and of none of the chosen contact types; never Active.
	Outside bool
}

// after tells whether the page is later news than that the record is gone. The providers' clocks tell seconds, and much
// happens within one: then a page that was asked for by a run that began after the record was said to be gone is later,
// and one of the run that was under way may be older.
func (s Seen) after(h Held) bool {
	if s.At.Equal(h.GoneAt) {
		return h.GoneRun != "" && s.Run != h.GoneRun
	}
	return s.At.After(h.GoneAt)
}

// Verdict is what a listed record means for what is held of it.
type Verdict struct {
	// Update: its fields differ from the base.
	Update bool
	// Back: it is there again, or in scope again; the link says so from now on.
	Back bool
	// Restore: its client had left because the record was gone, and comes back.
	Restore bool
	// Cancel: its client is about to leave because the record was gone, and stays.
	Cancel bool
}

// Nothing tells whether nothing is to be done.
func (v Verdict) Nothing() bool { return v == Verdict{} }

// Classify compares a listed record with what is held of it. A page that the provider answered before what is held was
// agreed on, or before the record was said to be gone, is older news and changes nothing: later changes win over earlier
// pages. A record that is listed as archived or deleted changes nothing here either: that is a removal, which needs more
// proof than a line in a listing. Of one that is out of scope nothing is taken, but the word that it is gone.
func Classify(seen Seen, held Held) Verdict {
	var v Verdict
	if seen.Outside && held.Presence == Gone && held.OpenHere && !held.Hand && seen.after(held) {
		return Verdict{Back: true, Cancel: true} // it is not gone, and nothing else is known of it
	}
	if !seen.Active || seen.At.Before(held.BaseAt) {
		return v
	}
	v.Update = !SameHash(seen.Hash, held.Hash)
	if held.OutOfScope || held.Refuted {
		v.Back = true
	}
	if held.Presence == Present || !seen.after(held) {
		return v
	}
	v.Back = true
	if held.Presence == Gone {
		v.Restore = held.ClientState == client.Offboarded
		v.Cancel = held.OpenHere && !held.Hand
	}
	return v
}

// GroupsFollow stands in a hash before what stands for the groups of a record, where a listing carries them.
const GroupsFollow = ":"

// SameHash tells whether a record is what it was, by the hash that it has in a listing and the one that is held. A listing
// that says nothing of groups does not contradict one that did.
func SameHash(seen, held string) bool {
	if seen == held {
		return true
	}
	fields, _, grouped := strings.Cut(held, GroupsFollow)
	return grouped && seen == fields
}

// Stale tells whether the ground of a change moved: the client or the link is another version than the change was made
// on, the link leads to another client, or the client is no longer simply in the list.
func (c *Change) Stale(now Held) bool {
	return now.Client != c.Client || now.LinkVersion != c.LinkVersion || now.ClientVersion != c.ClientVersion ||
		now.ClientState != client.Listed || now.Presence != Present
}
