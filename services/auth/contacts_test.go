package auth_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/rpcerr"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	autheventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/auth/v1"
)

func newContact(firm string) string { return firm + "/contacts/" + uuid.NewString() }

func (s *suite) inviteContact(admin *person, contact, email string) (*authv1.InviteContactResponse, error) {
	return s.accounts.InviteContact(s.as(admin.token), &authv1.InviteContactRequest{
		Parent: admin.firm, Contact: contact, Email: email, DisplayName: "Cleo Contact", RequestId: requestID(),
	})
}

func (s *suite) fence(firm, saga string, contacts ...string) []string {
	s.t.Helper()
	resp, err := s.accounts.FenceContactLogins(s.asService("sync", firm), &authv1.FenceContactLoginsRequest{
		Firm: firm, Saga: saga, Contacts: contacts,
	})
	require.NoError(s.t, err)
	return resp.GetContactsWithLogin()
}

func (s *suite) lift(firm, saga string) {
	s.t.Helper()
	_, err := s.accounts.LiftContactLoginFence(s.asService("sync", firm), &authv1.LiftContactLoginFenceRequest{Firm: firm, Saga: saga})
	require.NoError(s.t, err)
}

func TestContactsSignInAsTheContactTheyAre(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
		contact := newContact(admin.firm)
		s.inbox.seen()
		made, err := s.inviteContact(admin, contact, "cleo@client.example")
		require.NoError(t, err)
		require.Equal(t, contact, made.GetContactLogin().GetContact())
		require.Equal(t, authv1.AccountState_ACCOUNT_STATE_INVITED, made.GetContactLogin().GetState())
		cleo := &person{email: "cleo@client.example", firm: admin.firm}
		s.accept(cleo)
		opened := s.signInAs(cleo)
		require.Equal(t, authv1.Strength_STRENGTH_WEAK, opened.GetStrength(), "contacts show two factors although the firm enforces none")
		require.Equal(t, made.GetContactLogin().GetName(), opened.GetAccount())
		resp, err := s.resolve(cleo.token, "documents")
		require.NoError(t, err)
		p, err := access.NewVerifier("documents", access.Sources{s.service.Keys()}, s.clock.Now).Verify(t.Context(), resp.GetInternalToken())
		require.NoError(t, err)
		require.Equal(t, access.Contact, p.Kind)
		require.Equal(t, contact, admin.firm+"/contacts/"+p.ID, "by the contact's id its documents are found")
		_, err = s.accounts.ListContactLogins(s.as(cleo.token), &authv1.ListContactLoginsRequest{Parent: admin.firm})
		require.Equal(t, codes.PermissionDenied, rpcerr.From(err).Code())

		changed := s.events("auth.v1.contact_login_changed", &autheventsv1.ContactLoginChanged{})
		require.Len(t, changed, 1)
		require.Equal(t, contact, changed[0].(*autheventsv1.ContactLoginChanged).GetContact())
		require.True(t, changed[0].(*autheventsv1.ContactLoginChanged).GetHasLogin())
	})
}

func TestContactLoginsAreListedAndUnique(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
		contact := newContact(admin.firm)
		for i := range 3 {
			_, err := s.inviteContact(admin, newContact(admin.firm), fmt.Sprintf("c%d@client.example", 2-i))
			require.NoError(t, err)
		}
		_, err := s.inviteContact(admin, contact, "c1@client.example")
		is(t, err, codes.AlreadyExists, authv1.ErrorReason_ERROR_REASON_ACCOUNT_EXISTS)
		_, err = s.inviteContact(admin, contact, admin.email)
		is(t, err, codes.AlreadyExists, authv1.ErrorReason_ERROR_REASON_ACCOUNT_EXISTS)
		_, err = s.inviteContact(admin, contact, "c3@client.example")
		require.NoError(t, err)
		_, err = s.inviteContact(admin, contact, "c3@client.example")
		require.NoError(t, err, "not accepted yet: invited anew")
		_, err = s.inviteContact(admin, newContact("firms/"+uuid.NewString()), "c4@client.example")
		require.Equal(t, codes.NotFound, rpcerr.From(err).Code())
		var emails []string
		token := ""
		for {
			page, err := s.accounts.ListContactLogins(s.as(admin.token), &authv1.ListContactLoginsRequest{Parent: admin.firm, PageSize: 3, PageToken: token})
			require.NoError(t, err)
			for _, l := range page.GetContactLogins() {
				emails = append(emails, l.GetEmail())
			}
			if token = page.GetNextPageToken(); token == "" {
				break
			}
		}
		require.Equal(t, []string{"c0@client.example", "c1@client.example", "c2@client.example", "c3@client.example"}, emails)
	})
}

func TestFencesStopInvitationsUntilTheirSagaEnds(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
		with, without := newContact(admin.firm), newContact(admin.firm)
		_, err := s.inviteContact(admin, with, "with@client.example")
		require.NoError(t, err)
		require.Equal(t, []string{with}, s.fence(admin.firm, "saga-1", with, without))
		require.Equal(t, []string{with}, s.fence(admin.firm, "saga-1", with, without), "repeating it answers the same")
		require.Empty(t, s.fence(admin.firm, "saga-2", without))
		fenced := authv1.ErrorReason_ERROR_REASON_LOGIN_FENCED
		_, err = s.inviteContact(admin, without, "without@client.example")
		is(t, err, codes.FailedPrecondition, fenced)
		s.lift(admin.firm, "saga-1")
		s.lift(admin.firm, "saga-1")
		_, err = s.inviteContact(admin, without, "without@client.example")
		is(t, err, codes.FailedPrecondition, fenced)
		s.lift(admin.firm, "saga-2")
		_, err = s.inviteContact(admin, without, "without@client.example")
		require.NoError(t, err)
	})
}

// A request to fence that was on its way when its saga ended fences nobody, whether there had been a fence or not.
func TestALiftedFenceIsNotPutUpAgain(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
		with, without := newContact(admin.firm), newContact(admin.firm)
		_, err := s.inviteContact(admin, with, "with@client.example")
		require.NoError(t, err)
		s.fence(admin.firm, "saga-1", with, without)
		s.lift(admin.firm, "saga-1")
		s.lift(admin.firm, "saga-2")
		require.Equal(t, []string{with}, s.fence(admin.firm, "saga-1", with, without), "it answers as before")
		require.Equal(t, []string{with}, s.fence(admin.firm, "saga-2", with, without))
		_, err = s.inviteContact(admin, without, "without@client.example")
		require.NoError(t, err)

		other := newContact(admin.firm)
		require.Empty(t, s.fence(admin.firm, "saga-3", other), "another saga's fence stands")
		_, err = s.inviteContact(admin, other, "other@client.example")
		is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_LOGIN_FENCED)
	})
}

// An invitation and a fence at the same time: either the fence knows of the login, or the invitation of the fence. Both
// not knowing would remove a contact that has a login.
func TestAFenceAndAnInvitationNeverMissEachOther(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
		inviting, fencing := s.as(admin.token), s.asService("sync", admin.firm)
		for round := range 15 {
			contact, saga := newContact(admin.firm), fmt.Sprintf("saga-%d", round)
			var invited error
			var known []string
			var wg sync.WaitGroup
			wg.Go(func() {
				_, invited = s.accounts.InviteContact(inviting, &authv1.InviteContactRequest{
					Parent: admin.firm, Contact: contact, Email: fmt.Sprintf("c%d@client.example", round), DisplayName: "Cleo",
				})
			})
			wg.Go(func() {
				resp, err := s.accounts.FenceContactLogins(fencing, &authv1.FenceContactLoginsRequest{
					Firm: admin.firm, Saga: saga, Contacts: []string{contact},
				})
				if err != nil {
					t.Errorf("fence: %v", err)
				}
				known = resp.GetContactsWithLogin()
			})
			wg.Wait()
			if invited == nil {
				require.True(t, slices.Contains(known, contact), "round %d: a login was made and the fence does not know", round)
			} else {
				require.True(t, rpcerr.Has(invited, authv1.ErrorReason_ERROR_REASON_LOGIN_FENCED), "%v", invited)
				require.Empty(t, known)
			}
		}
	})
}

// A login is for a contact that the client list has, in the firm of whoever invites.
func TestOnlyContactsThatExistGetALogin(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		operator := s.operator()
		admin := s.newFirm(operator, "Harbour Tax", "ada@harbour.example", "")
		contact, nobody := newContact(admin.firm), newContact(admin.firm)
		s.clients.lose(nobody)
		_, err := s.inviteContact(admin, nobody, "nobody@client.example")
		is(t, err, codes.NotFound, authv1.ErrorReason_ERROR_REASON_NOT_FOUND)
		_, err = s.inviteContact(admin, newContact(s.newFirm(operator, "Bridge Audit", "bo@bridge.example", "").firm), "x@client.example")
		require.Equal(t, codes.NotFound, rpcerr.From(err).Code())

		req := &authv1.InviteContactRequest{
			Parent: admin.firm, Contact: contact, Email: "cleo@client.example", DisplayName: "Cleo", RequestId: requestID(),
		}
		made, err := s.accounts.InviteContact(s.as(admin.token), req)
		require.NoError(t, err)
		asked := s.clients.last()
		require.Equal(t, access.Service, asked.Kind)
		require.Equal(t, "auth", asked.ID)
		require.Equal(t, admin.firm, "firms/"+asked.Firm)
		require.Equal(t, admin.account, admin.firm+"/staff/"+asked.Initiator.ID)

		s.clients.lose(contact)
		again, err := s.accounts.InviteContact(s.as(admin.token), req)
		require.NoError(t, err, "what was answered is answered again")
		require.True(t, proto.Equal(made, again))
		logins, err := s.accounts.ListContactLogins(s.as(admin.token), &authv1.ListContactLoginsRequest{Parent: admin.firm})
		require.NoError(t, err)
		require.Len(t, logins.GetContactLogins(), 1)
	})
}

// Without the client list nobody is invited, and is told why.
func TestNoLoginWhileTheClientListIsAway(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
	s.clients.server.Stop()
	_, err := s.inviteContact(admin, newContact(admin.firm), "cleo@client.example")
	is(t, err, codes.Unavailable, authv1.ErrorReason_ERROR_REASON_CONTACT_UNCONFIRMED)
	require.Zero(t, s.inbox.count("cleo@client.example"))
	require.NoError(t, s.service.Ready(t.Context()), "people sign in all the same")
}
