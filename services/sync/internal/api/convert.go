package api

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/history"
	"github.com/concord-suite/concord/services/sync/internal/legacy"
	"github.com/concord-suite/concord/services/sync/internal/offboard"
	"github.com/concord-suite/concord/services/sync/internal/plan"
	"github.com/concord-suite/concord/services/sync/internal/run"
	"github.com/concord-suite/concord/services/sync/internal/store"
)

// stamp is a time on the wire; the zero time is none.
func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// enum finds the value of a proto enum by the name it has in the domain; UNSPECIFIED for none.
func enum[E ~int32](values map[string]int32, prefix, name string) E { return E(values[prefix+name]) }

func clientMessage(c client.Client) *syncv1.Client {
	return &syncv1.Client{
		Name: store.Name(c.Firm, "clients", c.ID), DisplayName: c.Fields.Name, Code: c.Fields.Code,
		EntityType: c.Fields.EntityType, Email: c.Fields.Email, Phone: c.Fields.Phone,
		State:      enum[syncv1.ClientState](syncv1.ClientState_value, "CLIENT_STATE_", string(c.State)),
		ListSource: store.Name(c.Firm, "connections", c.ListSource), Synced: c.Synced, CreateTime: stamp(c.CreatedAt),
		UpdateTime: stamp(c.UpdatedAt), Blockers: blockerMessages(c.Blockers),
		Offboarding: store.Name(c.Firm, "offboardings", c.Offboarding), Etag: store.Etag(c.Version), Groups: c.Fields.Groups,
	}
}

// portalClient is what a client's own contact sees of it: not what keeps it in step, nor what blocks it from leaving.
func portalClient(c client.Client) *syncv1.Client {
	m := clientMessage(c)
	m.ListSource, m.Synced, m.Blockers, m.Offboarding, m.Groups = "", false, nil, "", nil
	m.State = syncv1.ClientState_CLIENT_STATE_LISTED
	return m
}

func blockerMessages(all []client.Blocker) []*syncv1.Blocker {
	var out []*syncv1.Blocker
	for _, b := range all {
		out = append(out, &syncv1.Blocker{Kind: b.Kind, Description: b.Description, Resource: b.Resource})
	}
	return out
}

func contactMessage(c client.Contact) *syncv1.Contact {
	m := &syncv1.Contact{
		Name: store.Name(c.Firm, "contacts", c.ID), DisplayName: c.Person.Name, Email: c.Person.Email, Phone: c.Person.Phone,
		Mobile: c.Person.Mobile, Released: c.State == client.Released, HasLogin: c.HasLogin, Etag: store.Etag(c.Version),
	}
	for _, r := range c.Relations {
		m.Relations = append(m.Relations, &syncv1.ContactRelation{
			Client: store.Name(c.Firm, "clients", r.Client), ClientDisplayName: r.ClientName, Position: r.Position, Primary: r.Primary,
		})
	}
	return m
}

func historyMessage(e history.Entry) *syncv1.HistoryEntry {
	return &syncv1.HistoryEntry{
		Sequence: e.Seq, OccurTime: stamp(e.At), Kind: e.Kind, Actor: e.Actor, Summary: e.Summary, Resource: e.Resource,
	}
}

func offboardingMessage(o offboard.Offboarding) *syncv1.Offboarding {
	m := &syncv1.Offboarding{
		Name: store.Name(o.Firm, "offboardings", o.ID), Client: store.Name(o.Firm, "clients", o.Client),
		ClientDisplayName: o.ClientName, Reason: o.Reason, StartedBy: o.StartedBy, Blockers: blockerMessages(o.Blockers),
		State:           enum[syncv1.OffboardingState](syncv1.OffboardingState_value, "OFFBOARDING_STATE_", string(o.State)),
		HistoryDocument: o.HistoryDocument, Folder: o.Folder, DocumentCount: o.DocumentCount,
		ContactsRemoved: int32(o.ContactsRemoved), ContactsReleased: int32(o.ContactsReleased), ContactsKept: int32(o.ContactsKept),
		Missing: o.Missing, CreateTime: stamp(o.CreatedAt), ArchiveTime: stamp(o.ArchivedAt), EndTime: stamp(o.EndedAt),
		LastError: o.LastError,
	}
	if o.FolderRemoved {
		m.Folder = ""
	}
	for _, l := range o.Steps {
		m.Steps = append(m.Steps, &syncv1.OffboardingStep{OccurTime: stamp(l.At), Description: l.Text})
	}
	return m
}

// phases are the words in which people follow a run.
var phases = map[run.Step]syncv1.RunPhase{
	run.Clients:    syncv1.RunPhase_RUN_PHASE_FETCH,
	run.Contacts:   syncv1.RunPhase_RUN_PHASE_FETCH,
	run.Changes:    syncv1.RunPhase_RUN_PHASE_FETCH,
	run.Legacy:     syncv1.RunPhase_RUN_PHASE_FETCH,
	run.Mapping:    syncv1.RunPhase_RUN_PHASE_MAP,
	run.Planning:   syncv1.RunPhase_RUN_PHASE_PLAN,
	run.Writing:    syncv1.RunPhase_RUN_PHASE_PLAN,
	run.Previewing: syncv1.RunPhase_RUN_PHASE_PLAN,
	run.Settling:   syncv1.RunPhase_RUN_PHASE_APPLY,
	run.Removing:   syncv1.RunPhase_RUN_PHASE_REMOVE,
	run.Finishing:  syncv1.RunPhase_RUN_PHASE_FINISH,
}

func runMessage(r run.Run, now time.Time) *syncv1.Run {
	m := &syncv1.Run{
		Name: store.Name(r.Firm, "runs", r.ID), Connection: store.Name(r.Firm, "connections", r.Connection),
		Kind:  enum[syncv1.RunKind](syncv1.RunKind_value, "RUN_KIND_", string(r.Kind)),
		State: enum[syncv1.RunState](syncv1.RunState_value, "RUN_STATE_", string(r.State)),
		Done:  r.Done, Total: r.Total, Eta: stamp(r.ETA(now)), Calls: int32(r.Calls), Pages: int32(r.Pages), Message: r.Message,
		StartedBy: r.StartedBy, CreateTime: stamp(r.CreatedAt), StartTime: stamp(r.StartedAt),
		FirstVisibleTime: stamp(r.FirstVisibleAt), EndTime: stamp(r.EndedAt), WaitUntil: stamp(r.WaitUntil),
		Counts: countsMessage(r.Counts), Proven: r.Proven, UnprovenReason: r.UnprovenReason,
	}
	if r.State == run.Running || r.State == run.Parked {
		m.Phase = phases[r.Step]
	}
	if r.HasPlan {
		m.Plan = store.Name(r.Firm, "plans", r.Plan)
	}
	return m
}

func countsMessage(c run.Counts) *syncv1.RunCounts {
	return &syncv1.RunCounts{
		ClientsCreated: c.ClientsCreated, ClientsUpdated: c.ClientsUpdated, ClientsUnchanged: c.ClientsUnchanged,
		ClientsRestored: c.ClientsRestored, ContactsCreated: c.ContactsCreated, ContactsUpdated: c.ContactsUpdated,
		Suggestions: c.Suggestions, RemovalCandidates: c.Candidates, RemovalsConfirmed: c.Confirmed,
		RemovalsStarted: c.Started, RemovalsRefuted: c.Refuted, RemovalsBlocked: c.Blocked, OutOfScope: c.OutOfScope,
		LegacyMapped: c.LegacyMapped, LegacySuggested: c.LegacySuggested, LegacyUnmapped: c.LegacyUnmapped,
	}
}

// detailed adds to a client what listings leave out, as its list source has it.
func detailed(m *syncv1.Client, firm string, d client.Details) *syncv1.Client {
	if d.ReadAt.IsZero() {
		return m
	}
	m.Groups, m.DetailsTime = d.Groups, stamp(d.ReadAt)
	for _, f := range d.CustomFields {
		m.CustomFields = append(m.CustomFields, &syncv1.ClientCustomField{Name: f.Name, Value: f.Value})
	}
	for _, r := range d.Relationships {
		m.Relationships = append(m.Relationships, &syncv1.ClientRelationship{
			Type: r.Type, Client: store.Name(firm, "clients", r.Client), DisplayName: r.Name, Shares: r.Shares,
			Percentage: r.Percentage, StartDate: r.Start, EndDate: r.End,
		})
	}
	return m
}

func legacyLinkMessage(l legacy.Link) *syncv1.LegacyLink {
	m := &syncv1.LegacyLink{
		Name: store.Name(l.Firm, "connections", l.Connection) + "/legacyLinks/" + l.ID, Client: store.Name(l.Firm, "clients", l.Client),
		DisplayName: l.Name, LegacyId: l.LegacyID, Code: l.Code,
		State:    enum[syncv1.LegacyLinkState](syncv1.LegacyLinkState_value, "LEGACY_LINK_STATE_", string(l.State)),
		RecordId: l.Record, Explanation: l.Explanation, DecideTime: stamp(l.DecidedAt),
	}
	for _, c := range l.Candidates {
		m.Candidates = append(m.Candidates, &syncv1.LegacyCandidate{
			RecordId: c.Record, DisplayName: c.Name, Code: c.Code, Evidence: c.Evidence,
		})
	}
	return m
}

func planMessage(p plan.Plan) *syncv1.Plan {
	return &syncv1.Plan{
		Name: store.Name(p.Firm, "plans", p.ID), Run: store.Name(p.Firm, "runs", p.Run),
		Connection:     store.Name(p.Firm, "connections", p.Connection),
		State:          enum[syncv1.PlanState](syncv1.PlanState_value, "PLAN_STATE_", string(p.State)),
		WithheldReason: p.WithheldReason, WaitingRemovals: p.Waiting, LinkedClients: p.Linked, CreateTime: stamp(p.CreatedAt),
		Etag: store.Etag(p.Version), Message: p.Message,
	}
}

func changeName(c plan.Change) string { return changeNameOf(c.Firm, c.Plan, c.ID) }

func changeNameOf(firm, planID, id string) string {
	return store.Name(firm, "plans", planID) + "/changes/" + id
}

func changeMessage(c plan.Change) *syncv1.Change {
	return &syncv1.Change{
		Name:   changeName(c),
		Kind:   enum[syncv1.ChangeKind](syncv1.ChangeKind_value, "CHANGE_KIND_", string(c.Kind)),
		State:  enum[syncv1.ChangeState](syncv1.ChangeState_value, "CHANGE_STATE_", string(c.State)),
		Client: store.Name(c.Firm, "clients", c.Client), DisplayName: c.DisplayName, RecordId: c.RecordID, Evidence: c.Evidence,
		Blockers: blockerMessages(c.Blockers), DecidedBy: c.DecidedBy, DecideTime: stamp(c.DecidedAt),
		Offboarding: store.Name(c.Firm, "offboardings", c.Offboarding),
	}
}
