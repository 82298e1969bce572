package saga

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/history"
	"github.com/concord-suite/concord/services/sync/internal/offboard"
	"github.com/concord-suite/concord/services/sync/internal/peer"
	"github.com/concord-suite/concord/services/sync/internal/plan"
	"github.com/concord-suite/concord/services/sync/internal/store"
)

// errBlocked: something blocks the client; that is recorded, and an event or time brings the off-boarding up again.
var errBlocked = errors.New("saga: blocked")

// begin fences the client at documents, or records what blocks it.
func (w *Worker) begin(ctx context.Context, o *offboard.Offboarding) error {
	asked := o.Woken
	begun, err := w.Peers.Begin(ctx, w.client(o), w.name(o), o.Override, o.Reason)
	if err != nil {
		return err
	}
	err = w.advance(ctx, o, func(tx *sqldb.Tx, o *offboard.Offboarding) error {
		if len(begun.Blockers) > 0 {
			return w.block(tx, o, begun.Blockers, asked)
		}
		if o.State == offboard.Blocked {
			if err := w.unblock(tx, o); err != nil {
				return err
			}
		}
		o.Folder, o.DocumentCount, o.TrailSeq = begun.Folder, begun.Documents, begun.TrailSeq
		o.Step = offboard.Fence
		text := fmt.Sprintf("no new signature requests and email jobs; the folder holds %s", countOf(begun.Documents, "document"))
		if o.Override {
			text += "; open signature requests were withdrawn"
		}
		return store.AddLine(tx, o.ID, text, w.Now())
	})
	if err == nil && o.State == offboard.Blocked && o.Step == offboard.Begin {
		return errBlocked
	}
	return err
}

// block records why the client stays. It is an ordinary client meanwhile, with the reasons shown. What woke the off-boarding
// since documents was asked may have come after the answer was made: then documents is asked again, at once.
func (w *Worker) block(tx *sqldb.Tx, o *offboard.Offboarding, blockers []client.Blocker, asked int64) error {
	now := w.Now()
	who, err := store.LockClient(tx, o.Firm, o.Client)
	if err != nil {
		return err
	}
	again := o.State == offboard.Blocked && slices.Equal(blockers, o.Blockers)
	o.State, o.Step, o.Blockers, o.NextAt = offboard.Blocked, offboard.Begin, blockers, offboard.RecheckAt(now)
	if o.Woken != asked {
		o.NextAt = now
	}
	if again && who.State == client.Listed {
		return nil // as before: nothing to tell
	}
	if err := store.SetClientState(tx, o.Client, client.Listed, o.ID, blockers, now); err != nil {
		return err
	}
	text := "blocked: " + sentences(blockers)
	if err := store.AddLine(tx, o.ID, text, now); err != nil {
		return err
	}
	if o.Change != "" {
		if err := store.SetChangeState(tx, o.Change, plan.ChangeBlocked, blockers); err != nil {
			return err
		}
	}
	return w.note(tx, o, history.OffboardBlocked, "off-boarding "+text)
}

func (w *Worker) unblock(tx *sqldb.Tx, o *offboard.Offboarding) error {
	now := w.Now()
	if _, err := store.LockClient(tx, o.Firm, o.Client); err != nil {
		return err
	}
	if err := store.SetClientState(tx, o.Client, client.Leaving, o.ID, nil, now); err != nil {
		return err
	}
	o.State, o.Blockers = offboard.Preparing, nil
	if o.Change != "" {
		if err := store.SetChangeState(tx, o.Change, plan.ChangeApplied, nil); err != nil {
			return err
		}
	}
	return store.AddLine(tx, o.ID, "nothing blocks it any more", now)
}

func sentences(blockers []client.Blocker) string {
	words := make([]string, len(blockers))
	for i, b := range blockers {
		words[i] = b.Description
	}
	return strings.Join(words, "; ")
}

// note appends to the client's history.
func (w *Worker) note(tx *sqldb.Tx, o *offboard.Offboarding, kind, text string) error {
	return store.AppendHistory(tx, o.Firm, history.Entry{
		Client: o.Client, At: w.Now(), Kind: kind, Actor: history.SystemActor, Summary: text, Resource: w.name(o),
	})
}

// fence keeps auth from giving logins to the client's contacts, and learns who of them has one.
func (w *Worker) fence(ctx context.Context, o *offboard.Offboarding) error {
	var contacts []string
	err := w.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
		contacts, err = store.ContactsOf(tx, o.Client)
		return err
	})
	if err != nil {
		return err
	}
	var logins []string
	if len(contacts) > 0 {
		if logins, err = w.Peers.Fence(ctx, "firms/"+o.Firm, o.ID, namesOf(o.Firm, contacts)); err != nil {
			return err
		}
	}
	return w.advance(ctx, o, func(tx *sqldb.Tx, o *offboard.Offboarding) error {
		o.Fenced, o.Logins = contacts, lastSegments(logins)
		o.Step = offboard.File
		return store.AddLine(tx, o.ID, fmt.Sprintf("no new logins for %s, of which %d have one",
			countOf(int64(len(contacts)), "contact"), len(logins)), w.Now())
	})
}

func namesOf(firm string, contacts []string) []string {
	out := make([]string, len(contacts))
	for i, c := range contacts {
		out[i] = store.Name(firm, "contacts", c)
	}
	return out
}

func lastSegments(names []string) []string {
	var out []string
	for _, n := range names {
		out = append(out, n[strings.LastIndexByte(n, '/')+1:])
	}
	return out
}

// historyPage is how many entries are read at a time while the history is filed.
const historyPage = 1000

// file waits until everything that documents told about the client before its fence, or before the history was filed the
// last time, is in the history, and files the history as it then is.
func (w *Worker) file(ctx context.Context, o *offboard.Offboarding) error {
	who, err := w.complete(ctx, o)
	if err != nil {
		return err
	}
	upTo := who.HistorySeq
	filed, err := w.Peers.File(ctx, peer.SystemFile{
		Firm: "firms/" + o.Firm, Client: w.client(o), Name: history.FileName(who.Fields.Name, w.Now()), MediaType: "text/csv", Key: o.ID,
		Revision: upTo, Offboarding: w.name(o),
	}, func(out io.Writer) error { return w.export(ctx, o.Client, upTo, out) })
	if err != nil {
		return err
	}
	return w.advance(ctx, o, func(tx *sqldb.Tx, o *offboard.Offboarding) error {
		o.FiledSeq, o.HistoryDocument, o.Step = upTo, filed.Document, offboard.Leave
		o.TrailSeq = max(o.TrailSeq, filed.TrailSeq)
		where := "the client's folder"
		if filed.InRecords {
			where = "the folder for records of off-boardings, since the client's own holds nothing"
		}
		return store.AddLine(tx, o.ID, fmt.Sprintf("history up to entry %d filed into %s", upTo, where), w.Now())
	})
}

// export writes a client's history up to a place as CSV. Entries never change once written, so pages read one after
// another are one consistent whole.
func (w *Worker) export(ctx context.Context, clientID string, upTo int64, out io.Writer) error {
	csv, err := history.NewCSV(out)
	if err != nil {
		return err
	}
	for after := int64(0); after < upTo; {
		var page []history.Entry
		err := w.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
			page, err = store.HistoryUpTo(tx, clientID, "", after, upTo, historyPage)
			return err
		})
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return fmt.Errorf("saga: history ends at %d, not at %d", after, upTo)
		}
		for _, e := range page {
			if err := csv.Write(e); err != nil {
				return err
			}
		}
		after = page[len(page)-1].Seq
	}
	return csv.Flush()
}

// leave takes the client out of the list, with everything that belongs to that, in one transaction.
func (w *Worker) leave(ctx context.Context, o *offboard.Offboarding) error {
	return w.advance(ctx, o, func(tx *sqldb.Tx, o *offboard.Offboarding) error {
		now := w.Now()
		who, err := store.LockClient(tx, o.Firm, o.Client)
		if err != nil {
			return err
		}
		moved, err := store.HistoryMoved(tx, o.Client, o.FiledSeq)
		if err != nil {
			return err
		}
		if moved || who.TrailSeq < o.TrailSeq { // what was uploaded before the filing belongs into it, also when its event is late
			o.Step = offboard.File
			return store.AddLine(tx, o.ID, "the history moved on; it is filed again", now)
		}
		fates, err := w.fates(tx, o)
		if err != nil {
			return err
		}
		if fates == nil {
			o.Step = offboard.Fence
			return store.AddLine(tx, o.ID, "the client has another contact; logins are fenced again", now)
		}
		if err := w.settleContacts(tx, o, fates, now); err != nil {
			return err
		}
		if err := store.SetClientState(tx, o.Client, client.Offboarded, o.ID, nil, now); err != nil {
			return err
		}
		if err := store.EmitArchived(tx, o.Firm, o.Client, o.ID, o.Reason, now); err != nil {
			return err
		}
		if err := store.EmitRelations(tx, o.Firm, sortedKeys(fates)); err != nil {
			return err
		}
		if err := w.note(tx, o, history.ClientOffboarded, "left the client list: "+o.Reason); err != nil {
			return err
		}
		o.State, o.Step, o.ArchivedAt, o.ClientName = offboard.Securing, offboard.Commit, now, who.Fields.Name
		return store.AddLine(tx, o.ID, fmt.Sprintf("left the client list; contacts: %d removed, %d released, %d kept",
			o.ContactsRemoved, o.ContactsReleased, o.ContactsKept), now)
	})
}

// fates locks the client's contacts in id order and decides about each. It returns nil when there is one whose login is
// not fenced: it became the client's contact since.
func (w *Worker) fates(tx *sqldb.Tx, o *offboard.Offboarding) (map[string]offboard.Fate, error) {
	contacts, err := store.ContactsOf(tx, o.Client)
	if err != nil {
		return nil, err
	}
	if _, err := store.LockContacts(tx, contacts); err != nil {
		return nil, err
	}
	others, err := store.ClientsCounted(tx, contacts, o.Client)
	if err != nil {
		return nil, err
	}
	fates := make(map[string]offboard.Fate, len(contacts))
	for _, c := range contacts {
		if !slices.Contains(o.Fenced, c) {
			return nil, nil
		}
		fates[c] = offboard.FateOf(slices.Contains(o.Logins, c), others[c])
	}
	return fates, nil
}

func (w *Worker) settleContacts(tx *sqldb.Tx, o *offboard.Offboarding, fates map[string]offboard.Fate, now time.Time) error {
	by := map[offboard.Fate][]string{}
	for _, c := range sortedKeys(fates) {
		by[fates[c]] = append(by[fates[c]], c)
	}
	o.ContactsRemoved, o.ContactsReleased, o.ContactsKept =
		int64(len(by[offboard.RemovedFate])), int64(len(by[offboard.ReleasedFate])), int64(len(by[offboard.Kept]))
	if err := store.HideRelations(tx, o.Client, o.ID); err != nil {
		return err
	}
	if err := store.SetContactState(tx, o.Firm, by[offboard.RemovedFate], client.Removed, now); err != nil {
		return err
	}
	if err := store.SetContactState(tx, o.Firm, by[offboard.ReleasedFate], client.Released, now); err != nil {
		return err
	}
	return store.PutFates(tx, o.ID, fates)
}

// commit lets documents turn the folder, and auth lift its fence: the client has left, and its contacts' logins are what
// they are.
func (w *Worker) commit(ctx context.Context, o *offboard.Offboarding) error {
	secured, err := w.Peers.Commit(ctx, w.client(o), w.name(o))
	if err != nil {
		return err
	}
	if err := w.Peers.Lift(ctx, "firms/"+o.Firm, o.ID); err != nil {
		return err
	}
	return w.advance(ctx, o, func(tx *sqldb.Tx, o *offboard.Offboarding) error {
		now := w.Now()
		o.Folder, o.FolderRemoved, o.DocumentCount = secured.Folder, secured.Removed, secured.Documents
		o.State, o.Step, o.EndedAt = offboard.Done, offboard.None, now
		text := "the folder held nothing and is gone"
		if !secured.Removed {
			text = fmt.Sprintf("the folder, with %s, is an orphaned business folder now", countOf(secured.Documents, "document"))
		}
		if o.ReverseRequested { // somebody wanted the client back while it was on its way out
			o.State, o.Step, o.ReverseRequested, o.EndedAt = offboard.Reversing, offboard.ReverseFolder, false, time.Time{}
		}
		return store.AddLine(tx, o.ID, text, now)
	})
}

func (w *Worker) client(o *offboard.Offboarding) string {
	return store.Name(o.Firm, "clients", o.Client)
}

func (w *Worker) name(o *offboard.Offboarding) string {
	return store.Name(o.Firm, "offboardings", o.ID)
}

func countOf(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
