package syncsvc_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/access/accesstest"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/services/sync/internal/peertest"
)

// list asks for a page of one item after a token, with a filter or without, and returns the next token.
type list func(token string, filtered bool) (string, error)

// lists are all lists of the service, each with at least two items.
func (s *suite) lists() map[string]list {
	p, _ := s.withheld()
	c := s.client("0012", 0).GetName()
	s.world.Change("r0012", func(c *peertest.Client) { c.Fields.Phone = "02 9999 0000" })
	s.sync(syncv1.RunKind_RUN_KIND_MANUAL)
	for _, leaver := range []string{"0013", "0014"} {
		_, err := s.clients.OffboardClient(s.admin(), &syncv1.OffboardClientRequest{Name: s.client(leaver, 0).GetName(), Reason: "left"})
		require.NoError(s.t, err)
	}
	s.gone(2)
	query := map[bool]string{true: "00"}
	return map[string]list{
		"clients": func(token string, filtered bool) (string, error) {
			r, err := s.clients.ListClients(s.admin(), &syncv1.ListClientsRequest{Parent: firm, PageSize: 1, PageToken: token, Query: query[filtered]})
			return r.GetNextPageToken(), err
		},
		"contacts": func(token string, filtered bool) (string, error) {
			r, err := s.contacts.ListContacts(s.admin(), &syncv1.ListContactsRequest{Parent: firm, PageSize: 1, PageToken: token, Query: query[filtered]})
			return r.GetNextPageToken(), err
		},
		"history": func(token string, filtered bool) (string, error) {
			req := &syncv1.ListClientHistoryRequest{Parent: c, PageSize: 1, PageToken: token}
			if filtered { // another parent is another list as well
				req.Parent = s.client("0015", 0).GetName()
			}
			r, err := s.clients.ListClientHistory(s.admin(), req)
			return r.GetNextPageToken(), err
		},
		"off-boardings": func(token string, filtered bool) (string, error) {
			req := &syncv1.ListOffboardingsRequest{Parent: firm, PageSize: 1, PageToken: token}
			if filtered {
				req.State = syncv1.OffboardingState_OFFBOARDING_STATE_DONE
			}
			r, err := s.clients.ListOffboardings(s.admin(), req)
			return r.GetNextPageToken(), err
		},
		"runs": func(token string, filtered bool) (string, error) {
			req := &syncv1.ListRunsRequest{Parent: firm, PageSize: 1, PageToken: token}
			if filtered {
				req.Connection = connection
			}
			r, err := s.runs.ListRuns(s.admin(), req)
			return r.GetNextPageToken(), err
		},
		"plans": func(token string, filtered bool) (string, error) {
			req := &syncv1.ListPlansRequest{Parent: firm, PageSize: 1, PageToken: token}
			if filtered {
				req.State = syncv1.PlanState_PLAN_STATE_SETTLED
			}
			r, err := s.plans.ListPlans(s.admin(), req)
			return r.GetNextPageToken(), err
		},
		"changes": func(token string, filtered bool) (string, error) {
			req := &syncv1.ListPlanChangesRequest{Parent: p.GetName(), PageSize: 1, PageToken: token}
			if filtered {
				req.Kind = syncv1.ChangeKind_CHANGE_KIND_ARCHIVE
			}
			r, err := s.plans.ListPlanChanges(s.admin(), req)
			return r.GetNextPageToken(), err
		},
	}
}

func TestPageTokensAreOfOneList(t *testing.T) {
	each(t, func(t *testing.T, s *suite) {
		lists := s.lists()
		tokens := map[string]string{}
		for name, ask := range lists {
			token, err := ask("", false)
			require.NoError(t, err, name)
			require.NotEmpty(t, token, "%s has a second page", name)
			tokens[name] = token
		}
		for name, ask := range lists {
			for of, token := range tokens {
				if _, err := ask(token, false); of == name {
					require.NoError(t, err, name)
				} else {
					violates(t, err, "page_token")
				}
			}
			_, err := ask(tokens[name], true)
			violates(t, err, "page_token")
		}

		contact := accesstest.Of(access.Contact, accesstest.FirmA)
		_, err := s.clients.ListClients(s.asPrincipal(contact), &syncv1.ListClientsRequest{Parent: firm, PageSize: 1, PageToken: tokens["clients"]})
		violates(t, err, "page_token")
		more, err := s.clients.ListClients(s.admin(), &syncv1.ListClientsRequest{Parent: firm, PageSize: 20, PageToken: tokens["clients"]})
		require.NoError(t, err)
		require.Len(t, more.GetClients(), 20, "how large a page is does not matter")
	})
}
