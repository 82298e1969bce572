package syncsvc_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/services/sync/internal/peertest"
)

func archived(n int) (out []string) {
	for i := 1; i <= n; i++ {
		out = append(out, fmt.Sprintf("r%04d", i))
	}
	return out
}

// withheld lets ten of thirty clients go upstream and returns the plan that waits, with its changes.
func (s *suite) withheld() (*syncv1.Plan, []*syncv1.Change) {
	s.t.Helper()
	s.world.Practice(30)
	s.connect(nil)
	s.world.Archive(archived(10)...)
	run := s.full()
	require.Equal(s.t, syncv1.RunState_RUN_STATE_REMOVALS_WITHHELD, run.GetState(), run.GetMessage())
	waiting, err := s.plans.ListPlans(s.admin(), &syncv1.ListPlansRequest{Parent: firm, State: syncv1.PlanState_PLAN_STATE_WAITING})
	require.NoError(s.t, err)
	require.Len(s.t, waiting.GetPlans(), 1)
	p := waiting.GetPlans()[0]
	require.Equal(s.t, run.GetPlan(), p.GetName())
	require.EqualValues(s.t, 10, p.GetWaitingRemovals())
	require.NotEmpty(s.t, p.GetWithheldReason())
	changes, err := s.plans.ListPlanChanges(s.admin(), &syncv1.ListPlanChangesRequest{Parent: p.GetName(), Kind: syncv1.ChangeKind_CHANGE_KIND_ARCHIVE})
	require.NoError(s.t, err)
	require.Len(s.t, changes.GetChanges(), 10)
	return p, changes.GetChanges()
}

func TestDecidePlanInParts(t *testing.T) {
	each(t, func(t *testing.T, s *suite) {
		p, changes := s.withheld()
		_, err := s.plans.DecidePlan(s.admin(), &syncv1.DecidePlanRequest{Name: p.GetName()})
		violates(t, err, "approve")
		_, err = s.plans.DecidePlan(s.admin(), &syncv1.DecidePlanRequest{Name: p.GetName(), ApproveAll: true, Approve: []string{changes[0].GetName()}})
		violates(t, err, "approve")
		_, err = s.plans.DecidePlan(s.admin(), &syncv1.DecidePlanRequest{Name: p.GetName(), Approve: []string{p.GetName() + "/changes/" + uuid.NewString()}})
		refused(t, err, codes.NotFound, rpcerr.NotFound)
		_, err = s.plans.DecidePlan(s.admin(), &syncv1.DecidePlanRequest{Name: p.GetName(), ApproveAll: true, Etag: "old"})
		refused(t, err, codes.Aborted, syncv1.ErrorReason_ERROR_REASON_ETAG_MISMATCH)

		resp, err := s.plans.DecidePlan(s.admin(), &syncv1.DecidePlanRequest{
			Name: p.GetName(), Etag: p.GetEtag(), Approve: []string{changes[0].GetName(), changes[1].GetName()}, Reject: []string{changes[2].GetName()},
		})
		require.NoError(t, err)
		require.EqualValues(t, 2, resp.GetApproved())
		require.EqualValues(t, 1, resp.GetRejected())
		require.Equal(t, syncv1.PlanState_PLAN_STATE_WAITING, resp.GetPlan().GetState())
		require.EqualValues(t, 7, resp.GetPlan().GetWaitingRemovals())
		require.NotEqual(t, p.GetEtag(), resp.GetPlan().GetEtag())
		_, err = s.plans.DecidePlan(s.admin(), &syncv1.DecidePlanRequest{Name: p.GetName(), Approve: []string{changes[0].GetName()}})
		refused(t, err, codes.FailedPrecondition, syncv1.ErrorReason_ERROR_REASON_ALREADY_DECIDED)

		resp, err = s.plans.DecidePlan(s.admin(), &syncv1.DecidePlanRequest{
			Name: p.GetName(), Etag: resp.GetPlan().GetEtag(), Approve: []string{changes[3].GetName()}, RejectOthers: true,
		})
		require.NoError(t, err)
		require.EqualValues(t, 6, resp.GetRejected())
		require.Equal(t, syncv1.PlanState_PLAN_STATE_SETTLED, resp.GetPlan().GetState())
		_, err = s.plans.DecidePlan(s.admin(), &syncv1.DecidePlanRequest{Name: p.GetName(), ApproveAll: true})
		refused(t, err, codes.FailedPrecondition, syncv1.ErrorReason_ERROR_REASON_ALREADY_DECIDED)
		s.gone(3)
		require.Zero(t, s.full().GetCounts().GetRemovalCandidates(), "what was rejected is kept")
	})
}

// gone waits until so many clients have left.
func (s *suite) gone(n int) {
	s.t.Helper()
	eventstest.Until(s.t, "the clients have left", func() bool {
		resp, err := s.clients.ListOffboardings(s.admin(), &syncv1.ListOffboardingsRequest{
			Parent: firm, State: syncv1.OffboardingState_OFFBOARDING_STATE_DONE,
		})
		require.NoError(s.t, err)
		return len(resp.GetOffboardings()) == n
	})
}

func TestStalePartsOfADecisionAreNamed(t *testing.T) {
	each(t, func(t *testing.T, s *suite) {
		p, changes := s.withheld()
		s.world.Change(changes[0].GetRecordId(), func(c *peertest.Client) { c.Archived = false })
		s.sync(syncv1.RunKind_RUN_KIND_MANUAL)
		resp, err := s.plans.DecidePlan(s.admin(), &syncv1.DecidePlanRequest{Name: p.GetName(), Etag: p.GetEtag(), ApproveAll: true})
		require.NoError(t, err)
		require.EqualValues(t, 9, resp.GetApproved())
		s.gone(9)
		list, err := s.plans.ListPlanChanges(s.admin(), &syncv1.ListPlanChangesRequest{Parent: p.GetName(), State: syncv1.ChangeState_CHANGE_STATE_STALE})
		require.NoError(t, err)
		require.Len(t, list.GetChanges(), 1)
		run, err := s.runs.GetRun(s.admin(), &syncv1.GetRunRequest{Name: p.GetRun()})
		require.NoError(t, err)
		require.EqualValues(t, 9, run.GetRun().GetCounts().GetRemovalsStarted(), "the run's counts follow")
	})
}

func TestSupersededPlanIsClosed(t *testing.T) {
	each(t, func(t *testing.T, s *suite) {
		p, _ := s.withheld()
		s.full()
		_, err := s.plans.DecidePlan(s.admin(), &syncv1.DecidePlanRequest{Name: p.GetName(), ApproveAll: true})
		refused(t, err, codes.FailedPrecondition, syncv1.ErrorReason_ERROR_REASON_PLAN_SUPERSEDED)
	})
}

func TestDecideSuggestion(t *testing.T) {
	each(t, func(t *testing.T, s *suite) {
		byHand, err := s.clients.CreateClient(s.admin(), &syncv1.CreateClientRequest{Parent: firm, Client: &syncv1.Client{DisplayName: "client 0001 p/l"}})
		require.NoError(t, err)
		s.world.Practice(4)
		s.connect(func(c *connectorv1.Connection) {
			c.Options.NewRecordPolicy = connectorv1.NewRecordPolicy_NEW_RECORD_POLICY_REVIEW
		})
		run, err := s.runs.ListRuns(s.admin(), &syncv1.ListRunsRequest{Parent: firm})
		require.NoError(t, err)
		list, err := s.plans.ListPlanChanges(s.admin(), &syncv1.ListPlanChangesRequest{Parent: run.GetRuns()[0].GetPlan()})
		require.NoError(t, err)
		by := map[string]*syncv1.Change{}
		for _, c := range list.GetChanges() {
			by[c.GetRecordId()] = c
		}
		require.Len(t, by, 4)
		require.Equal(t, syncv1.ChangeKind_CHANGE_KIND_LINK, by["r0001"].GetKind())
		require.Equal(t, byHand.GetClient().GetName(), by["r0001"].GetClient())
		decide := func(record string, d syncv1.SuggestionDecision, client string) (*syncv1.DecideSuggestionResponse, error) {
			return s.plans.DecideSuggestion(s.as(access.Staff), &syncv1.DecideSuggestionRequest{Name: by[record].GetName(), Decision: d, Client: client})
		}
		_, err = decide("r0002", syncv1.SuggestionDecision_SUGGESTION_DECISION_LINK, "")
		violates(t, err, "client")
		_, err = decide("r0002", syncv1.SuggestionDecision_SUGGESTION_DECISION_CREATE, byHand.GetClient().GetName())
		violates(t, err, "client")

		linked, err := decide("r0001", syncv1.SuggestionDecision_SUGGESTION_DECISION_LINK, "")
		require.NoError(t, err)
		require.Equal(t, syncv1.ChangeState_CHANGE_STATE_APPLIED, linked.GetChange().GetState())
		c := s.client("0001", 0)
		require.Equal(t, byHand.GetClient().GetName(), c.GetName(), "the same client")
		require.Equal(t, "Client 0001 Pty Ltd", c.GetDisplayName(), "with the record's values")
		require.True(t, c.GetSynced())
		require.Len(t, s.export(c.GetName(), ""), 4, "created, linked, changed")

		made, err := decide("r0002", syncv1.SuggestionDecision_SUGGESTION_DECISION_CREATE, "")
		require.NoError(t, err)
		require.Equal(t, made.GetChange().GetClient(), s.client("0002", 0).GetName())
		_, err = decide("r0003", syncv1.SuggestionDecision_SUGGESTION_DECISION_IGNORE, "")
		require.NoError(t, err)
		_, err = decide("r0003", syncv1.SuggestionDecision_SUGGESTION_DECISION_CREATE, "")
		refused(t, err, codes.FailedPrecondition, syncv1.ErrorReason_ERROR_REASON_ALREADY_DECIDED)
		_, err = decide("r0004", syncv1.SuggestionDecision_SUGGESTION_DECISION_LINK, c.GetName())
		refused(t, err, codes.FailedPrecondition, syncv1.ErrorReason_ERROR_REASON_CHANGE_STALE)

		again := s.full()
		require.EqualValues(t, 1, again.GetCounts().GetSuggestions(), "only the one not decided")
		require.EqualValues(t, 2, again.GetCounts().GetContactsCreated(), "the contacts of what was taken come with the next run")
	})
}

func TestRecordMadeAnewBringsItsClientBack(t *testing.T) {
	each(t, func(t *testing.T, s *suite) {
		s.world.Practice(12)
		s.connect(nil)
		before := s.client("0007", 0).GetName()
		s.world.Delete("r0007")
		s.full()
		s.settled(s.offboardingOf("r0007"), syncv1.OffboardingState_OFFBOARDING_STATE_DONE)
		s.world.PutClient("r9999", &connectorv1.ClientFields{Name: "Client 0007 Pty Ltd", Code: "C0007"})
		run := s.full()
		require.EqualValues(t, 1, run.GetCounts().GetSuggestions())
		list, err := s.plans.ListPlanChanges(s.admin(), &syncv1.ListPlanChangesRequest{Parent: run.GetPlan()})
		require.NoError(t, err)
		ch := list.GetChanges()[0]
		require.Contains(t, ch.GetEvidence(), "this client left the client list before")
		_, err = s.plans.DecideSuggestion(s.admin(), &syncv1.DecideSuggestionRequest{
			Name: ch.GetName(), Decision: syncv1.SuggestionDecision_SUGGESTION_DECISION_LINK,
		})
		require.NoError(t, err)
		s.settled(s.offboardingOf("r0007"), syncv1.OffboardingState_OFFBOARDING_STATE_REVERSED)
		require.Equal(t, before, s.client("0007", 0).GetName(), "not a second one")
	})
}

func TestPlanThatIsBeingWrittenIsNotReady(t *testing.T) {
	each(t, func(t *testing.T, s *suite) {
		p, _ := s.withheld()
		ids := strings.Split(p.GetRun(), "/")
		require.NoError(t, s.db.Tx(context.Background(), func(tx *sqldb.Tx) error { // as it is in the middle of WRITE
			if _, err := tx.Exec(`UPDATE plans SET state = 'SETTLED' WHERE run = $1`, ids[3]); err != nil {
				return err
			}
			_, err := tx.Exec(`UPDATE runs SET state = 'RUNNING', step = 'WRITE', lease_until = $2 WHERE id = $1`, ids[3],
				sqldb.Micros(time.Now().Add(time.Hour)))
			return err
		}))
		_, err := s.plans.DecidePlan(s.admin(), &syncv1.DecidePlanRequest{Name: p.GetName(), ApproveAll: true})
		refused(t, err, codes.FailedPrecondition, syncv1.ErrorReason_ERROR_REASON_RUN_IN_PROGRESS)
		require.Equal(t, p.GetRun(), rpcerr.From(err).Metadata()["run"])
	})
}
