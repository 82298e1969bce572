package auth_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/access/accesstest"
	"github.com/concord-suite/concord/platform/sqldb"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/services/auth"
)

// contract is every service that auth answers.
func contract() (services []protoreflect.ServiceDescriptor) {
	for _, f := range []protoreflect.FileDescriptor{
		authv1.File_concord_auth_v1_sign_in_service_proto, authv1.File_concord_auth_v1_session_service_proto,
		authv1.File_concord_auth_v1_firm_service_proto, authv1.File_concord_auth_v1_account_service_proto,
		authv1.File_concord_auth_v1_ledger_service_proto, authv1.File_concord_auth_v1_factor_service_proto,
		authv1.File_concord_auth_v1_password_service_proto, authv1.File_concord_auth_v1_add_in_service_proto,
		authv1.File_concord_auth_v1_delivery_service_proto, authv1.File_concord_auth_v1_evidence_service_proto,
	} {
		for i := range f.Services().Len() {
			services = append(services, f.Services().Get(i))
		}
	}
	return services
}

// The page that designs the API describes every RPC that is published.
func TestTheDesignKnowsEveryRPC(t *testing.T) {
	_ = os.Getenv("SOURCES_DIGEST") // the page lies outside this module (Makefile)
	page, err := os.ReadFile("../../docs/api.md")
	require.NoError(t, err)
	for _, service := range contract() {
		for i := range service.Methods().Len() {
			require.Contains(t, string(page), "`"+string(service.Methods().Get(i).Name())+"`")
		}
	}
}

// Every RPC with every kind of caller, of the firm named and of another one.
func TestAccessMatrix(t *testing.T) {
	s := onSQLite(t, options{run: true})
	s.seedMatrix()
	services := contract()
	require.Len(t, services, 11)
	accesstest.Matrix(t, services, accesstest.Over(s.bare, s.mint, auth.Name))
}

// seedMatrix gives the principals of the matrix the accounts and sessions that they say they have: what is about the
// caller's own session is answered from it.
func (s *suite) seedMatrix() {
	s.t.Helper()
	now := sqldb.Micros(s.clock.Now())
	exec := func(query string, args ...any) {
		require.NoError(s.t, s.db.Tx(s.t.Context(), func(tx *sqldb.Tx) error { _, err := tx.Exec(query, args...); return err }))
	}
	for _, firm := range []string{accesstest.FirmA, accesstest.FirmB} {
		exec(`INSERT INTO firms (id, display_name, created_at) VALUES ($1, $2, $3)`, firm, "Firm "+firm[35:], now)
	}
	exec(`INSERT INTO addresses (email, salt) VALUES ('one@matrix.example', $1)`, []byte("salt"))
	exec(`INSERT INTO accounts (id, firm, kind, role, contact, email, display_name, mobile, state, created_at)
		VALUES ('one', $1, 'STAFF', 'STAFF', '', 'one@matrix.example', 'One', '', 'ACTIVE', $2)`, accesstest.FirmA, now)
	for _, k := range []access.Kind{
		access.Operator, access.Administrator, access.Staff, access.ReadOnlyStaff, access.Contact, access.AddIn,
	} {
		exec(`INSERT INTO sessions (id, token_hash, firm, account, kind, strength, methods, created_at, expires_at, used_at, step_up_until,
			address) VALUES ($1, $2, $3, 'one', 'PERSON', 3, 'pwd', $4, $5, $4, $5, '')`,
			accesstest.SessionID(k), []byte(accesstest.SessionID(k)), accesstest.FirmA, now, now+3600_000_000)
	}
	agent := accesstest.Of(access.Agent, accesstest.FirmA)
	exec(`INSERT INTO agents (id, firm, display_name, credential_hash, created_by, created_at) VALUES ($1, $2, 'Agent', $3, 'one', $4)`,
		agent.ID, agent.Firm, []byte("credential"), now)
}
