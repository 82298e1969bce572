package demo

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/remote"
)

// guardPermille makes the demonstration's 25 leavers too many: one percent of 2,000 is 20. Of fewer than 100 clients it is
// none, so that even the one leaver of a tiny practice waits for a decision.
const guardPermille = 10

func (d *Demo) connect(ctx context.Context) ([]row, error) {
	if err := d.asAdministrator(ctx); err != nil {
		return nil, err
	}
	conn, switchedOn, err := d.connection(ctx)
	if err != nil {
		return nil, err
	}
	d.state.Names["connection"] = conn.GetName()
	rows := []row{{"practice", conn.GetTenantName()}, {"connection", word(conn.GetState().String(), "CONNECTION_STATE_")}}
	if switchedOn {
		rows = append(rows, row{"two-factor sign-in", "switched on for all staff"})
	}
	// The administrator's session may have been opened without a second factor; enforcement ended it.
	d.admin.token = ""
	return rows, d.asAdministrator(ctx)
}

// connection finds the connection that an earlier start made, or makes it through the provider's consent pages.
func (d *Demo) connection(ctx context.Context) (*connectorv1.Connection, bool, error) {
	list := new(connectorv1.ListConnectionsResponse)
	if err := d.admin.call(ctx, "GET", "/v1/"+d.firm()+"/connections", nil, list); err != nil {
		return nil, false, err
	}
	for _, c := range list.GetConnections() {
		if c.GetState() == connectorv1.ConnectionState_CONNECTION_STATE_ACTIVE {
			return c, false, nil
		}
	}
	start := new(connectorv1.StartConnectAttemptResponse)
	if err := d.admin.call(ctx, "POST", "/v1/"+d.firm()+"/connectAttempts", &connectorv1.StartConnectAttemptRequest{
		Provider: connectorv1.Provider_PROVIDER_XPM,
	}, start); err != nil {
		return nil, false, err
	}
	back, err := remote.Consent(ctx, start.GetAuthorizeUrl(), remote.Choice{Person: sim.Owner})
	if err != nil {
		return nil, false, err
	}
	if err := d.follow(ctx, back); err != nil {
		return nil, false, err
	}
	got := new(connectorv1.GetConnectAttemptResponse)
	if err := d.admin.call(ctx, "GET", "/v1/"+start.GetAttempt().GetName(), nil, got); err != nil {
		return nil, false, err
	}
	attempt := got.GetAttempt()
	if attempt.GetState() != connectorv1.AttemptState_ATTEMPT_STATE_AUTHORISED {
		return nil, false, fmt.Errorf("the attempt is %s: %s", attempt.GetState(), attempt.GetError())
	}
	options := attempt.GetSuggestedOptions()
	options.NewRecordPolicy = connectorv1.NewRecordPolicy_NEW_RECORD_POLICY_CREATE
	options.RemovalGuardFloor, options.RemovalGuardPermille = 0, guardPermille
	id, err := d.state.request("confirm-connection")
	if err != nil {
		return nil, false, err
	}
	done := new(connectorv1.ConfirmConnectAttemptResponse)
	err = d.admin.call(ctx, "POST", "/v1/"+attempt.GetName()+":confirm", &connectorv1.ConfirmConnectAttemptRequest{
		TenantId: attempt.GetPreselectedTenantId(), Options: options, RequestId: id,
	}, done)
	return done.GetConnection(), done.GetTwoFactorSwitchedOn(), err
}

// follow goes where the provider sent the browser, with the browser's cookies.
func (d *Demo) follow(ctx context.Context, to *url.URL) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, to.String(), http.NoBody)
	if err != nil {
		return err
	}
	resp, err := d.admin.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusFound {
		return fmt.Errorf("the callback answered %s", resp.Status)
	}
	return nil
}

func (d *Demo) firstSync(ctx context.Context) ([]row, error) {
	if err := d.asAdministrator(ctx); err != nil {
		return nil, err
	}
	run, err := d.firstRun(ctx)
	if err != nil {
		return nil, err
	}
	end, err := d.finish(ctx, run)
	if err != nil {
		return nil, err
	}
	if end.GetState() != syncv1.RunState_RUN_STATE_SUCCEEDED {
		return nil, fmt.Errorf("the first sync ended %s: %s", end.GetState(), end.GetMessage())
	}
	c := end.GetCounts()
	rows := append(runRows(end),
		row{"clients", fmt.Sprintf("%d created, %s for review", c.GetClientsCreated(), count(c.GetSuggestions(), "suggestion"))},
		row{"contacts", fmt.Sprintf("%d created", c.GetContactsCreated())},
	)
	if visible := span(end.GetCreateTime(), end.GetFirstVisibleTime()); visible != "" {
		rows = append(rows, row{"first clients visible", "after " + visible})
	}
	return rows, nil
}

// firstRun is the run that confirming the connection started; the event that starts it may still be under way.
func (d *Demo) firstRun(ctx context.Context) (string, error) {
	return poll(ctx, "the first sync to start", func() (string, bool, error) {
		list := new(syncv1.ListRunsResponse)
		if err := d.admin.call(ctx, "GET", "/v1/"+d.firm()+"/runs", nil, list); err != nil {
			return "", false, err
		}
		if n := len(list.GetRuns()); n > 0 {
			return list.GetRuns()[n-1].GetName(), true, nil
		}
		return "", false, nil
	})
}

// fullRun starts a full sync, once per key, and sees it to its end.
func (d *Demo) fullRun(ctx context.Context, key string) (*syncv1.Run, error) {
	if d.state.Names[key] == "" {
		id, err := d.state.request(key)
		if err != nil {
			return nil, err
		}
		started := new(syncv1.StartRunResponse)
		if err := d.admin.call(ctx, "POST", "/v1/"+d.firm()+"/runs", &syncv1.StartRunRequest{
			Connection: d.state.Names["connection"], Kind: syncv1.RunKind_RUN_KIND_FULL, RequestId: id,
		}, started); err != nil {
			return nil, err
		}
		d.state.Names[key] = started.GetRun().GetName()
		if err := d.state.save(); err != nil {
			return nil, err
		}
	}
	return d.finish(ctx, d.state.Names[key])
}

func (d *Demo) finish(ctx context.Context, run string) (*syncv1.Run, error) {
	end, err := d.admin.watch(ctx, run, d.screen.progress)
	d.screen.endBar()
	// A run may have begun before the step that shows it: confirming the connection starts the first one.
	d.lasted = max(d.lasted, end.GetEndTime().AsTime().Sub(end.GetCreateTime().AsTime()))
	if err == nil && end.GetState() == syncv1.RunState_RUN_STATE_FAILED {
		err = fmt.Errorf("the run failed: %s", end.GetMessage())
	}
	return end, err
}

func runRows(run *syncv1.Run) []row {
	said := []string{word(run.GetState().String(), "RUN_STATE_"), count(run.GetPages(), "page"), count(run.GetCalls(), "call")}
	if took := span(run.GetCreateTime(), run.GetEndTime()); took != "" {
		said = append(said, took)
	}
	return []row{{"run", strings.Join(said, ", ")}}
}
