package connector_test

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/concord-suite/concord/platform/config"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	"github.com/concord-suite/concord/services/connector"
	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/faults"
	"github.com/concord-suite/concord/sim/remote"
	"github.com/concord-suite/concord/sim/world"
)

const (
	fine    = connectorv1.FindingLevel_FINDING_LEVEL_OK
	warning = connectorv1.FindingLevel_FINDING_LEVEL_WARNING
	problem = connectorv1.FindingLevel_FINDING_LEVEL_PROBLEM
)

// GetSecurityPolicy answers what was required at the desk.
func (a *authDesk) GetSecurityPolicy(_ context.Context, req *authv1.GetSecurityPolicyRequest) (*authv1.GetSecurityPolicyResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fail != nil {
		return nil, a.fail
	}
	policy := &authv1.SecurityPolicy{Name: req.GetName(), TwoFactorEnforced: len(a.required) > 0}
	for name := range a.required {
		policy.RequiredBy = append(policy.RequiredBy, name)
	}
	return &authv1.GetSecurityPolicyResponse{Policy: policy}, nil
}

// diagnosis is what was found of a connection, by subject, the worst where there are several.
func (s *suite) diagnosis(name string) map[string]*connectorv1.Finding {
	s.t.Helper()
	resp, err := s.connections.DiagnoseConnection(s.admin(firmOf(name)), &connectorv1.DiagnoseConnectionRequest{Name: name})
	require.NoError(s.t, err)
	require.Equal(s.t, name, resp.GetConnection().GetName())
	found, before := map[string]*connectorv1.Finding{}, problem
	for _, f := range resp.GetFindings() {
		require.LessOrEqual(s.t, f.GetLevel(), before, "worst first")
		require.NotEmpty(s.t, f.GetDescription())
		if f.GetLevel() != fine {
			require.NotEmpty(s.t, f.GetAction(), "what to do about: %s", f.GetDescription())
		}
		before = f.GetLevel()
		if found[f.GetSubject()] == nil {
			found[f.GetSubject()] = f
		}
	}
	return found
}

// told requires that a finding is as bad as that and says so.
func requireFinding(t *testing.T, f *connectorv1.Finding, level connectorv1.FindingLevel, words ...string) {
	t.Helper()
	require.NotNil(t, f)
	require.Equal(t, level, f.GetLevel(), f.GetDescription())
	for _, w := range words {
		require.Contains(t, f.GetDescription()+" "+f.GetAction(), w)
	}
}

func TestDiagnosisOfWhatIsWell(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		c := s.connect(firmA, sim.Owner, sim.PracticeName)
		requireFinding(t, s.diagnosis(c.GetName())["LAST_SUCCESS"], warning, "No call has worked yet")
		s.record(c, firmA)
		var asked []string
		s.wire.after = func(path string) { asked = append(asked, path) }
		found := s.diagnosis(c.GetName())
		s.wire.after = nil
		require.LessOrEqual(t, len(asked), 2, "%v", asked)
		for subject, f := range found {
			require.Equal(t, fine, f.GetLevel(), "%s: %s", subject, f.GetDescription())
		}
		for _, subject := range []string{"STATE", "CONSENT", "SCOPES", "TENANT", "PRIVILEGES", "LAST_SUCCESS", "CALLS", "TWO_FACTOR", "CHORES"} {
			require.Contains(t, found, subject)
		}
		requireFinding(t, found["TENANT"], fine, sim.PracticeName)
		requireFinding(t, found["CALLS"], fine, "of 60 calls", "of 5000 today")
		for _, secret := range s.wire.secrets {
			for _, f := range found {
				require.NotContains(t, f.GetDescription()+f.GetAction(), secret)
			}
		}
	})
}

func TestDiagnosisWhenTheProviderIsDown(t *testing.T) {
	s := onSQLite(t, options{still: true})
	c := s.connect(firmA, sim.Owner, sim.PracticeName)
	s.fault(world.Fault{Kind: faults.Status, Path: "*", Status: 503})
	var asked int
	s.wire.after = func(string) { asked++ }
	found := s.diagnosis(c.GetName())
	requireFinding(t, found["TENANT"], warning, "did not answer")
	requireFinding(t, found["STATE"], fine)
	require.NotContains(t, found, "PRIVILEGES", "who does not answer is not asked again")
	require.Equal(t, 1, asked)

	require.NoError(t, s.remote.RemoveFault(t.Context(), ""))
	s.fault(world.Fault{Kind: faults.Status, Path: "*/client.api/*", Status: 503})
	requireFinding(t, s.diagnosis(c.GetName())["PRIVILEGES"], warning, "did not answer")
	require.Equal(t, connectorv1.ConnectionState_CONNECTION_STATE_ACTIVE, s.get(c.GetName()).GetState(), "who only looks changes nothing")
}

func TestDiagnosisOfConsentsAndAccess(t *testing.T) {
	s := onSQLite(t, options{})
	c := s.connect(firmA, sim.Owner, sim.PracticeName)
	person := s.person(sim.Owner)
	set := func(members []world.Role) {
		t.Helper()
		changed := person
		changed.Members = members
		require.NoError(t, s.remote.Do(t.Context(), "POST", "/control/people", changed, nil))
	}
	lesser := slices.Clone(person.Members)
	for i := range lesser {
		lesser[i].FullAccess = false
	}
	set(lesser)
	requireFinding(t, s.diagnosis(c.GetName())["PRIVILEGES"], problem, "Authorise 3rd Party Full Access")
	set(slices.DeleteFunc(slices.Clone(person.Members), func(r world.Role) bool { return r.Tenant == c.GetTenantId() }))
	requireFinding(t, s.diagnosis(c.GetName())["PRIVILEGES"], problem, "no longer has a role")
	set(person.Members)
	requireFinding(t, s.diagnosis(c.GetName())["PRIVILEGES"], fine)

	require.NoError(t, s.remote.Do(t.Context(), "POST", "/control/disconnect", map[string]string{"tenant": c.GetTenantId()}, nil))
	found := s.diagnosis(c.GetName())
	requireFinding(t, found["TENANT"], problem, "removed it at the provider")
	require.NotContains(t, found, "PRIVILEGES")

	s.auth.set(func(a *authDesk) { clear(a.required) })
	requireFinding(t, s.diagnosis(c.GetName())["TWO_FACTOR"], problem, "not enforced")
	s.auth.set(func(a *authDesk) { a.required["another"] = true })
	requireFinding(t, s.diagnosis(c.GetName())["TWO_FACTOR"], warning, "could be switched off")
	s.auth.set(func(a *authDesk) { a.fail = status.Error(codes.Unavailable, "down") })
	requireFinding(t, s.diagnosis(c.GetName())["TWO_FACTOR"], warning, "could not be asked")
}

func TestDiagnosisOfADeadConsent(t *testing.T) {
	s := onSQLite(t, options{})
	c := s.connect(firmA, sim.Owner, sim.PracticeName)
	s.clock.forward(61 * 24 * time.Hour)
	_, err := s.records.GetRecord(s.asService("sync", firmA), &connectorv1.GetRecordRequest{Connection: c.GetName(), RecordId: firmA})
	requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_NEEDS_REAUTH)
	s.wire.after = func(path string) { t.Errorf("a dead consent was used: %s", path) }
	found := s.diagnosis(c.GetName())
	s.wire.after = nil
	requireFinding(t, found["STATE"], problem, "connects again")
	requireFinding(t, found["CONSENT"], problem, "no longer valid", "connects again")
	require.NotContains(t, found, "TENANT")
}

func TestDiagnosisOfScopesAndContactTypes(t *testing.T) {
	s := onSQLite(t, options{})
	group, err := s.remote.Books("").Group(t.Context(), remote.GroupChange{Name: "Retainers"})
	require.NoError(t, err)
	c := s.connectBooks(firmA, sim.OrganisationName, "CUSTOMERS", "GROUP:"+group.ID)
	requireFinding(t, s.diagnosis(c.GetName())["OPTIONS"], fine)
	_, err = s.remote.Books("").Group(t.Context(), remote.GroupChange{Group: group.ID, Delete: true})
	require.NoError(t, err)
	var asked int
	s.wire.after = func(string) { asked++ }
	requireFinding(t, s.diagnosis(c.GetName())["OPTIONS"], warning, "1 of the 2 chosen contact types")
	require.LessOrEqual(t, asked, 2)

	practice := s.connect(firmA, sim.Owner, sim.PracticeName)
	s.opt.environ = append(s.opt.environ, "CONCORD_CONNECTOR_XPM_SCOPES=openid,offline_access,practicemanager.client,practicemanager.job")
	s.startReplica()
	requireFinding(t, s.diagnosis(practice.GetName())["SCOPES"], problem, "practicemanager.job", "connects again")
}

func TestDiagnosisOfLimits(t *testing.T) {
	s := onSQLite(t, options{})
	c := s.connect(firmA, sim.Owner, sim.PracticeName)
	s.fault(world.Fault{Kind: faults.Status, Path: "*/client.api/get/*", Status: 429, Retry: 66000, Limit: "day", Count: 1})
	_, err := s.records.GetRecord(s.asService("sync", firmA), &connectorv1.GetRecordRequest{Connection: c.GetName(), RecordId: firmA})
	requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_BUDGET_EXHAUSTED)
	found := s.diagnosis(c.GetName())
	requireFinding(t, found["CALLS"], warning, s.clock.Now().Add(66000*time.Second).UTC().Format("2006-01-02 15:04"), `"day"`)
	requireFinding(t, found["PRIVILEGES"], warning, "was not tried")
	requireFinding(t, found["TENANT"], fine)
}

func TestDiagnosisOfWhatWaits(t *testing.T) {
	s := onSQLite(t, options{})
	c := s.connect(firmA, sim.Owner, sim.PracticeName)
	s.fault(world.Fault{Kind: faults.Status, Path: "*", Status: 503})
	_, err := s.connections.DisconnectConnection(s.admin(firmA), &connectorv1.DisconnectConnectionRequest{Name: c.GetName(), RequestId: uuid.NewString()})
	require.NoError(t, err)
	s.until("telling the provider has failed", func() bool {
		return strings.Contains(s.diagnosis(c.GetName())["CHORES"].GetDescription(), "tried once")
	})
	requireFinding(t, s.diagnosis(c.GetName())["CHORES"], fine, "the connection was removed")
	s.clock.forward(time.Hour)
	requireFinding(t, s.diagnosis(c.GetName())["CHORES"], warning, "the connection was removed", "by itself")
	requireFinding(t, s.diagnosis(c.GetName())["STATE"], fine, "disconnected it")
}

func TestDiagnosisOfLegacyConnections(t *testing.T) {
	s := onSQLite(t, options{})
	resp, err := s.connections.ImportLegacyConnection(s.admin(firmA), &connectorv1.ImportLegacyConnectionRequest{Parent: "firms/" + firmA,
		Provider: connectorv1.Provider_PROVIDER_XPM, TenantName: "Practice of before", RequestId: uuid.NewString()})
	require.NoError(t, err)
	requireFinding(t, s.diagnosis(resp.GetConnection().GetName())["STATE"], problem, "until it is upgraded")
}

func TestDiagnosisIsForAdministratorsOfTheFirm(t *testing.T) {
	s := onSQLite(t, options{})
	c := s.connect(firmA, sim.Owner, sim.PracticeName)
	of := func(name string) error {
		_, err := s.connections.DiagnoseConnection(s.admin(firmB), &connectorv1.DiagnoseConnectionRequest{Name: name})
		return err
	}
	requireReason(t, of("firms/"+firmB+c.GetName()[len("firms/")+len(firmA):]), connectorv1.ErrorReason_ERROR_REASON_NOT_FOUND)
	require.Equal(t, codes.NotFound, status.Code(of(c.GetName())))
}

// TestDiagnosisWhenTheDatabaseHangs: an answer comes in bounded time, whatever it is.
func TestDiagnosisWhenTheDatabaseHangs(t *testing.T) {
	frozen := sqldbtest.NewFaults()
	s := onSQLite(t, options{faults: frozen, still: true})
	c := s.connect(firmA, sim.Owner, sim.PracticeName)
	frozen.Freeze()
	defer frozen.Thaw()
	began := time.Now()
	_, err := s.connections.DiagnoseConnection(s.admin(firmA), &connectorv1.DiagnoseConnectionRequest{Name: c.GetName()})
	require.Error(t, err)
	require.Less(t, time.Since(began), 30*time.Second)
}

// person returns who somebody is at the provider.
func (s *suite) person(email string) world.Person {
	s.t.Helper()
	state, err := s.remote.State(s.t.Context())
	require.NoError(s.t, err)
	at := slices.IndexFunc(state.People, func(p *world.Person) bool { return p.Email == email })
	require.GreaterOrEqual(s.t, at, 0)
	return *state.People[at]
}

// examine runs the doctor as a command does, beside the replica that runs.
func (s *suite) examine(e connector.Examination, environ ...string) (well bool, out string, err error) {
	s.t.Helper()
	require.NoError(s.t, e.Check())
	var cfg connector.Config
	if environ == nil {
		environ = s.environ()
	}
	require.NoError(s.t, config.Load(config.Source{Service: connector.Name, Environ: environ}, &cfg))
	var text strings.Builder
	well, err = connector.Doctor(s.t.Context(), cfg, connector.Deps{DB: sqldbtest.Open(s.t, s.url, nil), Vault: s.ring,
		Client: &http.Client{Transport: s.wire}, Now: s.clock.Now, Logger: slog.New(slog.DiscardHandler)}, e, &text)
	return well, text.String(), err
}

func TestTheDoctorLooksAtAllConnections(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		well, out, err := s.examine(connector.Examination{})
		require.NoError(t, err)
		require.True(t, well)
		require.Equal(t, "there are no connections\n", out)

		a := s.connect(firmA, sim.Owner, sim.PracticeName)
		b := s.connect(firmB, sim.Consultant, sim.SecondPracticeName)
		s.record(a, firmA)
		well, out, err = s.examine(connector.Examination{})
		require.NoError(t, err)
		require.True(t, well, out)
		require.Contains(t, out, a.GetName()+"  XPM "+sim.PracticeName+"\n")
		require.Contains(t, out, b.GetName()+"  XPM "+sim.SecondPracticeName+"\n")
		require.Regexp(t, `(?m)^  OK +TENANT +The .* is connected at the provider\.$`, out)
		require.Regexp(t, `(?m)^  WARNING +LAST_SUCCESS +No call has worked yet\.\n +-> Start a sync`, out, "of the second")

		require.NoError(t, s.remote.Do(t.Context(), "POST", "/control/disconnect", map[string]string{"tenant": a.GetTenantId()}, nil))
		well, out, err = s.examine(connector.Examination{Firm: firmA})
		require.NoError(t, err)
		require.False(t, well)
		require.NotContains(t, out, b.GetName())
		require.Regexp(t, `(?m)^  PROBLEM +TENANT .*removed it at the provider\.\n +-> An administrator connects again`, out)
		well, _, err = s.examine(connector.Examination{Connection: b.GetName()[strings.LastIndex(b.GetName(), "/")+1:]})
		require.NoError(t, err)
		require.True(t, well)

		well, out, err = s.examine(connector.Examination{JSON: true})
		require.NoError(t, err)
		require.False(t, well)
		documents := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
		require.Len(t, documents, 2)
		for _, text := range documents {
			var read connectorv1.DiagnoseConnectionResponse
			require.NoError(t, protojson.Unmarshal([]byte(text), &read))
			require.NotEmpty(t, read.GetFindings())
		}

		_, _, err = s.examine(connector.Examination{Firm: firmB, Connection: a.GetName()[strings.LastIndex(a.GetName(), "/")+1:]})
		require.ErrorIs(t, err, connector.ErrNoSuchConnection)
		well, out, err = s.examine(connector.Examination{}, "NOTHING=set")
		require.NoError(t, err)
		require.False(t, well)
		require.Contains(t, out, "a command needs the settings of the server")
		for _, secret := range s.wire.secrets {
			require.NotContains(t, out, secret)
		}
	})
}

func TestTheDoctorsFlags(t *testing.T) {
	require.Error(t, connector.Examination{Firm: "mine"}.Check())
	require.Error(t, connector.Examination{Connection: "firms/x/connections/y"}.Check())
	require.NoError(t, connector.Examination{}.Check())
}
