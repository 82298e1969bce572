package e2e

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/test/rest"
	"github.com/concord-suite/concord/test/story"
)

// refusals: a request that breaks a rule is refused with what is wrong, and changes nothing.
func refusals(t *testing.T, in *installation) {
	adm := in.Firm(t, in.op, "careful")
	t.Run("fields", func(t *testing.T) { brokenFields(t, adm) })
	t.Run("bodies", func(t *testing.T) { brokenBodies(t, adm) })
	t.Run("page tokens", func(t *testing.T) { pageTokens(t, adm) })
	t.Run("request ids", func(t *testing.T) { requestIDs(t, adm) })
	t.Run("strangers", func(t *testing.T) { strangers(t, adm) })
	require.Len(t, adm.Folders(t, "kind=FOLDER_KIND_BUSINESS"), 3, "what was refused left nothing")
	require.Len(t, adm.Clients(t, ""), 1)
}

// refused makes a call that must be refused as a problem document, and answers it.
func refused(t *testing.T, c *rest.Client, status int, method, path, body string) *rest.Problem {
	t.Helper()
	_, err := c.Send(t.Context(), method, path, []byte(body), "application/json")
	p := rest.ProblemOf(err)
	require.NotNil(t, p, "%s %s %s is taken", method, path, body)
	require.Equal(t, status, p.Status, "%s %s %s: %v", method, path, body, p)
	require.Equal(t, "application/problem+json", p.Media)
	require.NotEmpty(t, p.Detail)
	for _, leak := range []string{"SQL", "sqlite", "pgx", "proto:", "goroutine", "rpc error", "strconv"} {
		require.NotContains(t, p.Detail, leak)
	}
	return p
}

// brokenFields: every service names the field, as the JSON of the request spells it.
func brokenFields(t *testing.T, adm *story.Person) {
	firm := "/v1/" + adm.Firm
	for _, c := range []struct{ method, path, body, field string }{
		{"POST", firm + "/staff:invite", `{"email":"x","display_name":"X","role":"ROLE_STAFF"}`, "email"},
		{"POST", firm + "/staff:invite", `{"email":"x@y.example","display_name":"X"}`, "role"},
		{"POST", firm + "/agents", `{}`, "displayName"},
		{"POST", "/v1/sign-in", `{"password":"x"}`, "email"},
		{"POST", firm + "/connectAttempts", `{}`, "provider"},
		{"POST", firm + "/connectAttempts/" + uuid.NewString() + ":confirm", `{"tenant_id":"x"}`, "options"},
		{"POST", firm + "/runs", `{"connection":"nonsense","kind":"RUN_KIND_FULL"}`, "connection"},
		{"POST", firm + "/runs", `{"connection":"` + adm.Firm + "/connections/" + uuid.NewString() + `"}`, "kind"},
		{"POST", firm + "/clients", `{"display_name":""}`, "displayName"},
		{"POST", firm + "/clients/" + uuid.NewString() + ":offboard", `{}`, "reason"},
		{"POST", firm + "/folders", `{"display_name":""}`, "displayName"},
		{"POST", firm + "/folders?request_id=7", `{"display_name":"X"}`, "requestId"},
		{"POST", firm + "/emailJobs", `{"subject":"X"}`, "documents"},
		{"GET", firm + "/clients?page_size=-1", "", "pageSize"},
		{"GET", firm + "/folders?page_size=1001", "", "pageSize"},
		{"GET", firm + "/clients/nonsense", "", "name"},
		{"GET", firm + "/clients?page_size=many", "", "pageSize"},
		{"GET", firm + "/clients?state=NOWHERE", "", "state"},
		{"GET", firm + "/clients?bogus=1", "", "bogus"},
		{"GET", firm + "/clients/" + uuid.NewString() + "/history?kind=BOGUS", "", "kind"},
		{"GET", firm + "/clients/" + uuid.NewString() + "/history:export?kind=BOGUS", "", "kind"},
		{"POST", firm + "/documents:initiateUpload", `{"folder":"` + adm.Firm + "/folders/" + uuid.NewString() + `","displayName":"a"}`, "size"},
	} {
		p := refused(t, adm.Client, http.StatusBadRequest, c.method, c.path, c.body)
		var fields []string
		for _, f := range p.Fields {
			fields = append(fields, f.Field)
			require.NotEmpty(t, f.Detail)
		}
		require.Contains(t, fields, c.field, "%s %s %s", c.method, c.path, c.body)
	}
}

// brokenBodies: what is no request at all.
func brokenBodies(t *testing.T, adm *story.Person) {
	folders := "/v1/" + adm.Firm + "/folders"
	for _, body := range []string{`{`, `[]`, `"x"`, `{"display_name":7}`, `{"display_name":"X"} more`, "\x00\xff", `{"no_such_field":"X"}`} {
		refused(t, adm.Client, http.StatusBadRequest, "POST", folders, body)
	}
	huge := `{"display_name":"` + strings.Repeat("x", 2<<20) + `"}`
	refused(t, adm.Client, http.StatusRequestEntityTooLarge, "POST", folders, huge)
	refused(t, adm.Client, http.StatusNotFound, "GET", "/v1/nothing/here", "")
	refused(t, adm.Client, http.StatusNotFound, "GET", "/nothing", "")
	p := refused(t, adm.Client, http.StatusMethodNotAllowed, "DELETE", folders, "")
	require.NotEmpty(t, p.Reason)
	// An upload that says it is longer than what arrives leaves nothing.
	target := new(documentsv1.CreateFolderResponse)
	require.NoError(t, adm.Call(t.Context(), "POST", folders, &documentsv1.Folder{DisplayName: "Uploads"}, target))
	_, err := adm.Send(t.Context(), "POST", "/v1/"+target.GetFolder().GetName()+"/documents:upload?display_name=a.txt&sha256="+strings.Repeat("0", 64),
		[]byte("not that hash"), "text/plain")
	require.Equal(t, "CONTENT_MISMATCH", rest.Reason(err), "%v", err)
	resp, err := adm.Do(t.Context(), "POST", "/v1/"+target.GetFolder().GetName()+"/documents:upload?display_name=a%2Fb", bytes.NewReader([]byte("x")), "text/plain", nil)
	require.Nil(t, resp)
	require.Equal(t, http.StatusBadRequest, rest.ProblemOf(err).Status, "%v", err)
	require.Empty(t, adm.Documents(t, "folder="+target.GetFolder().GetName()))
}

// forged is a token in the form that lists use, with a text that PostgreSQL can't hold.
var forged = base64.RawURLEncoding.EncodeToString([]byte(`{"k":"\u0000","i":"\u0000"}`))

// pageTokens: only the token of the page before, for the same question, is taken.
func pageTokens(t *testing.T, adm *story.Person) {
	folders := "/v1/" + adm.Firm + "/folders"
	require.NoError(t, adm.Call(t.Context(), "POST", folders, &documentsv1.Folder{DisplayName: "Second"}, nil))
	page := new(documentsv1.ListFoldersResponse)
	require.NoError(t, adm.Call(t.Context(), "GET", folders+"?page_size=1", nil, page))
	require.NotEmpty(t, page.GetNextPageToken())
	for _, list := range []string{"/folders", "/documents", "/emailJobs", "/signatureRequests", "/clients", "/contacts", "/runs", "/plans", "/offboardings",
		"/connections", "/staff", "/contactLogins", "/agents", "/auditEntries"} {
		for _, token := range []string{"nonsense", "AAAA", strings.Repeat("A", 1000), forged} {
			p := refused(t, adm.Client, http.StatusBadRequest, "GET", "/v1/"+adm.Firm+list+"?page_token="+token, "")
			require.NotEmpty(t, p.Fields, "%s %q: %v", list, token, p)
			require.Equal(t, "pageToken", p.Fields[0].Field, list)
		}
	}
	refused(t, adm.Client, http.StatusBadRequest, "GET", folders+"?kind=FOLDER_KIND_CLIENT&page_token="+page.GetNextPageToken(), "")
}

// strangers: what does not exist gets no login, and can't be revoked.
func strangers(t *testing.T, adm *story.Person) {
	firm := "/v1/" + adm.Firm
	body := `{"contact":"` + adm.Firm + "/contacts/" + uuid.NewString() + `","email":"nobody@client.example","display_name":"Nobody"}`
	require.Equal(t, "NOT_FOUND", refused(t, adm.Client, http.StatusNotFound, "POST", firm+"/contactLogins:invite", body).Reason)
	require.Equal(t, "NOT_FOUND", refused(t, adm.Client, http.StatusNotFound, "POST", firm+"/agents/"+uuid.NewString()+":revoke", "{}").Reason)
}

// requestIDs: the same request again is answered the same and done once; another one under the same id is refused.
func requestIDs(t *testing.T, adm *story.Person) {
	id := uuid.NewString()
	create := func(name string) (*documentsv1.Folder, error) {
		made := new(documentsv1.CreateFolderResponse)
		err := adm.Call(t.Context(), "POST", "/v1/"+adm.Firm+"/folders?request_id="+id, &documentsv1.Folder{DisplayName: name}, made)
		return made.GetFolder(), err
	}
	first, err := create("Third")
	require.NoError(t, err)
	again, err := create("Third")
	require.NoError(t, err)
	require.Equal(t, first.GetName(), again.GetName())
	_, err = create("Another")
	require.Equal(t, "REQUEST_ID_REUSED", rest.Reason(err), "%v", err)
	require.Equal(t, http.StatusBadRequest, rest.ProblemOf(err).Status)

	client := func(name string) (*syncv1.Client, error) {
		made := new(syncv1.CreateClientResponse)
		err := adm.Call(t.Context(), "POST", "/v1/"+adm.Firm+"/clients?request_id="+id, &syncv1.Client{DisplayName: name}, made)
		return made.GetClient(), err
	}
	one, err := client("By hand")
	require.NoError(t, err, "an id counts per method")
	two, err := client("By hand")
	require.NoError(t, err)
	require.Equal(t, one.GetName(), two.GetName())
	_, err = client("Somebody else")
	require.Equal(t, "REQUEST_ID_REUSED", rest.Reason(err))
}
