package auth_test

import (
	"encoding/base64"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/rpcerr"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	autheventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/auth/v1"
)

// newOffice is a firm with an administrator who is freshly confirmed.
func (s *suite) newOffice() *person {
	s.t.Helper()
	admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
	s.stepUp(admin)
	return admin
}

func TestStaffAreInvitedListedAndDisabled(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newOffice()
		for i := range 5 {
			s.hire(admin, fmt.Sprintf("s%d@harbour.example", i), "", authv1.Role_ROLE_STAFF)
		}
		var names []string
		token := ""
		for {
			page, err := s.accounts.ListStaff(s.as(admin.token), &authv1.ListStaffRequest{Parent: admin.firm, PageSize: 4, PageToken: token})
			require.NoError(t, err)
			for _, one := range page.GetStaff() {
				names = append(names, one.GetDisplayName())
			}
			if token = page.GetNextPageToken(); token == "" {
				break
			}
		}
		require.Equal(t, []string{
			"Ada Harbour Tax", "Staff s0@harbour.example", "Staff s1@harbour.example", "Staff s2@harbour.example",
			"Staff s3@harbour.example", "Staff s4@harbour.example",
		}, names)

		reader := s.hire(admin, "ro@harbour.example", "", authv1.Role_ROLE_READ_ONLY)
		s.signInAs(reader)
		word := s.addIn(reader)
		disabled, err := s.accounts.DisableStaff(s.as(admin.token), &authv1.DisableStaffRequest{Name: reader.account, RequestId: requestID()})
		require.NoError(t, err)
		require.Equal(t, authv1.AccountState_ACCOUNT_STATE_DISABLED, disabled.GetStaff().GetState())
		for _, token := range []string{reader.token, word} {
			_, err = s.resolve(token, "documents")
			is(t, err, codes.Unauthenticated, ended)
		}
		_, err = s.signIn.StartSignIn(s.nobody("192.0.2.7"), &authv1.StartSignInRequest{Email: reader.email, Password: passphrase})
		is(t, err, codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SIGN_IN_REFUSED)
		require.GreaterOrEqual(t, len(s.events("auth.v1.session_revoked", &autheventsv1.SessionRevoked{})), 2)

		// Invited anew, the same account begins again, with another role.
		s.inbox.seen()
		again, err := s.accounts.InviteStaff(s.as(admin.token), &authv1.InviteStaffRequest{
			Parent: admin.firm, Email: reader.email, DisplayName: "Ro", Role: authv1.Role_ROLE_STAFF,
		})
		require.NoError(t, err)
		require.Equal(t, reader.account, again.GetStaff().GetName())
		s.accept(reader)
		require.Equal(t, "Ro", s.signInAs(reader).GetDisplayName())
	})
}

func TestInvitingTwiceWithTheSameRequestHappensOnce(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newOffice()
		req := &authv1.InviteStaffRequest{
			Parent: admin.firm, Email: "mo@harbour.example", DisplayName: "Mo", Role: authv1.Role_ROLE_STAFF, RequestId: requestID(),
		}
		one, err := s.accounts.InviteStaff(s.as(admin.token), req)
		require.NoError(t, err)
		two, err := s.accounts.InviteStaff(s.as(admin.token), req)
		require.NoError(t, err)
		require.Equal(t, one.GetStaff().GetName(), two.GetStaff().GetName())
		s.inbox.next("mo@harbour.example")
		require.Equal(t, 1, s.inbox.count("mo@harbour.example"))
		req.DisplayName = "Somebody else"
		_, err = s.accounts.InviteStaff(s.as(admin.token), req)
		require.Equal(t, rpcerr.RequestIDReused.String(), rpcerr.Reason(err))
		_, err = s.accounts.InviteStaff(s.as(admin.token), &authv1.InviteStaffRequest{
			Parent: admin.firm, Email: admin.email, DisplayName: "Ada", Role: authv1.Role_ROLE_STAFF,
		})
		is(t, err, codes.AlreadyExists, authv1.ErrorReason_ERROR_REASON_ACCOUNT_EXISTS)
	})
}

func TestBadInvitations(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.newOffice()
	good := func() *authv1.InviteStaffRequest {
		return &authv1.InviteStaffRequest{Parent: admin.firm, Email: "mo@harbour.example", DisplayName: "Mo", Role: authv1.Role_ROLE_STAFF}
	}
	for field, change := range map[string]func(*authv1.InviteStaffRequest){
		"email":        func(r *authv1.InviteStaffRequest) { r.Email = "mo at harbour" },
		"mobile":       func(r *authv1.InviteStaffRequest) { r.Mobile = "0491 570 156" },
		"display_name": func(r *authv1.InviteStaffRequest) { r.DisplayName = "Mo\r\nBcc: everybody@harbour.example" },
		"role":         func(r *authv1.InviteStaffRequest) { r.Role = authv1.Role_ROLE_UNSPECIFIED },
	} {
		req := good()
		change(req)
		_, err := s.accounts.InviteStaff(s.as(admin.token), req)
		e := rpcerr.From(err)
		require.Equal(t, codes.InvalidArgument, e.Code(), field)
		require.Equal(t, field, e.Violations()[0].Field)
	}
	list, err := s.accounts.ListStaff(s.as(admin.token), &authv1.ListStaffRequest{Parent: admin.firm})
	require.NoError(t, err)
	require.Len(t, list.GetStaff(), 1, "nothing was made")
}

// Names are shown in mails, lists and dialogs: what can't be seen, or turns the text around it, is no part of one.
func TestNamesHoldNothingThatCannotBeSeen(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.newOffice()
	operator := &person{email: "olive@host.example"}
	s.signInAs(operator)
	for _, r := range []rune{
		0x00, 0x09, 0x0a, 0x1b, 0x7f, 0x85, 0xad, 0x61c, 0x180e, 0x200b, 0x200c, 0x200d, 0x200e, 0x200f, 0x2028, 0x2029, 0x202a,
		0x202b, 0x202c, 0x202d, 0x202e, 0x2060, 0x2066, 0x2067, 0x2068, 0x2069, 0xfeff, 0xfff9, 0xe000, 0xe0041,
	} {
		bad := "Mo" + string(r) + "nimda"
		calls := map[string]func() error{
			"display_name": func() error {
				_, err := s.accounts.InviteStaff(s.as(admin.token), &authv1.InviteStaffRequest{
					Parent: admin.firm, Email: "mo@harbour.example", DisplayName: bad, Role: authv1.Role_ROLE_STAFF,
				})
				return err
			},
			"email": func() error {
				_, err := s.accounts.InviteStaff(s.as(admin.token), &authv1.InviteStaffRequest{
					Parent: admin.firm, Email: bad + "@harbour.example", DisplayName: "Mo", Role: authv1.Role_ROLE_STAFF,
				})
				return err
			},
			"administrator_name": func() error {
				_, err := s.firms.CreateFirm(s.as(operator.token), &authv1.CreateFirmRequest{
					DisplayName: "Bridge", AdministratorEmail: "bo@bridge.example", AdministratorName: bad,
				})
				return err
			},
		}
		for field, call := range calls {
			err := call()
			require.Error(t, err, "%U in %s", r, field)
			e := rpcerr.From(err)
			require.Equal(t, codes.InvalidArgument, e.Code(), "%U in %s", r, field)
			require.Equal(t, field, e.Violations()[0].Field)
		}
	}
	for _, good := range []string{"Zoë O’Connor-Müller", "李小龍", "محمد علی", "Ngāi Tahu (Te Rūnanga)", "J. R. \"Bob\" Dobbs"} {
		made, err := s.accounts.InviteStaff(s.as(admin.token), &authv1.InviteStaffRequest{
			Parent: admin.firm, Email: "mo@harbour.example", DisplayName: " " + good + " ", Role: authv1.Role_ROLE_STAFF,
		})
		require.NoError(t, err, good)
		require.Equal(t, good, made.GetStaff().GetDisplayName())
	}
}

func TestInvitationCodes(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newOffice()
		mo := &person{email: "mo@harbour.example", firm: admin.firm}
		s.inbox.seen()
		_, err := s.accounts.InviteStaff(s.as(admin.token), &authv1.InviteStaffRequest{
			Parent: admin.firm, Email: mo.email, DisplayName: "Mo Member", Role: authv1.Role_ROLE_STAFF,
		})
		require.NoError(t, err)
		first := codePattern.FindString(s.inbox.next(mo.email).Text)
		accept := func(code, password string) error {
			_, err := s.signIn.AcceptInvitation(s.nobody("192.0.2.7"), &authv1.AcceptInvitationRequest{InvitationCode: code, Password: password})
			return err
		}
		invalid := authv1.ErrorReason_ERROR_REASON_INVITATION_INVALID
		is(t, accept("civ_0000000000000000000000000000000000000000000", passphrase), codes.FailedPrecondition, invalid)
		for _, weak := range []string{"short", "password1", "Mo Member", "harbour-tax"} {
			is(t, accept(first, weak), codes.InvalidArgument, authv1.ErrorReason_ERROR_REASON_PASSWORD_REFUSED)
		}

		s.inbox.seen()
		s.clock.forward(24 * time.Hour)
		e := is(t, accept(first, passphrase), codes.FailedPrecondition, invalid)
		require.Equal(t, "true", e.Metadata()["renewed"])
		second := codePattern.FindString(s.inbox.next(mo.email).Text)
		require.NotEqual(t, first, second)
		is(t, accept(first, passphrase), codes.FailedPrecondition, invalid)
		require.NoError(t, accept(second, passphrase))
		is(t, accept(second, passphrase), codes.FailedPrecondition, invalid)
		s.signInAs(mo)
	})
}

// A code that was used tells whoever finds it nothing: not whether a password is the right one, and not by the time it
// takes. Only the very request that was accepted is answered again, since its answer may have been lost.
func TestAUsedInvitationIsNoOracle(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newOffice()
		mo := &person{email: "mo@harbour.example", firm: admin.firm}
		accept := func(code, password, id string) (*authv1.AcceptInvitationResponse, error) {
			return s.signIn.AcceptInvitation(s.nobody("203.0.113.9"), &authv1.AcceptInvitationRequest{
				InvitationCode: code, Password: password, RequestId: id,
			})
		}
		s.inbox.seen()
		_, err := s.accounts.InviteStaff(s.as(admin.token), &authv1.InviteStaffRequest{
			Parent: admin.firm, Email: mo.email, DisplayName: "Mo Member", Role: authv1.Role_ROLE_STAFF,
		})
		require.NoError(t, err)
		code, id := codePattern.FindString(s.inbox.next(mo.email).Text), requestID()
		first, err := accept(code, passphrase, id)
		require.NoError(t, err)
		again, err := accept(code, passphrase, id)
		require.NoError(t, err)
		require.True(t, proto.Equal(first, again))

		_, unknown := accept("civ_0000000000000000000000000000000000000000000", passphrase, requestID())
		for name, try := range map[string][2]string{
			"the right password": {passphrase, requestID()}, "a wrong one": {"another good one", requestID()},
			"the right one without an id": {passphrase, ""}, "a weak one": {"short", requestID()},
		} {
			_, err := accept(code, try[0], try[1])
			e := is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_INVITATION_INVALID)
			require.True(t, proto.Equal(status.Convert(unknown).Proto(), e.GRPCStatus().Proto()), name)
		}
		// Another password under the same id is another request, and the end of being answered again.
		_, err = accept(code, "another good one", id)
		is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_INVITATION_INVALID)
		_, err = accept(code, passphrase, id)
		is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_INVITATION_INVALID)
		s.signInAs(mo)
	})
}

func TestAnAcceptedInvitationAnswersForADay(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.newOffice()
	s.inbox.seen()
	_, err := s.accounts.InviteStaff(s.as(admin.token), &authv1.InviteStaffRequest{
		Parent: admin.firm, Email: "mo@harbour.example", DisplayName: "Mo", Role: authv1.Role_ROLE_STAFF,
	})
	require.NoError(t, err)
	req := &authv1.AcceptInvitationRequest{
		InvitationCode: codePattern.FindString(s.inbox.next("mo@harbour.example").Text), Password: passphrase, RequestId: requestID(),
	}
	_, err = s.signIn.AcceptInvitation(s.nobody(""), req)
	require.NoError(t, err)
	s.clock.forward(23 * time.Hour)
	_, err = s.signIn.AcceptInvitation(s.nobody(""), req)
	require.NoError(t, err)
	s.clock.forward(time.Hour)
	_, err = s.signIn.AcceptInvitation(s.nobody(""), req)
	is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_INVITATION_INVALID)
}

func TestOfManyWhoAcceptOneWins(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newOffice()
		s.inbox.seen()
		_, err := s.accounts.InviteStaff(s.as(admin.token), &authv1.InviteStaffRequest{
			Parent: admin.firm, Email: "mo@harbour.example", DisplayName: "Mo", Role: authv1.Role_ROLE_STAFF,
		})
		require.NoError(t, err)
		code := codePattern.FindString(s.inbox.next("mo@harbour.example").Text)
		var mu sync.Mutex
		var won []string
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				password := fmt.Sprintf("ramp lunar tightly %d", i)
				_, err := s.signIn.AcceptInvitation(s.nobody(""), &authv1.AcceptInvitationRequest{InvitationCode: code, Password: password})
				if err == nil {
					mu.Lock()
					won = append(won, password)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		require.Len(t, won, 1)
		_, err = s.signIn.StartSignIn(s.nobody(""), &authv1.StartSignInRequest{Email: "mo@harbour.example", Password: won[0]})
		require.NoError(t, err)
	})
}

func TestTheLastAdministratorStays(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		ada := s.newOffice()
		last := authv1.ErrorReason_ERROR_REASON_LAST_ADMINISTRATOR
		_, err := s.accounts.DisableStaff(s.as(ada.token), &authv1.DisableStaffRequest{Name: ada.account})
		is(t, err, codes.FailedPrecondition, last)
		s.inbox.seen()
		_, err = s.accounts.InviteStaff(s.as(ada.token), &authv1.InviteStaffRequest{
			Parent: ada.firm, Email: "bo@harbour.example", DisplayName: "Bo", Mobile: newMobile(), Role: authv1.Role_ROLE_ADMINISTRATOR,
		})
		require.NoError(t, err)
		_, err = s.accounts.DisableStaff(s.as(ada.token), &authv1.DisableStaffRequest{Name: ada.account})
		is(t, err, codes.FailedPrecondition, last) // who is only invited does not count
	})
}

func TestTwoAdministratorsCannotDisableEachOtherAtOnce(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		ada := s.newOffice()
		bo := s.hire(ada, "bo@harbour.example", newMobile(), authv1.Role_ROLE_ADMINISTRATOR)
		s.signInAs(bo)
		s.stepUp(bo)
		adas, bos := s.as(ada.token), s.as(bo.token)
		errs := make(chan error, 2)
		go func() {
			_, err := s.accounts.DisableStaff(adas, &authv1.DisableStaffRequest{Name: bo.account})
			errs <- err
		}()
		go func() {
			_, err := s.accounts.DisableStaff(bos, &authv1.DisableStaffRequest{Name: ada.account})
			errs <- err
		}()
		one, two := <-errs, <-errs
		require.True(t, (one == nil) != (two == nil), "%v, %v", one, two)
	})
}

func TestFirmsAreApart(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		harbour := s.newOffice()
		operator := &person{email: "olive@host.example"}
		s.signInAs(operator)
		bridge := s.newFirm(operator, "Bridge Audit", "bo@bridge.example", newMobile())
		s.stepUp(bridge)
		ctx := func() func(string) error {
			return func(name string) error {
				_, err := s.accounts.GetStaff(s.as(bridge.token), &authv1.GetStaffRequest{Name: name})
				return err
			}
		}()
		require.Equal(t, codes.NotFound, rpcerr.From(ctx(harbour.account)).Code())
		mixed := bridge.firm + harbour.account[len(harbour.firm):] // their account under our firm
		is(t, ctx(mixed), codes.NotFound, authv1.ErrorReason_ERROR_REASON_NOT_FOUND)
		_, err := s.accounts.DisableStaff(s.as(bridge.token), &authv1.DisableStaffRequest{Name: mixed})
		is(t, err, codes.NotFound, authv1.ErrorReason_ERROR_REASON_NOT_FOUND)
		_, err = s.accounts.ReinstatePin(s.as(bridge.token), &authv1.ReinstatePinRequest{Name: mixed})
		is(t, err, codes.NotFound, authv1.ErrorReason_ERROR_REASON_NOT_FOUND)
		_, err = s.firms.GetFirm(s.as(bridge.token), &authv1.GetFirmRequest{Name: harbour.firm})
		require.Equal(t, codes.NotFound, rpcerr.From(err).Code())
		list, err := s.accounts.ListStaff(s.as(bridge.token), &authv1.ListStaffRequest{Parent: bridge.firm})
		require.NoError(t, err)
		require.Len(t, list.GetStaff(), 1)
		firms, err := s.firms.ListFirms(s.as(operator.token), &authv1.ListFirmsRequest{PageSize: 1})
		require.NoError(t, err)
		require.Equal(t, "Bridge Audit", firms.GetFirms()[0].GetDisplayName())
		firms, err = s.firms.ListFirms(s.as(operator.token), &authv1.ListFirmsRequest{PageSize: 1, PageToken: firms.GetNextPageToken()})
		require.NoError(t, err)
		require.Equal(t, "Harbour Tax", firms.GetFirms()[0].GetDisplayName())
		require.Empty(t, firms.GetNextPageToken())
		got, err := s.firms.GetFirm(s.asService("sync", harbour.firm), &authv1.GetFirmRequest{Name: harbour.firm})
		require.NoError(t, err)
		require.Equal(t, "Harbour Tax", got.GetFirm().GetDisplayName())
	})
}

func TestRoleTakesEffectWithTheNextToken(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.newOffice()
	reader := s.hire(admin, "ro@harbour.example", "", authv1.Role_ROLE_READ_ONLY)
	s.signInAs(reader)
	resp, err := s.resolve(reader.token, "sync")
	require.NoError(t, err)
	p, err := access.NewVerifier("sync", access.Sources{s.service.Keys()}, s.clock.Now).Verify(t.Context(), resp.GetInternalToken())
	require.NoError(t, err)
	require.Equal(t, access.ReadOnlyStaff, p.Kind)
}

// What no database keeps, a NUL, is refused by name wherever a caller can bring it.
func TestForgedTokensAndFiltersAreRefused(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newOffice()
		operator := &person{email: "olive@host.example"}
		s.signInAs(operator)
		lists := map[string]func(token string) error{
			"staff": func(token string) error {
				_, err := s.accounts.ListStaff(s.as(admin.token), &authv1.ListStaffRequest{Parent: admin.firm, PageToken: token})
				return err
			},
			"contact_logins": func(token string) error {
				_, err := s.accounts.ListContactLogins(s.as(admin.token), &authv1.ListContactLoginsRequest{Parent: admin.firm, PageToken: token})
				return err
			},
			"agents": func(token string) error {
				_, err := s.accounts.ListAgents(s.as(admin.token), &authv1.ListAgentsRequest{Parent: admin.firm, PageToken: token})
				return err
			},
			"firms": func(token string) error {
				_, err := s.firms.ListFirms(s.as(operator.token), &authv1.ListFirmsRequest{PageToken: token})
				return err
			},
			"sessions": func(token string) error {
				_, err := s.sessions.ListSessions(s.as(admin.token), &authv1.ListSessionsRequest{PageToken: token})
				return err
			},
			"audit": func(token string) error {
				_, err := s.ledger.ListAuditEntries(s.as(admin.token), &authv1.ListAuditEntriesRequest{Parent: admin.firm, PageToken: token})
				return err
			},
		}
		for kind, list := range lists {
			for _, cursor := range []string{
				`{"Name":"\u0000","DisplayName":"\u0000","ID":"x"}`, `{"ID":"\u0000"}`, `{"Name":"x","Created":1,"ID":"a\u0000"}`,
				`{"Name":7,"DisplayName":7,"Created":"x","Before":"x"}`, `[]`, `"x"`,
			} {
				err := list(base64.RawURLEncoding.EncodeToString([]byte(`{"k":"` + kind + `","c":` + cursor + `}`)))
				if err == nil {
					continue // nothing in it that this list reads
				}
				e := rpcerr.From(err)
				require.Equal(t, codes.InvalidArgument, e.Code(), "%s %s: %v", kind, cursor, err)
				require.Len(t, e.Violations(), 1, "%s %s: %v", kind, cursor, err)
				require.Equal(t, "page_token", e.Violations()[0].Field)
			}
		}
		for field, req := range map[string]*authv1.ListAuditEntriesRequest{
			"actor": {Actor: "a\x00"}, "action": {Action: "a\x00"}, "resource": {Resource: "a\x00"},
		} {
			req.Parent = admin.firm
			_, err := s.ledger.ListAuditEntries(s.as(admin.token), req)
			if err != nil {
				require.Equal(t, codes.InvalidArgument, rpcerr.From(err).Code(), "%s: %v", field, err)
			}
		}
		_, err := s.signIn.StartSignIn(s.nobody("192.0.2.9"), &authv1.StartSignInRequest{Email: "a\x00@b.example", Password: "x\x00"})
		is(t, err, codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SIGN_IN_REFUSED)
	})
}
