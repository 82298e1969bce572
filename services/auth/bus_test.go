package auth_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	auditeventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/audit/v1"
	autheventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/auth/v1"
	synceventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/sync/v1"
	optionsv1 "github.com/concord-suite/concord/proto/gen/concord/options/v1"
	"github.com/concord-suite/concord/services/auth"
)

// eachOnBus is each with a NATS server that the service's relay and consumers use.
func eachOnBus(t *testing.T, fn func(t *testing.T, s *suite, js jetstream.JetStream)) {
	t.Helper()
	sqldbtest.Each(t, auth.Migrations, func(t *testing.T, db *sqldb.DB) {
		nats := eventstest.Start(t)
		js := nats.Connect(t)
		fn(t, start(t, db, options{bus: js, run: true}), js)
	})
}

// peer emits events as another service of the suite does, from a database of its own.
type peer struct {
	t  testing.TB
	db *sqldb.DB
}

func newPeer(t testing.TB, js jetstream.JetStream, name string) *peer {
	t.Helper()
	p := &peer{t: t, db: sqldbtest.Open(t, sqldbtest.URL(t, sqldb.SQLite), events.Schema)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- events.NewRelay(p.db, js, name, events.RelayOptions{}).Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return p
}

func (p *peer) emit(firm, entity string, sequence int64, m proto.Message) {
	p.t.Helper()
	require.NoError(p.t, p.db.Tx(p.t.Context(), func(tx *sqldb.Tx) error {
		_, err := events.Add(tx, events.Event{Firm: firm, Entity: entity, Sequence: sequence, Message: m})
		return err
	}))
}

func entryOf(firm, id, action string) *auditeventsv1.AuditEntry {
	return &auditeventsv1.AuditEntry{
		EntryId: id, Firm: firm, OccurredAt: timestamppb.New(time.Unix(1_780_000_000, 0)), Service: "documents",
		ActorKind: optionsv1.PrincipalKind_PRINCIPAL_KIND_STAFF, Actor: "somebody", Action: action,
		Kind: optionsv1.AuditKind_AUDIT_KIND_CHANGE, Success: true,
	}
}

func (s *suite) entries(admin *person, req *authv1.ListAuditEntriesRequest) []*authv1.LedgerEntry {
	s.t.Helper()
	req.Parent, req.PageSize = admin.firm, 7
	var all []*authv1.LedgerEntry
	ctx := s.as(admin.token)
	for {
		page, err := s.ledger.ListAuditEntries(ctx, req)
		require.NoError(s.t, err)
		all = append(all, page.GetEntries()...)
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			return all
		}
	}
}

func TestLedgerTakesEveryServicesEntriesOnce(t *testing.T) {
	eachOnBus(t, func(t *testing.T, s *suite, js jetstream.JetStream) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
		firm := strings.TrimPrefix(admin.firm, "firms/")
		documents := newPeer(t, js, "documents")
		one, two := uuid.NewString(), uuid.NewString()
		for range 3 { // an entry that comes again in another event is still the same entry
			documents.emit(firm, "", 0, &auditeventsv1.AuditRecorded{Entries: []*auditeventsv1.AuditEntry{
				entryOf(firm, one, "documents.test.one"), entryOf(firm, two, "documents.test.two"),
			}})
		}
		eventstest.Until(t, "the last entry is in the ledger", func() bool {
			return len(s.entries(admin, &authv1.ListAuditEntriesRequest{Action: "documents.test.two"})) > 0
		})
		require.Len(t, s.entries(admin, &authv1.ListAuditEntriesRequest{Actor: "somebody"}), 2)

		// What auth itself records arrives the same way: calls, and who signed in.
		eventstest.Until(t, "the administrator's sign-in is in the ledger", func() bool {
			opened := s.entries(admin, &authv1.ListAuditEntriesRequest{Action: "session.opened"})
			return len(opened) == 1 && opened[0].GetEntry().GetResource() == admin.account &&
				opened[0].GetEntry().GetAddress() == "192.0.2.7" && opened[0].GetEntry().GetSession() != ""
		})
		_, err := s.signIn.StartSignIn(s.nobody("203.0.113.9"), &authv1.StartSignInRequest{Email: admin.email, Password: "wrong"})
		require.Error(t, err)
		eventstest.Until(t, "the wrong password is in the ledger", func() bool {
			found := s.entries(admin, &authv1.ListAuditEntriesRequest{Action: "sign_in.password"})
			return len(found) == 1 && !found[0].GetEntry().GetSuccess() && found[0].GetEntry().GetReason() == "SIGN_IN_REFUSED"
		})
		all := s.entries(admin, &authv1.ListAuditEntriesRequest{})
		for i, e := range all {
			require.Equal(t, firm, e.GetEntry().GetFirm())
			if i > 0 {
				require.Equal(t, all[i-1].GetSequence()-1, e.GetSequence(), "newest first, without gaps")
			}
		}
		verified, err := s.ledger.VerifyLedger(s.as(admin.token), &authv1.VerifyLedgerRequest{Parent: admin.firm})
		require.NoError(t, err)
		require.True(t, verified.GetIntact())
		require.GreaterOrEqual(t, verified.GetEntries(), int64(len(all)))
		require.Len(t, verified.GetHeadHash(), 64)
	})
}

func TestRefusedSignInIsNotRecordedAsOneThatWorked(t *testing.T) {
	s := onSQLite(t, options{run: true})
	operator := s.operator()
	c := s.begin(operator)
	_, err := s.verify(c.GetChallenge(), wrong(s.inbox.pin(operator.email)))
	require.Error(t, err)
	_, err = s.signIn.StartSignIn(s.nobody("203.0.113.9"), &authv1.StartSignInRequest{Email: operator.email, Password: "wrong"})
	require.Error(t, err)
	good, bad := map[string]int{}, map[string]int{}
	for _, m := range s.events("audit.v1.audit_recorded", &auditeventsv1.AuditRecorded{}) {
		for _, e := range m.(*auditeventsv1.AuditRecorded).GetEntries() {
			if e.GetSuccess() {
				good[e.GetAction()]++
			} else {
				bad[e.GetAction()]++
			}
		}
	}
	const verifyPin, startSignIn = "/concord.auth.v1.SignInService/VerifyPin", "/concord.auth.v1.SignInService/StartSignIn"
	require.Equal(t, 1, good[verifyPin])
	require.Equal(t, 1, bad[verifyPin])
	require.Equal(t, 1, bad["sign_in.pin"])
	require.Equal(t, 2, good[startSignIn])
	require.Equal(t, 1, bad[startSignIn])
	require.Equal(t, 1, bad["sign_in.password"])
}

func TestTamperingWithTheLedgerIsRefusedAndShows(t *testing.T) {
	eachOnBus(t, func(t *testing.T, s *suite, js jetstream.JetStream) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
		firm := strings.TrimPrefix(admin.firm, "firms/")
		documents := newPeer(t, js, "documents")
		for range 10 {
			documents.emit(firm, "", 0, &auditeventsv1.AuditRecorded{Entries: []*auditeventsv1.AuditEntry{entryOf(firm, uuid.NewString(), "documents.test")}})
		}
		eventstest.Until(t, "ten entries are in the ledger", func() bool {
			return len(s.entries(admin, &authv1.ListAuditEntriesRequest{Action: "documents.test"})) == 10
		})
		change := func(query string, args ...any) error {
			return s.db.Tx(t.Context(), func(tx *sqldb.Tx) error { _, err := tx.Exec(query, args...); return err })
		}
		for _, query := range []string{
			`UPDATE ledger_entries SET actor = 'nobody' WHERE chain = $1`, `DELETE FROM ledger_entries WHERE chain = $1`,
			`UPDATE ledger_heads SET sequence = 1 WHERE chain = $1`, `DELETE FROM ledger_heads WHERE chain = $1`,
		} {
			require.Error(t, change(query, firm), query)
		}
		verify := func() *authv1.VerifyLedgerResponse {
			resp, err := s.ledger.VerifyLedger(s.as(admin.token), &authv1.VerifyLedgerRequest{Parent: admin.firm})
			require.NoError(t, err)
			return resp
		}
		require.True(t, verify().GetIntact())
		// Whoever owns the database can take the triggers away. Then it shows.
		drop := []string{`DROP TRIGGER ledger_entries_no_update`, `DROP TRIGGER ledger_entries_no_delete`}
		if s.db.Dialect() == sqldb.Postgres {
			drop = []string{`DROP TRIGGER ledger_entries_no_change ON ledger_entries`}
		}
		for _, d := range drop {
			require.NoError(t, change(d))
		}
		require.NoError(t, change(`UPDATE ledger_entries SET actor = 'hidden' WHERE chain = $1 AND sequence = 5`, firm))
		require.EqualValues(t, 5, verify().GetFirstBrokenSequence(), "hidden from a search by its actor")
		forged, err := proto.Marshal(entryOf(firm, uuid.NewString(), "documents.other"))
		require.NoError(t, err)
		require.NoError(t, change(`UPDATE ledger_entries SET payload = $2 WHERE chain = $1 AND sequence = 3`, firm, forged))
		broken := verify()
		require.False(t, broken.GetIntact())
		require.EqualValues(t, 3, broken.GetFirstBrokenSequence())
		require.NoError(t, change(`DELETE FROM ledger_entries WHERE chain = $1 AND sequence >= 3`, firm))
		require.EqualValues(t, 3, verify().GetFirstBrokenSequence(), "the end was cut off")
	})
}

func TestEventsGoOut(t *testing.T) {
	eachOnBus(t, func(t *testing.T, s *suite, js jetstream.JetStream) {
		revoked := make(chan string, 100)
		ctx, cancel := context.WithCancel(context.Background())
		t.Cleanup(cancel)
		go events.Broadcast(ctx, js, slog.New(slog.DiscardHandler), time.Minute, func(e *autheventsv1.SessionRevoked) { revoked <- e.GetSession() })
		admin := s.newOffice()
		member := s.hire(admin, "mo@harbour.example", "", authv1.Role_ROLE_STAFF)
		session := strings.TrimPrefix(s.signInAs(member).GetName(), "sessions/")
		internal := s.as(member.token)
		_, err := s.accounts.DisableStaff(s.as(admin.token), &authv1.DisableStaffRequest{Name: member.account})
		require.NoError(t, err)
		var heard []string
		for !slices.Contains(heard, session) {
			select {
			case id := <-revoked:
				heard = append(heard, id)
			case <-time.After(eventstest.Wait):
				t.Fatal("the end of the session was not broadcast")
			}
		}
		eventstest.Until(t, "the internal token is refused as well", func() bool {
			_, err := s.sessions.GetCurrentSession(internal, &authv1.GetCurrentSessionRequest{})
			return rpcerr.From(err).Message() == "the session has ended; sign in again"
		})
	})
}

// clientList speaks as sync does about one contact: the sets of its clients are counted apart from its removals and
// releases, and a removal or release comes with the empty set that follows from it.
type clientList struct {
	*peer
	firm, contact string
}

func (l clientList) relations(sequence int64, clients ...string) {
	l.emit(l.firm, strings.TrimPrefix(l.contact, "firms/"+l.firm+"/")+"/relations", sequence,
		&synceventsv1.ContactRelationsChanged{Contact: l.contact, Clients: clients})
}

func (l clientList) removed(sequence int64) {
	l.emit(l.firm, strings.TrimPrefix(l.contact, "firms/"+l.firm+"/"), sequence, &synceventsv1.ContactRemoved{Contact: l.contact})
}

func (l clientList) released(sequence int64) {
	l.emit(l.firm, strings.TrimPrefix(l.contact, "firms/"+l.firm+"/"), sequence, &synceventsv1.ContactReleased{Contact: l.contact})
}

// heard waits until the newest of what was said of each kind is heard.
func (l clientList) heard(s *suite, relations, removal int64) {
	l.t.Helper()
	eventstest.Until(l.t, "what sync said is heard", func() bool {
		var r, x int64
		err := s.db.QueryRow(l.t.Context(), `SELECT relations_sequence, removal_sequence FROM contacts WHERE contact = $1`,
			l.contact[strings.LastIndexByte(l.contact, '/')+1:]).Scan(&r, &x)
		return err == nil && r == relations && x == removal
	})
}

// contactWithLogin is a contact that is signed in, and the client list that knows it.
func (s *suite) contactWithLogin(js jetstream.JetStream) (admin, cleo *person, list clientList) {
	s.t.Helper()
	admin = s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
	list = clientList{peer: newPeer(s.t, js, "sync"), firm: strings.TrimPrefix(admin.firm, "firms/"), contact: newContact(admin.firm)}
	s.inbox.seen()
	_, err := s.inviteContact(admin, list.contact, "cleo@client.example")
	require.NoError(s.t, err)
	cleo = &person{email: "cleo@client.example", firm: admin.firm}
	s.accept(cleo)
	s.signInAs(cleo)
	eventstest.Until(s.t, "the client list is heard", func() bool {
		_, err := s.resolve(cleo.token, "documents")
		return err == nil
	})
	return admin, cleo, list
}

func (s *suite) hadLogin() (has []bool) {
	for _, m := range s.events("auth.v1.contact_login_changed", &autheventsv1.ContactLoginChanged{}) {
		has = append(has, m.(*autheventsv1.ContactLoginChanged).GetHasLogin())
	}
	return has
}

// Both clients of a contact leave. Its sets are counted further than its removals by then.
func TestAContactThatIsGoneLosesItsLogin(t *testing.T) {
	eachOnBus(t, func(t *testing.T, s *suite, js jetstream.JetStream) {
		admin, cleo, list := s.contactWithLogin(js)
		one, two := admin.firm+"/clients/"+uuid.NewString(), admin.firm+"/clients/"+uuid.NewString()
		list.relations(1, one, two)
		list.relations(2, two)
		list.heard(s, 2, 0)
		_, err := s.resolve(cleo.token, "documents")
		require.NoError(t, err, "it has a client")
		list.removed(1)
		list.relations(3)
		eventstest.Until(t, "the session has ended", func() bool {
			_, err := s.resolve(cleo.token, "documents")
			return rpcerr.Has(err, ended)
		})
		list.heard(s, 3, 1)
		_, err = s.inviteContact(admin, list.contact, cleo.email)
		is(t, err, codes.NotFound, authv1.ErrorReason_ERROR_REASON_NOT_FOUND)
		list.relations(2, two) // late: what it says is over
		list.relations(4)      // still without a client
		list.heard(s, 4, 1)
		_, err = s.inviteContact(admin, list.contact, cleo.email)
		is(t, err, codes.NotFound, authv1.ErrorReason_ERROR_REASON_NOT_FOUND)
		list.relations(5, one) // back with its client
		list.heard(s, 5, 1)
		_, err = s.inviteContact(admin, list.contact, cleo.email)
		require.NoError(t, err)
		require.Equal(t, []bool{true, false, true}, s.hadLogin())
		list.removed(2) // and gone again
		list.relations(6)
		list.heard(s, 6, 2)
		require.Equal(t, []bool{true, false, true, false}, s.hadLogin())
	})
}

func TestAContactWithoutAClientKeepsItsLogin(t *testing.T) {
	eachOnBus(t, func(t *testing.T, s *suite, js jetstream.JetStream) {
		_, cleo, list := s.contactWithLogin(js)
		list.relations(1, "firms/"+list.firm+"/clients/"+uuid.NewString())
		list.released(1)
		list.relations(2)
		list.heard(s, 2, 1)
		_, err := s.resolve(cleo.token, "documents")
		require.NoError(t, err)
		require.Equal(t, []bool{true}, s.hadLogin())
	})
}

// What sync says arrives in another order: the end is the same.
func TestARemovalThatComesLate(t *testing.T) {
	eachOnBus(t, func(t *testing.T, s *suite, js jetstream.JetStream) {
		admin, cleo, list := s.contactWithLogin(js)
		one := admin.firm + "/clients/" + uuid.NewString()
		// The set that came with the removal is here first.
		list.relations(2)
		list.heard(s, 2, 0)
		list.removed(1)
		eventstest.Until(t, "the session has ended", func() bool {
			_, err := s.resolve(cleo.token, "documents")
			return rpcerr.Has(err, ended)
		})
		// A contact with a login whose removal was taken back is there again; the removal before that is over.
		list.released(3)
		list.heard(s, 2, 3)
		_, err := s.inviteContact(admin, list.contact, cleo.email)
		require.NoError(t, err)
		list.removed(2)
		list.relations(3, one)
		list.heard(s, 3, 3)
		require.Equal(t, []bool{true, false, true}, s.hadLogin())
	})
}

func TestKeysArePublished(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		resp, err := s.keys.GetKeys(s.nobody(""), &authv1.GetKeysRequest{})
		require.NoError(t, err)
		var set struct {
			Keys []struct{ Kty, Crv, X, Kid, Use, Alg string }
		}
		require.NoError(t, json.Unmarshal(resp.GetJwks(), &set))
		require.Len(t, set.Keys, 1)
		k := set.Keys[0]
		require.Equal(t, []string{"OKP", "Ed25519", "sig", "EdDSA"}, []string{k.Kty, k.Crv, k.Use, k.Alg})
		public, err := base64.RawURLEncoding.DecodeString(k.X)
		require.NoError(t, err)
		require.Equal(t, access.KeyID(ed25519.PublicKey(public)), k.Kid)
		trust := access.NewTrust()
		trust.Add(access.AuthIssuer, public)
		operator := s.operator()
		token, err := s.resolve(operator.token, "sync")
		require.NoError(t, err)
		_, err = access.NewVerifier("sync", trust, s.clock.Now).Verify(t.Context(), token.GetInternalToken())
		require.NoError(t, err)
	})
}
