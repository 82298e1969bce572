package connector_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/concord-suite/concord/platform/sqldb"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	auditeventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/audit/v1"
	connectoreventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/connector/v1"
	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/remote"
	"github.com/concord-suite/concord/sim/world"
)

const (
	xpmProvider  = connectorv1.Provider_PROVIDER_XPM
	xeroProvider = connectorv1.Provider_PROVIDER_XERO
)

// opened starts an attempt to connect a provider.
func (s *suite) opened(firm string, p connectorv1.Provider) *connectorv1.StartConnectAttemptResponse {
	s.t.Helper()
	resp, err := s.connections.StartConnectAttempt(s.admin(firm), &connectorv1.StartConnectAttemptRequest{
		Parent: "firms/" + firm, Provider: p, RequestId: uuid.NewString()})
	require.NoError(s.t, err)
	return resp
}

// connected connects a tenant of a provider.
func (s *suite) connected(firm string, p connectorv1.Provider, person, tenant string) *connectorv1.Connection {
	s.t.Helper()
	opened := s.opened(firm, p)
	state, err := s.complete(s.consent(opened, remote.Choice{Person: person, Tenant: tenant}))
	require.NoError(s.t, err)
	require.Equal(s.t, authorised, state)
	a := s.attempt(opened.GetAttempt().GetName())
	resp, err := s.confirm(a, a.GetPreselectedTenantId(), true)
	require.NoError(s.t, err)
	return resp.GetConnection()
}

func (s *suite) works(c *connectorv1.Connection) {
	s.t.Helper()
	_, err := s.records.GetRecord(s.asService("sync", firmOf(c.GetName())), &connectorv1.GetRecordRequest{Connection: c.GetName(), RecordId: firmA})
	require.NoError(s.t, err)
}

func scopesOf(opened *connectorv1.StartConnectAttemptResponse) []string {
	return strings.Fields(query(opened.GetAuthorizeUrl()).Get("scope"))
}

// TestOneConsentServesTwoProviders: the second connection of the same app asks for what the first one has besides its own,
// and the grant that serves both is narrowed by nothing and ends with the last of them.
func TestOneConsentServesTwoProviders(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		practice := s.connected(firmA, xpmProvider, sim.Owner, sim.PracticeName)
		before := scopesOf(s.opened(firmB, xeroProvider))
		require.NotContains(t, before, "practicemanager.client", "another firm's consents are another's")
		opened := s.opened(firmA, xeroProvider)
		require.Contains(t, scopesOf(opened), "practicemanager.client")
		require.Subset(t, scopesOf(opened), before)
		require.Len(t, slices.Compact(slices.Sorted(slices.Values(scopesOf(opened)))), len(scopesOf(opened)), "each once")

		books := s.connected(firmA, xeroProvider, sim.Owner, sim.OrganisationName)
		require.Equal(t, "1", s.cell(`SELECT CAST(COUNT(*) AS TEXT) FROM grants`), "one grant serves both")
		s.works(practice)
		s.works(books)
		again := s.connected(firmA, xpmProvider, sim.Owner, sim.PracticeName)
		require.Equal(t, practice.GetName(), again.GetName())
		require.Equal(t, "1", s.cell(`SELECT CAST(COUNT(*) AS TEXT) FROM grants`))
		require.Contains(t, s.cell(`SELECT scopes FROM grants`), "accounting.contacts", "renewing one does not narrow the other")
		s.works(books)

		_, err := s.connections.DisconnectConnection(s.admin(firmA), &connectorv1.DisconnectConnectionRequest{Name: practice.GetName()})
		require.NoError(t, err)
		s.until("the practice is removed at the provider", func() bool { return len(s.upstream()) == 1 })
		require.Equal(t, "ACTIVE", s.cell(`SELECT status FROM grants`))
		s.works(books)
		_, err = s.connections.DisconnectConnection(s.admin(firmA), &connectorv1.DisconnectConnectionRequest{Name: books.GetName()})
		require.NoError(t, err)
		s.until("the grant is revoked", func() bool { return s.cell(`SELECT status FROM grants`) == "CLOSED" && len(s.upstream()) == 0 })
		s.requireNoSecrets()
	})
}

// TestAConsentThatCoversLessStandsBesideTheOther: a colleague, signed in at the provider as the same person, was asked for
// less. What was there keeps its own tokens.
func TestAConsentThatCoversLessStandsBesideTheOther(t *testing.T) {
	s := onSQLite(t, options{})
	practice := s.connected(firmA, xpmProvider, sim.Owner, sim.PracticeName)
	require.NoError(t, s.db.Tx(t.Context(), func(tx *sqldb.Tx) error {
		_, err := tx.Exec(`UPDATE connections SET connected_by = 'somebody else'`)
		return err
	}))
	require.NotContains(t, scopesOf(s.opened(firmA, xeroProvider)), "practicemanager.client", "nobody is asked for what others gave")
	books := s.connected(firmA, xeroProvider, sim.Owner, sim.OrganisationName)
	require.Equal(t, "2", s.cell(`SELECT CAST(COUNT(*) AS TEXT) FROM grants WHERE status = 'ACTIVE'`))
	s.works(practice)
	s.works(books)
}

// TestWhoseConsentIsUsed: a second person's consent to the same tenant is told before, named, and put into the ledger.
func TestWhoseConsentIsUsed(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		c := s.connect(firmA, sim.Owner, sim.PracticeName)
		require.Empty(t, s.authorise(firmA, sim.Owner, sim.PracticeName).GetWarnings(), "the same person again")
		a := s.authorise(firmA, sim.Consultant, sim.PracticeName)
		require.Len(t, a.GetWarnings(), 1)
		require.Contains(t, a.GetWarnings()[0], "uses the consent of Pelva Fictional ("+sim.Owner+")")
		require.Contains(t, a.GetWarnings()[0], "it uses the consent of Sturno Elsewhere ("+sim.Consultant+")")
		require.Zero(t, s.audited("connection.consent_replaced"))
		resp, err := s.confirm(a, a.GetPreselectedTenantId(), false)
		require.NoError(t, err)
		require.Equal(t, c.GetName(), resp.GetConnection().GetName())
		require.Equal(t, 1, s.audited("connection.consent_replaced"))
		require.Equal(t, "Sturno Elsewhere ("+sim.Consultant+")",
			s.cell(`SELECT person FROM grants WHERE id = (SELECT grant_id FROM connections)`))
		s.works(c)
		require.Empty(t, s.authorise(firmA, sim.Consultant, sim.PracticeName).GetWarnings())
	})
}

// entries returns the entries of an action that wait for the ledger.
func (s *suite) entries(action string) (found []*auditeventsv1.AuditEntry) {
	for _, recorded := range told[*auditeventsv1.AuditRecorded](s) {
		for _, e := range recorded.GetEntries() {
			if e.GetAction() == action {
				found = append(found, e)
			}
		}
	}
	return found
}

// audited counts them.
func (s *suite) audited(action string) int { return len(s.entries(action)) }

// narrow takes a scope out of the answers of the token endpoint.
type narrow struct {
	http.RoundTripper
	scope string
}

func (n narrow) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := n.RoundTripper.RoundTrip(r)
	if err != nil || !strings.HasSuffix(r.URL.Path, "/connect/token") {
		return resp, err
	}
	var answer map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return nil, err
	}
	_ = resp.Body.Close()
	answer["scope"] = strings.ReplaceAll(answer["scope"].(string), n.scope, "")
	parts := strings.Split(answer["access_token"].(string), ".")
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, err
	}
	parts[1] = base64.RawURLEncoding.EncodeToString(bytes.ReplaceAll(claims, []byte(`"`+n.scope+`"`), []byte(`"other"`)))
	answer["access_token"] = strings.Join(parts, ".")
	text, err := json.Marshal(answer)
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	return resp, err
}

// TestBadAnswersOfPeopleAndProviders: each has a name, and leaves what is connected as it was.
func TestBadAnswersOfPeopleAndProviders(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		good := s.connect(firmA, sim.Consultant, sim.SecondPracticeName)
		before := s.get(good.GetName())
		t.Run("a scope is missing in the answer", func(t *testing.T) {
			next := s.wire.next
			s.wire.next = narrow{next, "practicemanager.client"}
			defer func() { s.wire.next = next }()
			opened := s.start(firmA)
			state, err := s.complete(s.consent(opened, remote.Choice{Person: sim.Owner, Tenant: sim.PracticeName}))
			require.NoError(t, err)
			require.Equal(t, failed, state)
			a := s.attempt(opened.GetAttempt().GetName())
			require.Contains(t, a.GetError(), "practicemanager.client")
			_, err = s.confirm(a, s.tenant(sim.PracticeName), true)
			requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_SCOPE_MISSING)
		})
		t.Run("the tenant goes before it is confirmed", func(t *testing.T) {
			a := s.authorise(firmA, sim.Owner, sim.PracticeName)
			for _, c := range s.upstream() {
				if c.Tenant == a.GetPreselectedTenantId() {
					require.NoError(t, s.remote.Do(t.Context(), "POST", "/control/disconnect", map[string]string{"tenant": c.Tenant}, nil))
				}
			}
			_, err := s.confirm(a, a.GetPreselectedTenantId(), true)
			requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_TENANT_UNKNOWN)
			require.Contains(t, err.Error(), "disconnected at the provider")
		})
		t.Run("a state is used again, by another person and for another firm", func(t *testing.T) {
			opened := s.start(firmA)
			answer := s.consent(opened, remote.Choice{Person: sim.Owner, Tenant: sim.PracticeName})
			other := s.start(firmB)
			crossed := proto.CloneOf(answer)
			crossed.BrowserBinding = other.GetBrowserBinding()
			_, err := s.complete(crossed)
			requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_BROWSER_MISMATCH)
			_, err = s.complete(answer)
			require.NoError(t, err)
			answer.Code = "another code"
			_, err = s.complete(answer)
			requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_ATTEMPT_ENDED)
		})
		now := s.get(good.GetName())
		now.LastSuccessTime, now.DayCallsLeft = before.GetLastSuccessTime(), before.GetDayCallsLeft()
		require.True(t, proto.Equal(before, now), "what is connected stays as it was")
		require.Empty(t, told[*connectoreventsv1.ConnectionRemoved](s))
		s.works(good)
		t.Run("the person loses the role", func(t *testing.T) {
			s.unrole(sim.Consultant, sim.SecondPracticeName)
			_, err := s.records.GetRecord(s.asService("sync", firmA), &connectorv1.GetRecordRequest{Connection: good.GetName(), RecordId: firmA})
			requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_PRIVILEGE_MISSING)
			degraded := told[*connectoreventsv1.ConnectionDegraded](s)
			require.Len(t, degraded, 1)
			require.Equal(t, good.GetName(), degraded[0].GetConnection())
			require.Contains(t, degraded[0].GetReason(), "no longer has a role")
			require.Equal(t, "ACTIVE", s.cell(`SELECT status FROM grants WHERE id = (SELECT grant_id FROM connections WHERE state = 'DEGRADED')`))
		})
		s.requireNoSecrets()
	})
}

// unrole takes a person's role in a tenant away.
func (s *suite) unrole(email, tenant string) {
	s.t.Helper()
	state, err := s.remote.State(s.t.Context())
	require.NoError(s.t, err)
	for _, p := range state.People {
		if p.Email == email {
			person, gone := *p, s.tenant(tenant)
			person.Members = slices.DeleteFunc(slices.Clone(p.Members), func(r world.Role) bool { return r.Tenant == gone })
			require.NoError(s.t, s.remote.Do(s.t.Context(), "POST", "/control/people", person, nil))
		}
	}
}
