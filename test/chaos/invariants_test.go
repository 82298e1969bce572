//go:build chaos

package chaos

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/test/story"
	"github.com/concord-suite/concord/test/topology"
)

// check asks the suite for everything it should be able to say, and compares with what was put in.
func check(t *testing.T, s *topology.Suite, adm *story.Person, d *departure) {
	adm.SignIn(t) // a new session: the old one's token may have aged meanwhile
	adm.StepUp(t)
	offs := onePerClient(t, adm, d)
	clientList(t, adm, d, offs)
	foldersAndDocuments(t, adm, d, offs)
	contacts(t, s, adm, d)
	emailJobs(t, adm, d)
	ledger(t, adm)
}

// onePerClient: each leaver has exactly one off-boarding, in the right state, with its history filed.
func onePerClient(t *testing.T, adm *story.Person, d *departure) map[string]*syncv1.Offboarding {
	offs := map[string]*syncv1.Offboarding{}
	for _, o := range adm.Offboardings(t) {
		require.NotContains(t, offs, o.GetClient(), "two off-boardings of one client")
		offs[o.GetClient()] = o
	}
	require.Len(t, offs, leavers)
	for _, c := range d.clients {
		o := offs[c.GetName()]
		if d.blocked[c.GetName()] {
			require.Equal(t, syncv1.OffboardingState_OFFBOARDING_STATE_BLOCKED, o.GetState())
			require.NotEmpty(t, o.GetBlockers())
			continue
		}
		require.Equal(t, syncv1.OffboardingState_OFFBOARDING_STATE_DONE, o.GetState(), o.GetLastError())
		require.NotEmpty(t, o.GetHistoryDocument())
	}
	return offs
}

// clientList: who had no reason to leave is there, who was blocked too, nobody else.
func clientList(t *testing.T, adm *story.Person, d *departure, offs map[string]*syncv1.Offboarding) {
	listed := map[string]bool{}
	for _, c := range adm.Clients(t, "") {
		require.False(t, listed[c.GetName()], "listed twice")
		listed[c.GetName()] = true
		require.True(t, d.stayed[c.GetName()] || d.blocked[c.GetName()], "%s is still listed: %s", c.GetDisplayName(), offs[c.GetName()].GetState())
	}
	require.Len(t, listed, len(d.stayed)+len(d.blocked))
}

// foldersAndDocuments: every document is there with its bytes; folders are what they should be, under their old ids.
func foldersAndDocuments(t *testing.T, adm *story.Person, d *departure, offs map[string]*syncv1.Offboarding) {
	var orphaned, client map[string]*documentsv1.Folder
	story.Eventually(t, "folders have followed", func() bool {
		orphaned, client = byName(adm.Folders(t, "kind=FOLDER_KIND_ORPHANED_BUSINESS")), byName(adm.Folders(t, "kind=FOLDER_KIND_CLIENT"))
		return len(orphaned) == filled-signers && len(client) == len(d.stayed)+signers
	})
	histories := map[string]bool{}
	for i, c := range d.clients {
		name := c.GetName()
		folder := d.folder[name]
		switch {
		case d.blocked[name]:
			require.Contains(t, client, folder)
		case i < filled:
			require.Contains(t, orphaned, folder)
			require.EqualValues(t, len(d.content[name])+1, orphaned[folder].GetDocumentCount(), "its documents and one history")
		default:
			require.NotContains(t, orphaned, folder)
			require.NotContains(t, client, folder)
		}
		for doc, want := range d.content[name] {
			got, err := adm.Download(t.Context(), doc)
			require.NoError(t, err)
			require.Equal(t, want, string(got))
		}
		if !d.blocked[name] {
			history(t, adm, offs[name].GetHistoryDocument(), len(d.content[name]))
			require.False(t, histories[offs[name].GetHistoryDocument()])
			histories[offs[name].GetHistoryDocument()] = true
		}
	}
}

// history: the filed CSV tells of every document that was filed.
func history(t *testing.T, adm *story.Person, document string, documents int) {
	csv, err := adm.Download(t.Context(), document)
	require.NoError(t, err)
	require.Equal(t, documents, strings.Count(string(csv), "DOCUMENT_FILED"), string(csv))
}

// contacts: nobody is related to a client that left; who had only leavers is gone, who had others is there.
func contacts(t *testing.T, s *topology.Suite, adm *story.Person, d *departure) {
	gone := map[string]bool{}
	for _, c := range d.clients {
		if !d.blocked[c.GetName()] {
			gone[c.GetName()] = true
		}
	}
	related := 0
	for _, c := range adm.Contacts(t, "") {
		for _, r := range c.GetRelations() {
			require.False(t, gone[r.GetClient()], "%s is related to a client that left", c.GetDisplayName())
			related++
		}
		require.NotEmpty(t, c.GetRelations(), "%s has neither client nor login and should be gone", c.GetDisplayName())
	}
	require.Positive(t, related)
	// Upstream says who is shared: such a contact must have survived.
	for i, c := range d.clients {
		if d.blocked[c.GetName()] {
			continue
		}
		for _, id := range d.upstream[i].Contacts {
			up, err := s.World.Contact(t.Context(), id)
			require.NoError(t, err)
			if others := stays(d, up.Clients); others {
				require.NotEmpty(t, adm.Contacts(t, "query="+escape(up.Name)), "%s belongs to a client that stays", up.Name)
			}
		}
	}
}

// stays says whether one of the upstream clients is in use there and has no reason to leave.
func stays(d *departure, upstream []string) bool {
	leaving := map[string]bool{}
	for i, c := range d.clients {
		if !d.blocked[c.GetName()] {
			leaving[d.upstream[i].UUID] = true
		}
	}
	for _, id := range upstream {
		if d.active[id] && !leaving[id] {
			return true
		}
	}
	return false
}

// emailJobs: the grid shows the jobs of clients that are here, and no other.
func emailJobs(t *testing.T, adm *story.Person, d *departure) {
	list := new(documentsv1.ListEmailJobsResponse)
	require.NoError(t, adm.Call(t.Context(), "GET", "/v1/"+adm.Firm+"/emailJobs?page_size=1000", nil, list))
	require.Len(t, list.GetEmailJobs(), signers)
	for _, j := range list.GetEmailJobs() {
		require.True(t, d.blocked[j.GetClient()])
	}
}

// ledger: the audit chain is whole.
func ledger(t *testing.T, adm *story.Person) {
	v := new(authv1.VerifyLedgerResponse)
	require.NoError(t, adm.Call(t.Context(), "GET", "/v1/"+adm.Firm+"/auditEntries:verify", nil, v))
	require.True(t, v.GetIntact())
	require.Greater(t, v.GetEntries(), int64(leavers))
}
