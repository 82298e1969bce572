package api

import (
	"context"
	"fmt"
	"strings"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/idem"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/history"
	"github.com/concord-suite/concord/services/sync/internal/offboard"
	"github.com/concord-suite/concord/services/sync/internal/peer"
	"github.com/concord-suite/concord/services/sync/internal/store"
)

// PreviewOffboarding implements ClientService.
func (s *clients) PreviewOffboarding(ctx context.Context, req *syncv1.PreviewOffboardingRequest) (*syncv1.PreviewOffboardingResponse, error) {
	ids, err := parse("name", clientPattern, req.GetName())
	if err != nil {
		return nil, err
	}
	resp := &syncv1.PreviewOffboardingResponse{}
	err = s.DB.Read(ctx, func(tx *sqldb.Tx) error {
		c, err := store.Client(tx, ids[0], ids[1])
		if err != nil {
			return found(err)
		}
		if !c.State.InList() {
			return errNotListed
		}
		return countFates(tx, c.ID, resp)
	})
	if err != nil {
		return nil, err
	}
	preview, err := s.Peers.Preview(ctx, req.GetName())
	if err != nil {
		return nil, err
	}
	resp.Blockers, resp.DocumentCount = blockerMessages(preview.Blockers), preview.Documents
	resp.Sentences = previewSentences(resp)
	return resp, nil
}

// countFates tells what would become of the client's contacts. Who has a login is known as of auth's last word; the
// off-boarding itself asks.
func countFates(tx *sqldb.Tx, clientID string, resp *syncv1.PreviewOffboardingResponse) error {
	contacts, err := store.ContactsOf(tx, clientID)
	if err != nil {
		return err
	}
	others, err := store.ClientsCounted(tx, contacts, clientID)
	if err != nil {
		return err
	}
	logins, err := store.LoginsOf(tx, contacts)
	if err != nil {
		return err
	}
	for _, c := range contacts {
		switch offboard.FateOf(logins[c], others[c]) {
		case offboard.Kept:
			resp.ContactsKept++
		case offboard.ReleasedFate:
			resp.ContactsReleased++
		default:
			resp.ContactsRemoved++
		}
	}
	return nil
}

func previewSentences(p *syncv1.PreviewOffboardingResponse) []string {
	var out []string
	for _, b := range p.GetBlockers() {
		out = append(out, "It is blocked: "+b.GetDescription()+".")
	}
	if n := p.GetDocumentCount(); n > 0 {
		out = append(out, fmt.Sprintf("The client folder holds %d documents and becomes an orphaned business folder.", n))
	} else {
		out = append(out, "The client folder holds nothing and goes.")
	}
	out = append(out, "The client history is filed as CSV before it goes.")
	count := func(n int32, what string) {
		if n > 0 {
			out = append(out, fmt.Sprintf("%d contacts %s.", n, what))
		}
	}
	count(p.GetContactsRemoved(), "without a login and without another client are removed")
	count(p.GetContactsReleased(), "with a login and without another client may then be edited and deleted")
	count(p.GetContactsKept(), "stay, since they relate to other clients")
	return out
}

// OffboardClient implements ClientService.
func (s *clients) OffboardClient(ctx context.Context, req *syncv1.OffboardClientRequest) (*syncv1.OffboardClientResponse, error) {
	ids, err := parse("name", clientPattern, req.GetName())
	if err != nil {
		return nil, err
	}
	var blockers []client.Blocker
	if !req.GetOverride() { // with it, nothing blocks
		preview, err := s.Peers.Preview(ctx, req.GetName())
		if err != nil {
			return nil, err
		}
		blockers = preview.Blockers
	}
	return idem.Do(ctx, s.Memory, req, func(tx *sqldb.Tx) (*syncv1.OffboardClientResponse, error) {
		c, err := store.Client(tx, ids[0], ids[1])
		if err != nil {
			return nil, found(err)
		}
		sagas, err := store.LockOffboardings(tx, c.Firm, []string{c.Offboarding})
		if err != nil {
			return nil, err
		}
		if c, err = store.LockClient(tx, ids[0], ids[1]); err != nil {
			return nil, err
		}
		if !c.State.InList() {
			return nil, errNotListed
		}
		if len(blockers) > 0 {
			return nil, blockedBy(blockers)
		}
		id := c.Offboarding
		if o, open := sagas[id]; open && o.State.Open() {
			err = s.push(ctx, tx, o, req)
		} else {
			id, err = s.begin(ctx, tx, c, req)
		}
		if err != nil {
			return nil, err
		}
		o, err := store.Offboarding(tx, c.Firm, id)
		return &syncv1.OffboardClientResponse{Offboarding: offboardingMessage(o)}, err
	})
}

// blockedBy names the blockers in the error's metadata.
func blockedBy(blockers []client.Blocker) *rpcerr.Error {
	var words []string
	err := errBlocked
	for i, b := range blockers {
		words = append(words, b.Description)
		err = err.With(fmt.Sprintf("blocker_%d", i+1), b.Kind+": "+b.Description)
	}
	return err.Messagef("the client can't leave yet: %s", strings.Join(words, "; "))
}

// begin makes an off-boarding by hand.
func (s *clients) begin(ctx context.Context, tx *sqldb.Tx, c client.Client, req *syncv1.OffboardClientRequest) (string, error) {
	now := s.Now()
	o := offboard.Offboarding{
		ID: store.NewID(), Firm: c.Firm, Client: c.ID, ClientName: c.Fields.Name, Origin: offboard.ByHand,
		Reason: client.Text(req.GetReason()), StartedBy: actor(ctx), Initiator: peer.InitiatorOf(access.From(ctx)), Override: req.GetOverride(),
	}
	if err := store.StartOffboarding(tx, o, "started by hand: "+o.Reason, now); err != nil {
		return "", err
	}
	if err := store.SetClientState(tx, c.ID, client.Leaving, o.ID, nil, now); err != nil {
		return "", err
	}
	return o.ID, store.AppendHistory(tx, c.Firm, history.Entry{
		Client: c.ID, At: now, Kind: history.OffboardStarted, Actor: o.StartedBy, Summary: "off-boarding started by hand: " + o.Reason,
		Resource: store.Name(c.Firm, "offboardings", o.ID),
	})
}

// push has an off-boarding that is under way looked at again, with what blocks it withdrawn if that is wanted.
func (s *clients) push(ctx context.Context, tx *sqldb.Tx, o offboard.Offboarding, req *syncv1.OffboardClientRequest) error {
	if !o.Cancellable() {
		return nil
	}
	if o.CancelRequested {
		return errListed.Messagef("an off-boarding of this client is just being cancelled; try again")
	}
	return store.PushOffboarding(tx, o, req.GetOverride(), client.Text(req.GetReason()), actor(ctx),
		peer.InitiatorOf(access.From(ctx)), s.Now())
}

// RestoreClient implements ClientService.
func (s *clients) RestoreClient(ctx context.Context, req *syncv1.RestoreClientRequest) (*syncv1.RestoreClientResponse, error) {
	ids, err := parse("name", clientPattern, req.GetName())
	if err != nil {
		return nil, err
	}
	return idem.Do(ctx, s.Memory, req, func(tx *sqldb.Tx) (*syncv1.RestoreClientResponse, error) {
		c, err := store.Client(tx, ids[0], ids[1])
		if err != nil {
			return nil, found(err)
		}
		if c.State != client.Offboarded {
			return nil, errListed
		}
		o, err := store.LockOffboarding(tx, c.Firm, c.Offboarding)
		if err != nil {
			return nil, err
		}
		why := "restored by " + actor(ctx)
		if reason := client.Text(req.GetReason()); reason != "" {
			why += ": " + reason
		}
		if _, err := store.AskBack(tx, o, why, peer.InitiatorOf(access.From(ctx)), s.Now()); err != nil {
			return nil, err
		}
		o, err = store.Offboarding(tx, c.Firm, c.Offboarding)
		return &syncv1.RestoreClientResponse{Offboarding: offboardingMessage(o)}, err
	})
}

// GetOffboarding implements ClientService.
func (s *clients) GetOffboarding(ctx context.Context, req *syncv1.GetOffboardingRequest) (*syncv1.GetOffboardingResponse, error) {
	ids, err := parse("name", offboardingPattern, req.GetName())
	if err != nil {
		return nil, err
	}
	var o offboard.Offboarding
	err = s.DB.Read(ctx, func(tx *sqldb.Tx) error {
		o, err = store.Offboarding(tx, ids[0], ids[1])
		return err
	})
	if err != nil {
		return nil, err
	}
	return &syncv1.GetOffboardingResponse{Offboarding: offboardingMessage(o)}, nil
}

// ListOffboardings implements ClientService.
func (s *clients) ListOffboardings(ctx context.Context, req *syncv1.ListOffboardingsRequest) (*syncv1.ListOffboardingsResponse, error) {
	ids, err := parse("parent", firmPattern, req.GetParent())
	if err != nil {
		return nil, err
	}
	at, err := from(ctx, req, newest)
	if err != nil {
		return nil, err
	}
	size := pageSize(req.GetPageSize())
	var page []offboard.Offboarding
	err = s.DB.Read(ctx, func(tx *sqldb.Tx) error {
		page, err = store.Offboardings(tx, ids[0], word(req.GetState(), "OFFBOARDING_STATE_"), at.At, at.ID, size+1)
		return err
	})
	if err != nil {
		return nil, err
	}
	resp := &syncv1.ListOffboardingsResponse{}
	if len(page) > size {
		page = page[:size]
		last := page[size-1]
		resp.NextPageToken = place{At: sqldb.Micros(last.CreatedAt), ID: last.ID}.token(ctx, req)
	}
	for _, o := range page {
		resp.Offboardings = append(resp.Offboardings, offboardingMessage(o))
	}
	return resp, nil
}

// word is the domain's name of an enum value, "" for UNSPECIFIED.
func word(v interface{ String() string }, prefix string) string {
	w := strings.TrimPrefix(v.String(), prefix)
	if w == "UNSPECIFIED" {
		return ""
	}
	return w
}

// CancelOffboarding implements ClientService. Cancelling what was cancelled answers it as it is.
func (s *clients) CancelOffboarding(ctx context.Context, req *syncv1.CancelOffboardingRequest) (*syncv1.CancelOffboardingResponse, error) {
	ids, err := parse("name", offboardingPattern, req.GetName())
	if err != nil {
		return nil, err
	}
	return idem.Do(ctx, s.Memory, req, func(tx *sqldb.Tx) (*syncv1.CancelOffboardingResponse, error) {
		o, err := store.LockOffboarding(tx, ids[0], ids[1])
		if err != nil {
			return nil, err
		}
		switch {
		case o.State == offboard.Cancelled:
		case !o.Cancellable():
			return nil, errPast
		default:
			if _, err := store.AskBack(tx, o, "by "+actor(ctx), peer.InitiatorOf(access.From(ctx)), s.Now()); err != nil {
				return nil, err
			}
		}
		o, err = store.Offboarding(tx, ids[0], ids[1])
		return &syncv1.CancelOffboardingResponse{Offboarding: offboardingMessage(o)}, err
	})
}
