package e2e

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/sim/remote"
	"github.com/concord-suite/concord/test/rest"
	"github.com/concord-suite/concord/test/story"
)

// people plays what staff and contacts of one firm do around clients that leave.
func people(t *testing.T, in *installation) {
	adm := in.Firm(t, in.op, "people")
	conn := sessionsByStrength(t, in, adm)
	require.Equal(t, syncv1.RunState_RUN_STATE_SUCCEEDED, adm.FirstRun(t).GetState())
	t.Run("portal", func(t *testing.T) { portal(t, in, adm) })
	t.Run("signing", func(t *testing.T) { signing(t, in, adm, conn) })
	t.Run("override and cancel", func(t *testing.T) { overrideAndCancel(t, in, adm, conn) })
	t.Run("revocation", func(t *testing.T) { revocation(t, in, adm) })
}

// sessionsByStrength: connecting ends sessions that were opened by a password alone, and what hangs on them; a session
// with a PIN by e-mail is taken for everyday work and refused for what needs step-up.
func sessionsByStrength(t *testing.T, in *installation, adm *story.Person) (connection string) {
	member := adm.Invite(t, &in.Stage, "staff@people.example", authv1.Role_ROLE_STAFF)
	addIn := member.AddIn(t)
	alive := func(c *rest.Client) error {
		_, err := c.Send(t.Context(), "GET", "/v1/"+adm.Firm+"/clients", nil, "")
		return err
	}
	require.NoError(t, alive(member.Client))
	require.NoError(t, alive(addIn))
	connection = adm.Connect(t, nil).GetName()
	for _, c := range []*rest.Client{member.Client, addIn} {
		story.Eventually(t, "the weaker session has ended", func() bool {
			p := rest.ProblemOf(alive(c))
			return p != nil && p.Status == http.StatusUnauthorized
		})
	}
	// A second administrator without a mobile has PINs by e-mail only.
	weak := adm.Invite(t, &in.Stage, "weak@people.example", authv1.Role_ROLE_ADMINISTRATOR)
	now := new(authv1.GetCurrentSessionResponse)
	require.NoError(t, weak.Call(t.Context(), "GET", "/v1/session", nil, now))
	require.Equal(t, authv1.Strength_STRENGTH_WEAK, now.GetSession().GetStrength())
	require.NoError(t, alive(weak.Client))
	err := weak.Call(t.Context(), "POST", "/v1/"+adm.Firm+"/agents", &authv1.CreateAgentRequest{DisplayName: "X"}, nil)
	require.Equal(t, "STEP_UP_REQUIRED", rest.Reason(err), "%v", err)
	err = weak.Call(t.Context(), "POST", "/v1/session:startStepUp", &authv1.StartStepUpRequest{Password: story.Password}, nil)
	require.NotNil(t, rest.ProblemOf(err), "a mailbox is no step-up")
	require.NotEmpty(t, rest.ProblemOf(err).Detail)
	return connection
}

// leaves archives a client at the provider and runs a full sync; it answers the off-boarding, which a signature blocks.
func leaves(t *testing.T, in *installation, adm *story.Person, connection, client string) *syncv1.Offboarding {
	records, err := in.World.Clients(t.Context(), "", adm.ClientNamed(t, client).GetDisplayName(), 2)
	require.NoError(t, err)
	require.Len(t, records, 1, "the name is not this client's alone")
	_, err = in.World.Archive(t.Context(), remote.UUIDs(records[0].UUID))
	require.NoError(t, err)
	run := adm.Run(t, connection, syncv1.RunKind_RUN_KIND_FULL)
	require.Equal(t, syncv1.RunState_RUN_STATE_SUCCEEDED, run.GetState(), run.GetMessage())
	var off *syncv1.Offboarding
	story.Eventually(t, "the off-boarding is blocked", func() bool {
		for _, o := range adm.Offboardings(t) {
			if o.GetClient() == client && o.GetState() == syncv1.OffboardingState_OFFBOARDING_STATE_BLOCKED {
				off = o
			}
		}
		return off != nil
	})
	require.NotEmpty(t, adm.AwaitOffboarding(t, off.GetName(), syncv1.OffboardingState_OFFBOARDING_STATE_BLOCKED).GetBlockers())
	require.NotEmpty(t, adm.ClientNamed(t, client).GetBlockers())
	return off
}

// portal: a contact of two clients sees what is published of them and files for them; of one that left nothing; of one
// that came back everything.
func portal(t *testing.T, in *installation, adm *story.Person) {
	who, a, b := sharedContact(t, adm)
	c := adm.Portal(t, &in.Stage, who, "shared@people.example")
	folder := map[string]string{}
	shown := map[string]string{}
	var hidden []string
	for _, client := range []string{a, b, strangerTo(t, adm, who)} {
		folder[client] = adm.FolderOf(t, client).GetName()
		open := adm.File(t, folder[client], "Open.txt", "for "+client).GetName()
		adm.Publish(t, open)
		shown[client] = open
		hidden = append(hidden, adm.File(t, folder[client], "Internal.txt", "not for "+client).GetName())
		if client != a && client != b {
			hidden = append(hidden, open)
			_, err := c.Send(t.Context(), "POST", "/v1/"+folder[client]+"/documents:upload?display_name=x.txt", []byte("x"), "text/plain")
			require.Equal(t, http.StatusNotFound, rest.ProblemOf(err).Status, "filing for a stranger: %v", err)
		}
	}
	sees(t, c, shown[a], shown[b])
	require.Len(t, c.Clients(t, ""), 2)
	for _, doc := range hidden {
		for _, path := range []string{"/v1/" + doc, "/v1/" + doc + "/content"} {
			_, err := c.Send(t.Context(), "GET", path, nil, "")
			require.Equal(t, http.StatusNotFound, rest.ProblemOf(err).Status, "%v", err)
		}
	}
	mine := c.File(t, folder[a], "From me.txt", "mine")
	content, err := adm.Download(t.Context(), mine.GetName())
	require.NoError(t, err)
	require.Equal(t, "mine", string(content))

	history := export(t, adm, a)
	off := adm.Offboard(t, a, false)
	adm.AwaitOffboarding(t, off.GetName(), syncv1.OffboardingState_OFFBOARDING_STATE_DONE)
	sees(t, c, shown[b])
	require.Len(t, c.Clients(t, ""), 1)
	_, err = c.Send(t.Context(), "GET", "/v1/"+shown[a]+"/content", nil, "")
	require.Equal(t, http.StatusNotFound, rest.ProblemOf(err).Status)

	require.NoError(t, adm.Call(t.Context(), "POST", "/v1/"+a+":restore", &syncv1.RestoreClientRequest{Reason: "a mistake"}, nil))
	adm.AwaitOffboarding(t, off.GetName(), syncv1.OffboardingState_OFFBOARDING_STATE_REVERSED)
	require.Equal(t, syncv1.ClientState_CLIENT_STATE_LISTED, adm.ClientNamed(t, a).GetState())
	story.Eventually(t, "the folder is a client folder again", func() bool {
		f := adm.Folders(t, "kind=FOLDER_KIND_CLIENT&client="+a)
		return len(f) == 1 && f[0].GetName() == folder[a]
	})
	sees(t, c, shown[a], shown[b], mine.GetName())
	after := export(t, adm, a)
	require.Greater(t, len(after), len(history))
	require.Equal(t, history, after[:len(history)], "the history is the same, and goes on")
	names := map[string]bool{}
	for _, x := range adm.Contacts(t, "client="+a) {
		names[x.GetName()] = true
	}
	require.True(t, names[who.GetName()])
}

// sees waits until a contact sees these documents: what contacts may see follows by events, and fails closed meanwhile.
func sees(t *testing.T, c *story.Person, want ...string) {
	t.Helper()
	story.Eventually(t, fmt.Sprintf("the contact sees %d documents", len(want)), func() bool {
		list := new(documentsv1.ListDocumentsResponse)
		if c.Call(t.Context(), "GET", "/v1/"+c.Firm+"/documents?page_size=1000", nil, list) != nil {
			return false
		}
		got := map[string]bool{}
		for _, d := range list.GetDocuments() {
			got[d.GetName()] = true
		}
		for _, name := range want {
			if !got[name] {
				return false
			}
		}
		return len(got) == len(want)
	})
}

// export is the history as CSV, oldest row first, without its header.
func export(t *testing.T, p *story.Person, client string) [][]string {
	t.Helper()
	resp, err := p.Do(t.Context(), "GET", "/v1/"+client+"/history:export", http.NoBody, "", nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Contains(t, resp.Header.Get("Content-Type"), "text/csv")
	rows, err := csv.NewReader(resp.Body).ReadAll()
	require.NoError(t, err)
	require.Greater(t, len(rows), 1)
	require.Equal(t, "sequence", strings.ToLower(rows[0][0]))
	return rows[1:]
}

// sharedContact is a contact of exactly two clients.
func sharedContact(t *testing.T, adm *story.Person) (who *syncv1.Contact, a, b string) {
	for _, c := range adm.Contacts(t, "") {
		if r := c.GetRelations(); len(r) == 2 {
			return c, r[0].GetClient(), r[1].GetClient()
		}
	}
	t.Fatal("no contact of two clients")
	return nil, "", ""
}

// loneContacts are contacts who are the only one of their only client.
func loneContacts(t *testing.T, adm *story.Person, n int) []*syncv1.Contact {
	count := map[string]int{}
	all := adm.Contacts(t, "")
	for _, c := range all {
		for _, r := range c.GetRelations() {
			count[r.GetClient()]++
		}
	}
	var lone []*syncv1.Contact
	for _, c := range all {
		if r := c.GetRelations(); len(r) == 1 && count[r[0].GetClient()] == 1 && len(lone) < n {
			lone = append(lone, c)
		}
	}
	require.Len(t, lone, n)
	return lone
}

func strangerTo(t *testing.T, adm *story.Person, who *syncv1.Contact) string {
	related := map[string]bool{}
	for _, r := range who.GetRelations() {
		related[r.GetClient()] = true
	}
	for _, c := range adm.Clients(t, "") {
		if !related[c.GetName()] {
			return c.GetName()
		}
	}
	t.Fatal("everybody is related")
	return ""
}

// signing: an off-boarding that waits for a signature goes on by itself once the contact has signed. The contact, whose
// only client it was, is released: edited and deleted like any entry of an address book.
func signing(t *testing.T, in *installation, adm *story.Person, connection string) {
	who := loneContacts(t, adm, 3)[0]
	client := who.GetRelations()[0].GetClient()
	c := adm.Portal(t, &in.Stage, who, "signer@people.example")
	doc := adm.File(t, adm.FolderOf(t, client).GetName(), "Contract.txt", "sign here")
	adm.SendForSignature(t, client, doc.GetName())

	err := adm.Call(t.Context(), "POST", "/v1/"+client+":offboard", &syncv1.OffboardClientRequest{Reason: "by hand"}, nil)
	require.Equal(t, "BLOCKED", rest.Reason(err), "%v", err)
	require.Contains(t, rest.ProblemOf(err).Detail, "for signature")
	off := leaves(t, in, adm, connection, client)

	var request *documentsv1.SignatureRequest
	story.Eventually(t, "the contact sees what to sign", func() bool {
		list := new(documentsv1.ListSignatureRequestsResponse)
		if c.Call(t.Context(), "GET", "/v1/"+c.Firm+"/signatureRequests", nil, list) == nil && len(list.GetSignatureRequests()) == 1 {
			request = list.GetSignatureRequests()[0]
		}
		return request != nil
	})
	err = c.Call(t.Context(), "POST", "/v1/"+request.GetName()+":sign", &documentsv1.SignDocumentRequest{
		Sign: true, DocumentSha256: strings.Repeat("0", 64),
	}, nil)
	require.Equal(t, http.StatusBadRequest/100, rest.ProblemOf(err).Status/100, "another document was seen: %v", err)
	require.NoError(t, c.Call(t.Context(), "POST", "/v1/"+request.GetName()+":sign", &documentsv1.SignDocumentRequest{
		Sign: true, DocumentSha256: doc.GetSha256(),
	}, nil))
	done := adm.AwaitOffboarding(t, off.GetName(), syncv1.OffboardingState_OFFBOARDING_STATE_DONE)
	require.EqualValues(t, 1, done.GetContactsReleased())
	sees(t, c)

	got := new(syncv1.GetContactResponse)
	require.NoError(t, adm.Call(t.Context(), "GET", "/v1/"+who.GetName(), nil, got))
	free := got.GetContact()
	require.True(t, free.GetReleased() && free.GetHasLogin(), "%v", free)
	free.DisplayName = "Now by hand"
	changed := new(syncv1.UpdateContactResponse)
	require.NoError(t, adm.Call(t.Context(), "PATCH", "/v1/"+who.GetName(), free, changed))
	require.Equal(t, "Now by hand", changed.GetContact().GetDisplayName())
	err = adm.Call(t.Context(), "PATCH", "/v1/"+who.GetName(), free, nil)
	require.Equal(t, "ETAG_MISMATCH", rest.Reason(err), "%v", err)
	require.NoError(t, adm.Call(t.Context(), "DELETE", "/v1/"+who.GetName(), nil, nil))
	story.Eventually(t, "the deleted contact's login is gone", func() bool {
		_, err := c.Send(t.Context(), "GET", "/v1/session", nil, "")
		p := rest.ProblemOf(err)
		return p != nil && p.Status == http.StatusUnauthorized
	})
	synced := adm.Contacts(t, "")[0]
	err = adm.Call(t.Context(), "DELETE", "/v1/"+synced.GetName(), nil, nil)
	require.Contains(t, []string{"CONTACT_SYNCED", "CONTACT_RELATED"}, rest.Reason(err), "%v", err)
}

// overrideAndCancel: an administrator cancels while the client is still here, or lets it go with its open requests
// withdrawn.
func overrideAndCancel(t *testing.T, in *installation, adm *story.Person, connection string) {
	client := loneContacts(t, adm, 2)[1].GetRelations()[0].GetClient()
	doc := adm.File(t, adm.FolderOf(t, client).GetName(), "Contract.txt", "sign here").GetName()
	adm.SendForSignature(t, client, doc)
	off := leaves(t, in, adm, connection, client)
	require.NoError(t, adm.Call(t.Context(), "POST", "/v1/"+off.GetName()+":cancel", &syncv1.CancelOffboardingRequest{}, nil))
	adm.AwaitOffboarding(t, off.GetName(), syncv1.OffboardingState_OFFBOARDING_STATE_CANCELLED)
	require.Equal(t, syncv1.ClientState_CLIENT_STATE_LISTED, adm.ClientNamed(t, client).GetState())
	second := adm.File(t, adm.FolderOf(t, client).GetName(), "Another.txt", "sign here too").GetName()
	adm.SendForSignature(t, client, second)

	off = adm.Offboard(t, client, true)
	done := adm.AwaitOffboarding(t, off.GetName(), syncv1.OffboardingState_OFFBOARDING_STATE_DONE)
	require.NotEmpty(t, done.GetSteps())
	err := adm.Call(t.Context(), "POST", "/v1/"+off.GetName()+":cancel", &syncv1.CancelOffboardingRequest{}, nil)
	require.Contains(t, []string{"PAST_POINT_OF_NO_RETURN"}, rest.Reason(err), "%v", err)
	require.Empty(t, adm.Signatures(t, "state=SIGNATURE_STATE_OPEN"))
	err = adm.Call(t.Context(), "GET", "/v1/"+client+"/history", nil, nil)
	require.Equal(t, "CLIENT_NOT_LISTED", rest.Reason(err), "history goes with the client: %v", err)
}
