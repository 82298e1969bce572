package api

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/idem"
	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/store"
)

// InviteContact implements authv1.AccountServiceServer.
func (s accountServer) InviteContact(ctx context.Context, req *authv1.InviteContactRequest) (*authv1.InviteContactResponse, error) {
	a := account.Account{
		ID: uuid.Must(uuid.NewV7()).String(), Firm: firmOf(req.GetParent()), Kind: account.Contact, State: account.Invited,
		Created: s.Now(), Revision: 1,
	}
	firm, contact := childOf(store.ContactName, req.GetContact())
	if firm != a.Firm {
		return nil, errNotFound // another firm's contact is nobody here
	}
	a.Contact = contact
	var err error
	if a.DisplayName, err = cleanName("display_name", req.GetDisplayName()); err != nil {
		return nil, err
	}
	if a.Email, err = cleanEmail("email", req.GetEmail()); err != nil {
		return nil, err
	}
	if a.Mobile, err = s.cleanMobile("mobile", req.GetMobile()); err != nil {
		return nil, err
	}
	confirmed := s.confirmContact(ctx, req.GetContact())
	return idem.Do(ctx, s.Memory, req, func(tx *sqldb.Tx) (*authv1.InviteContactResponse, error) {
		if confirmed != nil { // what was answered before is answered again, whatever the client list says by now
			return nil, confirmed
		}
		invited, err := s.inviteContact(tx, a)
		return &authv1.InviteContactResponse{ContactLogin: contactLoginMessage(invited)}, err
	})
}

// confirmWait bounds the question to the client list: a person waits.
const confirmWait = 3 * time.Second

// confirmContact asks the client list whether it has a contact. Whoever has no answer makes no login: nobody could be
// shown anything by it, and no event would ever end it.
func (s *Server) confirmContact(ctx context.Context, contact string) error {
	ctx, cancel := context.WithTimeout(ctx, confirmWait)
	defer cancel()
	_, err := s.Contacts.GetContact(ctx, &syncv1.GetContactRequest{Name: contact})
	switch {
	case err == nil:
		return nil
	case rpcerr.From(err).Code() == codes.NotFound:
		return errNotFound
	}
	s.Logger.WarnContext(ctx, "the client list could not be asked for a contact", "error", err)
	return errUnconfirmed
}

// inviteContact gives a contact a login, in one transaction with looking whether it is fenced: of a fence and an
// invitation at the same time one comes first, and the fence then knows of the login or the invitation of the fence.
func (s *Server) inviteContact(tx *sqldb.Tx, a account.Account) (account.Account, error) {
	f, err := store.Firm(tx, a.Firm)
	if err != nil {
		return a, orNotFound(err)
	}
	if removed, err := store.ContactRemoved(tx, a.Firm, a.Contact); err != nil || removed {
		return a, cmpErr(err, errNotFound)
	}
	if fenced, err := store.Fenced(tx, a.Firm, a.Contact); err != nil || fenced {
		return a, cmpErr(err, errFenced)
	}
	known, err := store.AccountOfContact(tx, a.Firm, a.Contact)
	switch {
	case errors.Is(err, sqldb.ErrNotFound):
		if err := salted(tx, a.Email); err != nil {
			return a, err
		}
		added, err := store.InsertAccount(tx, a)
		if err != nil || !added {
			return a, cmpErr(err, errAccountExists)
		}
	case err != nil:
		return a, err
	case known.State == account.Active || known.Email != a.Email:
		return a, errAccountExists
	default:
		a = anew(known, a)
		if err := s.Staffing.Anew(tx, a); err != nil {
			return a, err
		}
		if err := s.forgetFactors(tx, a.ID); err != nil {
			return a, err
		}
		if err := store.UpdateAccount(tx, a); err != nil {
			return a, err
		}
	}
	if err := store.AnnounceContactLogin(tx, a); err != nil {
		return a, err
	}
	return a, s.invite(tx, a, f, s.Now())
}

// cmpErr is err, or what to say without one.
func cmpErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// ListContactLogins implements authv1.AccountServiceServer.
func (s accountServer) ListContactLogins(ctx context.Context, req *authv1.ListContactLoginsRequest) (*authv1.ListContactLoginsResponse, error) {
	const kind = "contact_logins"
	size := pageSize(req.GetPageSize())
	var after store.NameCursor
	if err := readToken(req.GetPageToken(), kind, &after); err != nil {
		return nil, err
	}
	var logins []account.Account
	err := s.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
		logins, err = store.ListContactLogins(tx, firmOf(req.GetParent()), after, size+1)
		return err
	})
	if err != nil {
		return nil, err
	}
	logins, next, err := page(logins, size, kind, func(a account.Account) any { return store.NameCursor{Name: a.Email, ID: a.ID} })
	resp := &authv1.ListContactLoginsResponse{NextPageToken: next}
	for _, a := range logins {
		resp.ContactLogins = append(resp.ContactLogins, contactLoginMessage(a))
	}
	return resp, err
}

// DisableContactLogin implements authv1.AccountServiceServer.
func (s accountServer) DisableContactLogin(ctx context.Context, req *authv1.DisableContactLoginRequest) (*authv1.DisableContactLoginResponse, error) {
	firm, id := childOf(store.ContactLoginName, req.GetName())
	return idem.Do(ctx, s.Memory, req, func(tx *sqldb.Tx) (*authv1.DisableContactLoginResponse, error) {
		a, err := store.Account(tx, firm, id)
		if err == nil && a.Kind != account.Contact {
			err = errNotFound
		}
		if err != nil {
			return nil, orNotFound(err)
		}
		was := a.State
		if a, err = s.disable(tx, a); err != nil {
			return nil, err
		}
		if was != account.Disabled {
			err = store.AnnounceContactLogin(tx, a)
		}
		return &authv1.DisableContactLoginResponse{ContactLogin: contactLoginMessage(a)}, err
	})
}

// FenceContactLogins implements authv1.AccountServiceServer.
func (s accountServer) FenceContactLogins(ctx context.Context, req *authv1.FenceContactLoginsRequest) (*authv1.FenceContactLoginsResponse, error) {
	firm := firmOf(req.GetFirm())
	var contacts []string
	for _, name := range req.GetContacts() {
		owner, contact := childOf(store.ContactName, name)
		if owner != firm {
			return nil, violation("contacts", "firm", "names another firm's contact")
		}
		contacts = append(contacts, contact)
	}
	slices.Sort(contacts) // one order for all who lock the same rows
	contacts = slices.Compact(contacts)
	var with []string
	err := s.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		if _, err := store.Firm(tx, firm); err != nil {
			return orNotFound(err)
		}
		if err := store.AddFences(tx, firm, req.GetSaga(), contacts, s.Now()); err != nil {
			return err
		}
		var err error
		with, err = store.WithLogin(tx, firm, contacts)
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(with)
	resp := &authv1.FenceContactLoginsResponse{}
	for _, c := range with {
		resp.ContactsWithLogin = append(resp.ContactsWithLogin, names.Format(store.ContactName, firm, c))
	}
	return resp, nil
}

// LiftContactLoginFence implements authv1.AccountServiceServer.
func (s accountServer) LiftContactLoginFence(ctx context.Context, req *authv1.LiftContactLoginFenceRequest) (*authv1.LiftContactLoginFenceResponse, error) {
	err := s.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		firm := firmOf(req.GetFirm())
		if _, err := store.Firm(tx, firm); err != nil {
			return orNotFound(err)
		}
		return store.LiftFences(tx, firm, req.GetSaga(), s.Now())
	})
	if err != nil {
		return nil, err
	}
	return &authv1.LiftContactLoginFenceResponse{}, nil
}
