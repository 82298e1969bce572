//go:build rolling

package rolling

import (
	"testing"

	"github.com/stretchr/testify/require"

	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/test/story"
	"github.com/concord-suite/concord/test/topology"
)

// enter prepares who works in the load: a practice that is connected, with clients, folders and a portal, and somebody of
// a firm without a connection, who signs in with the password alone.
func enter(t *testing.T, suite *topology.Replicas) (*mix, *connectorv1.Connection) {
	t.Helper()
	op := suite.Claim(t)
	m := &mix{wrote: map[string]map[string]bool{}, files: map[string][]byte{}}
	m.admin = suite.Firm(t, op, "harbour")
	connection := m.admin.Connect(t, nil)
	require.Equal(t, syncv1.RunState_RUN_STATE_SUCCEEDED, m.admin.FirstRun(t).GetState())
	m.clients = m.admin.Clients(t, "")
	for _, c := range m.clients[:10] {
		m.folders = append(m.folders, m.admin.FolderOf(t, c.GetName()))
	}
	const content = "the first document"
	for _, f := range m.folders {
		doc := m.admin.File(t, f.GetName(), "First.txt", content)
		m.files[doc.GetName()] = []byte(content)
		m.names = append(m.names, doc.GetName())
	}
	m.openPortal(t, suite)
	m.staff = suite.Firm(t, op, "orchard").Invite(t, &suite.Stage, "early@orchard.example", authv1.Role_ROLE_STAFF)
	return m, connection
}

// openPortal gives a contact of a client a login and one document to see. Nothing is filed into that client's folder
// later.
func (m *mix) openPortal(t *testing.T, suite *topology.Replicas) {
	t.Helper()
	for _, c := range m.clients[10:] {
		contacts := m.admin.Contacts(t, "client="+c.GetName())
		if len(contacts) == 0 {
			continue
		}
		doc := m.admin.File(t, m.admin.FolderOf(t, c.GetName()).GetName(), "For you.txt", "published")
		m.admin.Publish(t, doc.GetName())
		m.portal = m.admin.Portal(t, &suite.Stage, contacts[0], "contact@harbour.example")
		story.Eventually(t, "the contact sees the document", func() bool {
			list := new(documentsv1.ListDocumentsResponse)
			err := m.portal.Call(t.Context(), "GET", "/v1/"+m.portal.Firm+"/documents", nil, list)
			return err == nil && len(list.GetDocuments()) == 1
		})
		return
	}
	t.Fatal("no client has a contact")
}
