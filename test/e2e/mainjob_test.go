package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/sim/remote"
	"github.com/concord-suite/concord/test/story"
	"github.com/concord-suite/concord/test/topology"
)

const (
	leavers = 12
	filled  = 7 // of the leavers' folders hold documents
)

// A practice is connected, synced, clients leave, one comes back: the main job with every count checked from outside.
func TestMainJob(t *testing.T) {
	everywhere(t, func(t *testing.T, s *topology.Suite) {
		op := s.Claim(t)
		adm := s.Firm(t, op, "harbour")
		require.NoError(t, op.Call(t.Context(), "POST", "/v1/"+adm.Firm+":setDocumentArchive",
			&documentsv1.SetDocumentArchiveRequest{Enabled: true}, nil))
		conn := connectAndSync(t, s, adm)
		job := leave(t, s, adm)
		plan := withheld(t, adm, conn, job)
		approve(t, adm, plan)
		left := settled(t, adm, job)
		folders(t, adm, job, left)
		archive(t, adm, job)
		comeBack(t, s, adm, conn, job)
	})
}

func connectAndSync(t *testing.T, s *topology.Suite, adm *story.Person) *connectorv1.Connection {
	conn := adm.Connect(t, func(o *connectorv1.ConnectionOptions) { o.RemovalGuardPermille = 10 })
	require.Equal(t, connectorv1.ConnectionState_CONNECTION_STATE_ACTIVE, conn.GetState())
	policy := new(authv1.GetSecurityPolicyResponse)
	require.NoError(t, adm.Call(t.Context(), "GET", "/v1/"+adm.Firm+"/securityPolicy", nil, policy))
	require.True(t, policy.GetPolicy().GetTwoFactorEnforced(), "connecting enforces two-factor sign-in")
	require.Contains(t, policy.GetPolicy().GetRequiredBy(), conn.GetName())

	run := adm.FirstRun(t)
	require.Equal(t, syncv1.RunState_RUN_STATE_SUCCEEDED, run.GetState(), run.GetMessage())
	state, err := s.World.State(t.Context())
	require.NoError(t, err)
	clients := adm.Clients(t, "")
	for _, tenant := range state.Tenants {
		if tenant.ID == conn.GetTenantId() {
			require.EqualValues(t, tenant.Clients, int64(len(clients))+run.GetCounts().GetSuggestions())
		}
	}
	require.True(t, run.GetProven(), run.GetUnprovenReason())
	return conn
}

// departure is who leaves.
type departure struct {
	clients   []*syncv1.Client
	upstream  []remote.Record
	documents map[string][]*documentsv1.Document // by client
	folder    map[string]string
	blocked   string // the client with the open signature
}

// leave files documents for some clients, sends one for signature, and archives all of them upstream.
func leave(t *testing.T, s *topology.Suite, adm *story.Person) *departure {
	records, err := s.World.Clients(t.Context(), "", "", 300)
	require.NoError(t, err)
	var withContacts []remote.Record
	for _, r := range records {
		if len(r.Contacts) > 0 {
			withContacts = append(withContacts, r)
		}
	}
	d := &departure{documents: map[string][]*documentsv1.Document{}, folder: map[string]string{}}
	d.clients, d.upstream = adm.Known(t, withContacts, leavers)
	for i, c := range d.clients {
		d.folder[c.GetName()] = adm.FolderOf(t, c.GetName()).GetName()
		for n := range 2 {
			if i < filled {
				doc := adm.File(t, d.folder[c.GetName()], fmt.Sprintf("Letter %d.txt", n), fmt.Sprint("letter ", n, " to ", c.GetName()))
				d.documents[c.GetName()] = append(d.documents[c.GetName()], doc)
			}
		}
	}
	d.blocked = d.clients[0].GetName()
	adm.SendForSignature(t, d.blocked, d.documents[d.blocked][0].GetName())
	var uuids []string
	for _, r := range d.upstream {
		uuids = append(uuids, r.UUID)
	}
	_, err = s.World.Archive(t.Context(), remote.UUIDs(uuids...))
	require.NoError(t, err)
	return d
}

// withheld runs a full sync that finds too many leavers, and answers its plan.
func withheld(t *testing.T, adm *story.Person, conn *connectorv1.Connection, d *departure) string {
	run := adm.Run(t, conn.GetName(), syncv1.RunKind_RUN_KIND_MANUAL)
	require.Equal(t, syncv1.RunState_RUN_STATE_SUCCEEDED, run.GetState(), run.GetMessage())
	require.Empty(t, adm.Offboardings(t), "a manual run never removes")

	run = adm.Run(t, conn.GetName(), syncv1.RunKind_RUN_KIND_FULL)
	require.Equal(t, syncv1.RunState_RUN_STATE_REMOVALS_WITHHELD, run.GetState(), run.GetMessage())
	require.Empty(t, adm.Offboardings(t), "withheld is not removed")
	changes := new(syncv1.ListPlanChangesResponse)
	require.NoError(t, adm.Call(t.Context(), "GET", "/v1/"+run.GetPlan()+"/changes?kind=CHANGE_KIND_ARCHIVE&page_size=1000", nil, changes))
	require.Len(t, changes.GetChanges(), leavers)
	for _, c := range changes.GetChanges() {
		require.NotEmpty(t, c.GetEvidence(), "a removal without evidence")
		if c.GetClient() == d.blocked {
			require.NotEmpty(t, c.GetBlockers())
			require.Contains(t, c.GetBlockers()[0].GetDescription(), "for signature")
		}
	}
	return run.GetPlan()
}

func approve(t *testing.T, adm *story.Person, plan string) {
	require.NoError(t, adm.Call(t.Context(), "POST", "/v1/"+plan+":decide", &syncv1.DecidePlanRequest{ApproveAll: true}, nil))
}

// settled waits for every off-boarding and checks who left and who stayed.
func settled(t *testing.T, adm *story.Person, d *departure) map[string]*syncv1.Offboarding {
	byClient := map[string]*syncv1.Offboarding{}
	story.Eventually(t, "every off-boarding is done or blocked", func() bool {
		done := 0
		for _, o := range adm.Offboardings(t) {
			byClient[o.GetClient()] = o
			switch o.GetState() {
			case syncv1.OffboardingState_OFFBOARDING_STATE_DONE, syncv1.OffboardingState_OFFBOARDING_STATE_BLOCKED:
				done++
			}
		}
		return done == leavers
	})
	listed := map[string]*syncv1.Client{}
	for _, c := range adm.Clients(t, "") {
		listed[c.GetName()] = c
	}
	for _, c := range d.clients {
		o := byClient[c.GetName()]
		if c.GetName() == d.blocked {
			require.Equal(t, syncv1.OffboardingState_OFFBOARDING_STATE_BLOCKED, o.GetState())
			require.NotEmpty(t, listed[d.blocked].GetBlockers(), "a blocked client stays listed with the reason")
			continue
		}
		require.Equal(t, syncv1.OffboardingState_OFFBOARDING_STATE_DONE, o.GetState(), o.GetLastError())
		require.NotContains(t, listed, c.GetName())
		require.NotEmpty(t, o.GetHistoryDocument(), "the history was filed")
	}
	return byClient
}

// folders checks what each leaver left behind.
func folders(t *testing.T, adm *story.Person, d *departure, left map[string]*syncv1.Offboarding) {
	orphaned := map[string]*documentsv1.Folder{}
	for _, f := range adm.Folders(t, "kind=FOLDER_KIND_ORPHANED_BUSINESS") {
		orphaned[f.GetName()] = f
	}
	require.Len(t, orphaned, filled-1) // the blocked one has documents and stays
	for i, c := range d.clients {
		if c.GetName() == d.blocked {
			continue
		}
		f, ok := orphaned[d.folder[c.GetName()]]
		require.Equal(t, i < filled, ok, "a folder with documents stays under its id, an empty one goes")
		if ok {
			require.Equal(t, "green", f.GetColor())
			require.EqualValues(t, 3, f.GetDocumentCount(), "two letters and the history")
		}
		csv, err := adm.Download(t.Context(), left[c.GetName()].GetHistoryDocument())
		require.NoError(t, err)
		require.Contains(t, strings.ToLower(string(csv)), "sequence")
	}
}

// archive deletes one orphaned folder into the document archive, opens and restores a document of it.
func archive(t *testing.T, adm *story.Person, d *departure) {
	client := d.clients[2].GetName()
	folder := d.folder[client]
	preview := new(documentsv1.PreviewDeleteFolderResponse)
	require.NoError(t, adm.Call(t.Context(), "GET", "/v1/"+folder+":previewDelete", nil, preview))
	require.Contains(t, preview.GetWarning(), "3 ")
	require.True(t, preview.GetArchives())
	require.NoError(t, adm.Call(t.Context(), "POST", "/v1/"+folder+":delete", &documentsv1.DeleteFolderRequest{
		ConfirmedDocumentCount: preview.GetDocumentCount(),
	}, nil))
	require.Len(t, adm.Documents(t, "archived=true"), 3)
	doc := d.documents[client][0]
	content, err := adm.Download(t.Context(), doc.GetName())
	require.NoError(t, err)
	require.Contains(t, string(content), client)
	target := d.folder[d.blocked]
	require.NoError(t, adm.Call(t.Context(), "POST", "/v1/"+doc.GetName()+":restore", &documentsv1.RestoreDocumentRequest{Folder: target}, nil))
	back := new(documentsv1.GetDocumentResponse)
	require.NoError(t, adm.Call(t.Context(), "GET", "/v1/"+doc.GetName(), nil, back))
	require.Equal(t, target, back.GetDocument().GetFolder())
	require.False(t, back.GetDocument().GetArchived())
}

// comeBack un-archives one client upstream: the same client with its folder and history.
func comeBack(t *testing.T, s *topology.Suite, adm *story.Person, conn *connectorv1.Connection, d *departure) {
	client := d.clients[1].GetName()
	_, err := s.World.Unarchive(t.Context(), remote.UUIDs(d.upstream[1].UUID))
	require.NoError(t, err)
	story.Eventually(t, "the client is listed again", func() bool {
		// A listing begun in the second in which the departure was proven proves no return: the next one does.
		run := adm.Run(t, conn.GetName(), syncv1.RunKind_RUN_KIND_FULL)
		require.NotEqual(t, syncv1.RunState_RUN_STATE_FAILED, run.GetState(), run.GetMessage())
		got := new(syncv1.GetClientResponse)
		return adm.Call(t.Context(), "GET", "/v1/"+client, nil, got) == nil &&
			got.GetClient().GetState() == syncv1.ClientState_CLIENT_STATE_LISTED
	})
	story.Eventually(t, "its folder is a client folder again", func() bool {
		f := adm.Folders(t, "client="+client+"&kind=FOLDER_KIND_CLIENT")
		return len(f) == 1 && f[0].GetName() == d.folder[client]
	})
	require.Len(t, adm.Documents(t, "folder="+d.folder[client]), 3)
	require.NotEmpty(t, adm.Contacts(t, "client="+client))
	history := new(syncv1.ListClientHistoryResponse)
	require.NoError(t, adm.Call(t.Context(), "GET", "/v1/"+client+"/history?page_size=1000", nil, history))
	require.Greater(t, len(history.GetEntries()), 3, "created, letters, left, back")
}
