package auth_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/concord-suite/concord/platform/events/eventstest"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
)

func (s *suite) evidence(p *person) (*authv1.Evidence, error) {
	s.t.Helper()
	resp, err := authv1.NewEvidenceServiceClient(s.conn).GetEvidence(s.as(p.token), &authv1.GetEvidenceRequest{Name: p.firm + "/evidence"})
	return resp.GetEvidence(), err
}

func TestS21_TheEvidenceNamesKeysTheirAgesAndTheirEnds(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newOffice()
		_, err := s.export(admin, &authv1.ExportAuditEntriesRequest{Parent: admin.firm})
		require.NoError(t, err)
		e, err := s.evidence(admin)
		require.NoError(t, err)
		purposes := map[string]*authv1.KeyAge{}
		for _, k := range e.GetKeys() {
			require.NotEmpty(t, k.GetKeyId())
			purposes[k.GetPurpose()] = k
		}
		for _, want := range []string{"signs internal tokens", "signs exports of the audit ledger"} {
			require.Contains(t, purposes, want)
			require.WithinDuration(t, s.clock.Now(), purposes[want].GetCreateTime().AsTime(), time.Minute)
			require.Nil(t, purposes[want].GetRetireTime(), "the key in use has no end yet")
		}
		require.Contains(t, purposes, "seals secrets (keyring, primary)")
		require.Contains(t, purposes, "hashes PINs and codes (keyring, primary)")
	})
}

// What an assessor asks of one firm, counted: and nobody's name or address in it.
func TestTheEvidenceOfAFirm(t *testing.T) {
	eachOnBus(t, func(t *testing.T, s *suite, _ jetstream.JetStream) {
		operator := s.operator()
		other := s.newFirm(operator, "Bridge Audit", "bo@bridge.example", "")
		admin := s.newFirm(operator, "Harbour <Tax>", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		mo := s.hire(admin, "mo@harbour.example", "", authv1.Role_ROLE_STAFF)
		gone := s.hire(admin, "gone@harbour.example", "", authv1.Role_ROLE_STAFF)
		_, err := s.accounts.DisableStaff(s.as(admin.token), &authv1.DisableStaffRequest{Name: gone.account})
		require.NoError(t, err)
		s.signInAs(mo)
		connection := newConnection(admin.firm)
		_, err = s.require2FA(admin.firm, connection)
		require.NoError(t, err)
		s.inbox.seen()
		s.signInAs(mo)
		_, err = s.signIn.StartSignIn(s.nobody("203.0.113.9"), &authv1.StartSignInRequest{Email: mo.email, Password: "wrong", Firm: admin.firm})
		require.Error(t, err)
		s.inbox.seen()
		c := s.begin(mo)
		_, err = s.verify(c.GetChallenge(), wrong(s.inbox.pin(mo.email)))
		require.Error(t, err)
		eventstest.Until(t, "all of it is in the ledger", func() bool {
			return len(s.entries(admin, &authv1.ListAuditEntriesRequest{Action: "sign_in.pin"})) == 1 &&
				len(s.entries(admin, &authv1.ListAuditEntriesRequest{Action: "sign_in.password"})) == 1
		})

		e, err := s.evidence(admin)
		require.NoError(t, err)
		require.Equal(t, "Harbour <Tax>", e.GetFirmDisplayName())
		require.True(t, e.GetPolicy().GetTwoFactorEnforced())
		require.Equal(t, []string{connection}, e.GetPolicy().GetRequiredBy())
		require.Len(t, e.GetPolicyChanges(), 2)
		require.Contains(t, e.GetPolicyChanges()[0].GetSummary(), "two-factor sign-in of staff: off")
		require.Contains(t, e.GetPolicyChanges()[1].GetSummary(), "requires two-factor sign-in; two-factor sign-in of staff: on")
		staff := e.GetStaff()
		require.EqualValues(t, 2, staff.GetActive())
		require.EqualValues(t, 2, staff.GetTwoFactor())
		require.EqualValues(t, 1, staff.GetSms())
		require.EqualValues(t, 1, staff.GetEmailOnly())
		require.EqualValues(t, 1, staff.GetDisabled())
		require.EqualValues(t, 2, e.GetSessions().GetOpen())
		require.Zero(t, e.GetSessions().GetSingleFactor())
		require.EqualValues(t, 12*3600, e.GetSessions().GetLongestSeconds())
		require.True(t, e.GetLedger().GetIntact())
		require.Positive(t, e.GetLedger().GetEntries())
		require.Len(t, e.GetLedger().GetHeadHash(), 64)
		require.False(t, e.GetLedger().GetOldestTime().AsTime().After(e.GetLedger().GetNewestTime().AsTime()))
		require.EqualValues(t, 1, e.GetSignIns().GetWrongPasswords())
		require.EqualValues(t, 1, e.GetSignIns().GetWrongFactors())
		methods := map[string]int64{}
		for _, m := range e.GetSignIns().GetByMethod() {
			methods[m.GetMethods()] = m.GetCount()
		}
		require.EqualValues(t, 1, methods["pwd otp email"])
		require.Positive(t, methods["pwd"])
		text, err := protojson.Marshal(e)
		require.NoError(t, err)
		for _, personal := range []string{"@", "harbour.example", admin.mobile, "203.0.113.9", "192.0.2.7"} {
			require.NotContains(t, string(text), personal)
		}
		require.True(t, json.Valid(text))

		_, err = s.evidence(mo)
		require.Equal(t, codes.PermissionDenied, status.Code(err), "for administrators")
		stranger := *other
		stranger.firm = admin.firm
		s.stepUp(other)
		stranger.token = other.token
		_, err = s.evidence(&stranger)
		require.True(t, status.Code(err) == codes.NotFound || status.Code(err) == codes.PermissionDenied, "%v", err)
		weak := s.newFirm(operator, "Weak", "wi@weak.example", "")
		_, err = s.evidence(weak)
		require.Error(t, err, "freshly confirmed")
	})
}
