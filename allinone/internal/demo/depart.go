package demo

import (
	"context"
	"fmt"

	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/sim/remote"
)

// shownChanges is how much of a plan is printed.
const shownChanges = 4

func (d *Demo) leaving(ctx context.Context) ([]row, error) {
	if err := d.asAdministrator(ctx); err != nil {
		return nil, err
	}
	if _, err := d.cfg.World.Archive(ctx, remote.UUIDs(d.state.Sets["upstream"]...)); err != nil {
		return nil, err
	}
	run, err := d.fullRun(ctx, "run-leaving")
	if err != nil {
		return nil, err
	}
	d.state.Names["plan"] = run.GetPlan()
	rows := runRows(run)
	if run.GetState() != syncv1.RunState_RUN_STATE_REMOVALS_WITHHELD {
		return append(rows, row{"guard", "not reached: in a practice this large so many may leave without a decision"}), nil
	}
	plan := new(syncv1.GetPlanResponse)
	if err := d.admin.call(ctx, "GET", "/v1/"+run.GetPlan(), nil, plan); err != nil {
		return nil, err
	}
	changes := new(syncv1.ListPlanChangesResponse)
	if err := d.admin.call(ctx, "GET", "/v1/"+run.GetPlan()+"/changes?kind=CHANGE_KIND_ARCHIVE&page_size=1000", nil, changes); err != nil {
		return nil, err
	}
	blocked := d.showPlan(changes.GetChanges())
	return append(rows,
		row{"withheld", plan.GetPlan().GetWithheldReason()},
		row{"waiting for a decision", fmt.Sprintf("%s, %d of them blocked", count(plan.GetPlan().GetWaitingRemovals(), "removal"), blocked)},
	), nil
}

// showPlan prints the blocked changes and the first others, with evidence.
func (d *Demo) showPlan(changes []*syncv1.Change) (blocked int) {
	shown := 0
	for _, c := range changes {
		if len(c.GetBlockers()) > 0 {
			blocked++
			d.screen.say("      %-40.40s  blocked: %s", c.GetDisplayName(), c.GetBlockers()[0].GetDescription())
			continue
		}
		if shown++; shown <= shownChanges {
			evidence := ""
			if len(c.GetEvidence()) > 0 {
				evidence = c.GetEvidence()[0]
			}
			d.screen.say("      %-40.40s  %s", c.GetDisplayName(), evidence)
		}
	}
	if more := len(changes) - blocked - shownChanges; more > 0 {
		d.screen.say("      … and %d more", more)
	}
	return blocked
}

func (d *Demo) approval(ctx context.Context) ([]row, error) {
	if err := d.asAdministrator(ctx); err != nil {
		return nil, err
	}
	if err := d.approve(ctx); err != nil {
		return nil, err
	}
	offs, err := d.settled(ctx)
	if err != nil {
		return nil, err
	}
	var done, blocked, folders, removed, released, kept, csvs int
	for _, o := range offs {
		if o.GetState() == syncv1.OffboardingState_OFFBOARDING_STATE_BLOCKED {
			blocked++
			continue
		}
		done++
		removed, released, kept = removed+int(o.GetContactsRemoved()), released+int(o.GetContactsReleased()), kept+int(o.GetContactsKept())
		if o.GetFolder() != "" {
			folders++
			if o.GetClient() != d.state.Sets["leavers"][d.returning()] {
				d.state.Names["orphaned"] = o.GetFolder()
			}
		}
		if o.GetHistoryDocument() != "" {
			csvs++
		}
	}
	return []row{
		{"clients off-boarded", fmt.Sprint(done)},
		{"clients kept by a blocker", fmt.Sprint(blocked)},
		{"orphaned business folders", fmt.Sprintf("%d, and %d empty ones removed", folders, done-folders)},
		{"histories filed as CSV", fmt.Sprint(csvs)},
		{"contacts", fmt.Sprintf("%d removed, %d released, %d kept with other clients", removed, released, kept)},
	}, nil
}

// approve approves what waits; after a restart it may have been done.
func (d *Demo) approve(ctx context.Context) error {
	plan := new(syncv1.GetPlanResponse)
	if err := d.admin.call(ctx, "GET", "/v1/"+d.state.Names["plan"], nil, plan); err != nil {
		return err
	}
	if plan.GetPlan().GetState() != syncv1.PlanState_PLAN_STATE_WAITING {
		return nil
	}
	id, err := d.state.request("approve")
	if err != nil {
		return err
	}
	return d.admin.call(ctx, "POST", "/v1/"+d.state.Names["plan"]+":decide", &syncv1.DecidePlanRequest{
		ApproveAll: true, RequestId: id,
	}, new(syncv1.DecidePlanResponse))
}

// settled waits until every off-boarding is done or blocked.
func (d *Demo) settled(ctx context.Context) ([]*syncv1.Offboarding, error) {
	want := len(d.state.Sets["leavers"])
	return poll(ctx, fmt.Sprintf("%d off-boardings", want), func() ([]*syncv1.Offboarding, bool, error) {
		list := new(syncv1.ListOffboardingsResponse)
		if err := d.admin.call(ctx, "GET", "/v1/"+d.firm()+"/offboardings?page_size=1000", nil, list); err != nil {
			return nil, false, err
		}
		n := 0
		for _, o := range list.GetOffboardings() {
			switch o.GetState() {
			case syncv1.OffboardingState_OFFBOARDING_STATE_DONE, syncv1.OffboardingState_OFFBOARDING_STATE_BLOCKED,
				syncv1.OffboardingState_OFFBOARDING_STATE_REVERSED:
				n++
			}
		}
		return list.GetOffboardings(), n >= want, nil
	})
}

func (d *Demo) archive(ctx context.Context) ([]row, error) {
	if err := d.asAdministrator(ctx); err != nil {
		return nil, err
	}
	folder := d.state.Names["orphaned"]
	if folder == "" {
		return leftOut("no orphaned folder is there but that of the client which comes back"), nil
	}
	docs := new(documentsv1.ListDocumentsResponse)
	if err := d.admin.call(ctx, "GET", "/v1/"+d.firm()+"/documents?folder="+folder, nil, docs); err != nil {
		return nil, err
	}
	warning, err := d.deleteFolder(ctx, folder)
	if err != nil {
		return nil, err
	}
	archived := new(documentsv1.ListDocumentsResponse)
	if err := d.admin.call(ctx, "GET", "/v1/"+d.firm()+"/documents?archived=true&folder="+folder, nil, archived); err != nil {
		return nil, err
	}
	if len(archived.GetDocuments()) == 0 {
		return nil, fmt.Errorf("nothing of %s is in the archive", folder)
	}
	doc := archived.GetDocuments()[0]
	content, err := d.admin.download(ctx, doc.GetName())
	if err != nil {
		return nil, err
	}
	back, err := d.restoreDocument(ctx, doc)
	if err != nil {
		return nil, err
	}
	return []row{
		{"warning shown", warning},
		{"archived document opened", fmt.Sprintf("%s, %d bytes", doc.GetDisplayName(), len(content))},
		{"restored to", back},
	}, nil
}
