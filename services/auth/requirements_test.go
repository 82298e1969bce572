package auth_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/vault"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
)

// kept is a connection that keeps the text of every answer and error.
type kept struct {
	grpc.ClientConnInterface
	mu   sync.Mutex
	text strings.Builder
}

func (k *kept) Invoke(ctx context.Context, method string, in, out any, opts ...grpc.CallOption) error {
	err := k.ClientConnInterface.Invoke(ctx, method, in, out, opts...)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		fmt.Fprintln(&k.text, status.Convert(err).Proto())
	} else {
		k.text.WriteString(prototext.Format(out.(proto.Message)))
	}
	return err
}

// tables are all rows of all tables, as text.
func (s *suite) tables() string {
	s.t.Helper()
	var all strings.Builder
	list := map[sqldb.Dialect]string{
		sqldb.SQLite:   `SELECT name FROM sqlite_schema WHERE type = 'table'`,
		sqldb.Postgres: `SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()`,
	}
	require.NoError(s.t, s.db.Read(s.t.Context(), func(tx *sqldb.Tx) error {
		names, err := sqldb.Collect(tx, func(r *sqldb.Rows) (n string, err error) { return n, r.Scan(&n) }, list[tx.Dialect()])
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := dumpTable(tx, name, &all); err != nil {
				return err
			}
		}
		return nil
	}))
	return all.String()
}

func dumpTable(tx *sqldb.Tx, name string, all *strings.Builder) error {
	list := map[sqldb.Dialect]string{
		sqldb.SQLite:   `SELECT name FROM pragma_table_info($1)`,
		sqldb.Postgres: `SELECT column_name FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = $1`,
	}
	columns, err := sqldb.Collect(tx, func(r *sqldb.Rows) (n string, err error) { return n, r.Scan(&n) }, list[tx.Dialect()], name)
	if err != nil {
		return err
	}
	rows, err := tx.Query(`SELECT "` + strings.Join(columns, `", "`) + `" FROM "` + name + `"`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		for _, v := range values {
			if b, ok := v.([]byte); ok {
				v = string(b)
			}
			fmt.Fprintln(all, v)
		}
	}
	return rows.Err()
}

// everyday is what people do in a day: sign in, mistype, step up, invite, be disabled. It returns every secret there was.
func everyday(s *suite) (secrets []string) {
	admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
	s.stepUp(admin)
	secrets = append(secrets, admin.token)
	bob := s.hire(admin, "bob@harbour.example", newMobile(), authv1.Role_ROLE_STAFF)
	s.signInAs(bob)
	s.stepUp(bob)
	secrets = append(secrets, bob.token, passphrase)
	_, err := s.signIn.StartSignIn(s.nobody("192.0.2.7"), &authv1.StartSignInRequest{Email: bob.email, Password: "a guess nobody must read"})
	require.Error(s.t, err)
	_, err = s.sessions.StartStepUp(s.as(bob.token), &authv1.StartStepUpRequest{Password: "another guess nobody must read"})
	require.Error(s.t, err)
	_, err = s.signIn.AcceptInvitation(s.nobody("192.0.2.7"), &authv1.AcceptInvitationRequest{
		InvitationCode: "civ_" + strings.Repeat("q", 43), Password: "a password nobody must read",
	})
	require.Error(s.t, err)
	_, err = s.accounts.DisableStaff(s.as(admin.token), &authv1.DisableStaffRequest{Name: bob.account, RequestId: requestID()})
	require.NoError(s.t, err)
	return append(secrets, "a guess nobody must read", "another guess nobody must read", "a password nobody must read", strings.Repeat("q", 43))
}

// The secrets of a day are looked for, as they are and in base64, in every log line, event, audit entry, table and stored
// answer, and in every answer: tokens are handed out once, by the call that made them.
func TestS02_SecretsReachNoLogEventLedgerOrTable(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		answers := &kept{ClientConnInterface: s.conn}
		s.signIn, s.sessions = authv1.NewSignInServiceClient(answers), authv1.NewSessionServiceClient(answers)
		s.accounts, s.firms = authv1.NewAccountServiceClient(answers), authv1.NewFirmServiceClient(answers)
		secrets := everyday(s)
		require.Greater(t, len(secrets), 6)
		places := map[string]string{"the log": s.logs.String(), "the database": s.tables()}
		require.Greater(t, len(places["the log"]), 1000)
		require.Greater(t, len(places["the database"]), 10_000)
		for where, text := range places {
			for _, secret := range secrets {
				require.False(t, strings.Contains(text, secret), "%q is in %s", secret, where)
				require.False(t, strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(secret))), "%q is in %s, in base64", secret, where)
			}
		}
		for _, secret := range secrets {
			require.LessOrEqual(t, strings.Count(answers.text.String(), secret), 1, "%q is answered again", secret)
		}
		require.NotContains(t, answers.text.String(), passphrase)
	})
}

// PINs that can still be used are nowhere: not in a log, and in the database only as a hash under a key that is elsewhere.
func TestS02_PINsAreNowhereBeforeTheyAreUsed(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		operator := s.operator()
		for range 3 { // once in some thousand times six digits are found in a number by accident
			s.begin(operator)
			pin := s.inbox.pin(operator.email)
			if !strings.Contains(s.logs.String(), pin) && !slices.ContainsFunc(strings.Fields(s.tables()), func(word string) bool { return word == pin }) {
				return
			}
		}
		t.Fatal("PINs are in the log or the database")
	})
}

// What is sealed in a full database opens with the keyring of the service and with no other.
func TestS14_WhatIsSealedOpensWithTheKeyringAlone(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		s.operator()
		other, err := vault.OpenOrCreate(filepath.Join(t.TempDir(), "keyring.json"))
		require.NoError(t, err)
		var sealed []byte
		var id string
		require.NoError(t, s.db.Read(t.Context(), func(tx *sqldb.Tx) error {
			return tx.QueryRow(`SELECT id, sealed FROM signing_keys`).Scan(&id, &sealed)
		}))
		row := vault.Row{Table: "signing_keys", ID: id, Column: "sealed"}
		ring, err := s.keyring.Open()
		require.NoError(t, err)
		_, err = ring.Open(sealed, row)
		require.NoError(t, err)
		_, err = other.Open(sealed, row)
		require.Error(t, err)
		require.NotContains(t, string(sealed), "PRIVATE")
	})
}

// Nobody of a firm with a connection gets in with a password alone, and no weak password is taken.
func TestS06_AConnectionMeansTwoSteps(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		bob := s.hire(admin, "bob@harbour.example", "", authv1.Role_ROLE_STAFF)
		require.Equal(t, authv1.Strength_STRENGTH_SINGLE, s.signInAs(bob).GetStrength(), "before")
		_, err := s.firms.RequireTwoFactor(s.asService("connector", admin.firm), &authv1.RequireTwoFactorRequest{
			Firm: admin.firm, Connection: admin.firm + "/connections/01920000-0000-7000-8000-00000000000c",
		})
		require.NoError(t, err)
		for _, p := range []*person{admin, bob} {
			resp, err := s.signIn.StartSignIn(s.nobody("192.0.2.7"), &authv1.StartSignInRequest{Email: p.email, Password: passphrase, Firm: p.firm})
			require.NoError(t, err)
			require.Empty(t, resp.GetSessionToken(), "a password alone opens a session")
			require.NotNil(t, resp.GetChallenge())
		}
		_, err = s.resolve(bob.token, "auth")
		is(t, err, codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SESSION_ENDED)
	})
}

// What people type is text: nothing of it becomes part of a statement, and it comes back as it was.
func TestS13_WhatIsTypedIsNeverPartOfAStatement(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		for i, name := range []string{`Robert'); DROP TABLE accounts; --`, `" OR ""="`, `%_\`, `<script>alert(1)</script>`, `$1 ? :name @x`} {
			resp, err := s.accounts.InviteStaff(s.as(admin.token), &authv1.InviteStaffRequest{
				Parent: admin.firm, Email: fmt.Sprintf("x%d@harbour.example", i), DisplayName: name, Role: authv1.Role_ROLE_STAFF, RequestId: requestID(),
			})
			require.NoError(t, err)
			got, err := s.accounts.GetStaff(s.as(admin.token), &authv1.GetStaffRequest{Name: resp.GetStaff().GetName()})
			require.NoError(t, err)
			require.Equal(t, name, got.GetStaff().GetDisplayName())
		}
		for _, email := range []string{`ada@harbour.example' OR '1'='1`, `' OR 1=1 --`, `%@harbour.example`, "ada@harbour.example\x00"} {
			_, err := s.signIn.StartSignIn(s.nobody("192.0.2.9"), &authv1.StartSignInRequest{Email: email, Password: passphrase})
			require.Error(t, err, email)
		}
		list, err := s.accounts.ListStaff(s.as(admin.token), &authv1.ListStaffRequest{Parent: admin.firm})
		require.NoError(t, err)
		require.Len(t, list.GetStaff(), 6)
	})
}

// What is odd can be seen by whoever watches: failed sign-ins and refused calls stand in the firm's ledger with address and
// outcome, and in the log with the reason.
func TestS19_FailuresCanBeWatched(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
	s.stepUp(admin)
	for range 3 {
		_, err := s.signIn.StartSignIn(s.nobody("203.0.113.66"), &authv1.StartSignInRequest{Email: admin.email, Password: "wrong guess"})
		is(t, err, codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SIGN_IN_REFUSED)
	}
	bob := s.hire(admin, "bob@harbour.example", "", authv1.Role_ROLE_STAFF)
	s.signInAs(bob)
	_, err := s.accounts.DisableStaff(s.as(bob.token), &authv1.DisableStaffRequest{Name: admin.account, RequestId: requestID()})
	require.Equal(t, codes.PermissionDenied, status.Code(err))
	require.GreaterOrEqual(t, strings.Count(s.logs.String(), "SIGN_IN_REFUSED"), 3, "the log says why each was refused")
	rows := s.tables()
	require.Contains(t, rows, "203.0.113.66", "where from")
	require.Contains(t, s.logs.String(), "PERMISSION_DENIED")
}
