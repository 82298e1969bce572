package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/gateway/internal/request"
	"github.com/concord-suite/concord/platform/rpcerr"
)

const bearer = "Bearer " + token

// field is the first field of a problem.
func field(t *testing.T, resp *http.Response, body string) (name, detail string) {
	t.Helper()
	fields, _ := problemOf(t, resp, body)["fields"].([]any)
	require.NotEmpty(t, fields, body)
	first := fields[0].(map[string]any)
	return first["field"].(string), first["detail"].(string)
}

// Every address of the contract refuses a query parameter that it does not take: an unknown filter would be answered with
// everything.
func TestUnknownQueryParametersAreRefused(t *testing.T) {
	s := start(t, nil)
	ids := strings.NewReplacer("*", other)
	addresses := map[string]string{
		"GET /v1/" + firm + "/runs/" + other + ":watch":                "none",
		"GET /v1/" + firm + "/clients/" + other + "/history:export":    "kind",
		"GET /v1/" + firm + "/auditEntries:export":                     "firstSequence",
		"GET /v1/" + firm + "/documents/" + other + "/content":         "none",
		"POST /v1/" + firm + "/folders/" + other + "/documents:upload": "displayName, sha256, requestId",
		"GET /v1/bytes/ticket":                                         "none",
		"PUT /v1/bytes/ticket":                                         "none",
	}
	routes := request.Contract("concord.")
	require.Greater(t, len(routes), 70)
	for key := range routes {
		verb, template, _ := strings.Cut(key, " ")
		for _, part := range strings.Split(template, "{")[1:] {
			_, pattern, _ := strings.Cut(part[:strings.Index(part, "}")], "=")
			template = strings.Replace(template, "{"+part[:strings.Index(part, "}")+1], ids.Replace(pattern), 1)
		}
		addresses[verb+" "+template] = ""
	}
	for address, takes := range addresses {
		verb, path, _ := strings.Cut(address, " ")
		resp, body := s.do(t, verb, path+"?bogus=1", "", "Authorization", bearer)
		require.Equal(t, 400, resp.StatusCode, "%s: %s", address, body)
		name, detail := field(t, resp, body)
		require.Equal(t, "bogus", name, address)
		require.Contains(t, detail, takes, address)
	}
	require.Empty(t, s.uploads)
}

func TestQueryParametersSayWhatTheyTake(t *testing.T) {
	s := start(t, nil)
	clients := "/v1/" + firm + "/clients"
	for _, c := range []struct{ query, field, detail string }{
		{"bogus=1", "bogus", "pageSize, pageToken, query, state, blockedOnly"},
		{"parent=firms/x", "parent", "takes pageSize"},
		{"state=LISTED", "state", "must be one of CLIENT_STATE_LISTED, CLIENT_STATE_LEAVING, CLIENT_STATE_OFFBOARDED"},
		{"page_size=many", "pageSize", "whole number"},
		{"blockedOnly=perhaps", "blockedOnly", "true or false"},
		{"state=CLIENT_STATE_LISTED&state=CLIENT_STATE_LEAVING", "state", "more than once"},
		{"pageSize=1&page_size=2", "pageSize", "more than once"},
	} {
		resp, body := s.do(t, "GET", clients+"?"+c.query, "", "Authorization", bearer)
		require.Equal(t, 400, resp.StatusCode, c.query)
		name, detail := field(t, resp, body)
		require.Equal(t, c.field, name, c.query)
		require.Contains(t, detail, c.detail, c.query)
	}
	resp, body := s.do(t, "GET", clients+"?a;b=1", "", "Authorization", bearer)
	require.Equal(t, 400, resp.StatusCode, body)
	require.Empty(t, s.authorization("ListClients"))
	resp, body = s.do(t, "GET", clients+"?page_size=1&pageToken=&blocked_only=true", "", "Authorization", bearer)
	require.Equal(t, 200, resp.StatusCode, body)

	resp, body = s.do(t, "POST", "/v1/"+firm+"/runs?requestId="+other, "{}", "Authorization", bearer)
	require.Equal(t, 400, resp.StatusCode, body)
	_, detail := field(t, resp, body)
	require.Contains(t, detail, "stands in the body")
}

// The header is the request_id of every call that has one, wherever that call takes it.
func TestIdempotencyKeyIsTheRequestID(t *testing.T) {
	s := start(t, nil)
	runs, clients, upload := "/v1/"+firm+"/runs", "/v1/"+firm+"/clients", "/v1/"+firm+"/folders/"+other+"/documents:upload?displayName=a.txt"
	for _, key := range []string{other, `"` + other + `"`, strings.ToUpper(other)} {
		for _, path := range []string{runs, clients, upload} {
			resp, body := s.do(t, "POST", path, "{}", "Authorization", bearer, "Idempotency-Key", key)
			require.Equal(t, 200, resp.StatusCode, body)
		}
		require.Equal(t, other, s.run.GetRequestId())
		require.Equal(t, other, s.created.GetRequestId())
		require.Equal(t, other, s.uploads[len(s.uploads)-1].GetRequestId())
		s.run, s.created = nil, nil
	}
	resp, body := s.do(t, "POST", runs, `{"requestId":"`+other+`"}`, "Authorization", bearer, "Idempotency-Key", other)
	require.Equal(t, 200, resp.StatusCode, body)
	resp, body = s.do(t, "POST", runs, `{"requestId":"018f0000-0000-7000-8000-0000000000ab"}`, "Authorization", bearer, "Idempotency-Key", other)
	require.Equal(t, 400, resp.StatusCode, body)
	name, _ := field(t, resp, body)
	require.Equal(t, "requestId", name)
	for _, key := range []string{"", "7", `"` + other, other + `"`, "{" + other + "}", strings.ReplaceAll(other, "-", "")} {
		resp, body = s.do(t, "POST", runs, "{}", "Authorization", bearer, "Idempotency-Key", key)
		require.Equal(t, 400, resp.StatusCode, "%q: %s", key, body)
		name, _ := field(t, resp, body)
		require.Equal(t, "Idempotency-Key", name)
	}
	resp, body = s.do(t, "GET", clients, "", "Authorization", bearer, "Idempotency-Key", "anything")
	require.Equal(t, 200, resp.StatusCode, body)
	// A call without a request id has its own way of being done once.
	resp, body = s.do(t, "POST", "/v1/session:signOut", "{}", "Authorization", bearer, "Idempotency-Key", other)
	require.Equal(t, 200, resp.StatusCode, body)
}

func TestARequestIDInTheWrongPlaceIsPointedTo(t *testing.T) {
	s := start(t, nil)
	resp, body := s.do(t, "POST", "/v1/"+firm+"/clients", `{"displayName":"X","requestId":"`+other+`"}`, "Authorization", bearer)
	require.Equal(t, 400, resp.StatusCode)
	require.Contains(t, problemOf(t, resp, body)["detail"], "query parameter requestId, or as the header Idempotency-Key")
	resp, body = s.do(t, "POST", "/v1/session:signOut", `{"requestId":"`+other+`"}`, "Authorization", bearer)
	require.Equal(t, 400, resp.StatusCode)
	require.Contains(t, problemOf(t, resp, body)["detail"], "this call has none")
}

func TestUploadTakesBothSpellings(t *testing.T) {
	s := start(t, nil)
	upload := "/v1/" + firm + "/folders/" + other + "/documents:upload?"
	for _, query := range []string{"display_name=a.txt&request_id=" + other, "displayName=a.txt&requestId=" + other} {
		resp, body := s.do(t, "POST", upload+query, "x", "Authorization", bearer)
		require.Equal(t, 200, resp.StatusCode, body)
		got := s.uploads[len(s.uploads)-1]
		require.Equal(t, "a.txt", got.GetDisplayName())
		require.Equal(t, other, got.GetRequestId())
	}
	resp, body := s.do(t, "POST", upload+"displayName=a.txt&display_name=b.txt", "x", "Authorization", bearer)
	require.Equal(t, 400, resp.StatusCode, body)
}

// What only answers hold is no input: a caller that sends it back, or makes it up, changes nothing by that.
func TestOutputOnlyFieldsAreIgnored(t *testing.T) {
	s := start(t, nil)
	resp, body := s.do(t, "POST", "/v1/"+firm+"/clients",
		`{"displayName":"X","name":"firms/zzz","offboarding":"firms/zzz/offboardings/1","synced":true,"code":"C"}`, "Authorization", bearer)
	require.Equal(t, 200, resp.StatusCode, body)
	require.Equal(t, "X", s.created.GetClient().GetDisplayName())
	require.Equal(t, "C", s.created.GetClient().GetCode())
	require.Empty(t, s.created.GetClient().GetName())
	require.Empty(t, s.created.GetClient().GetOffboarding())
	require.False(t, s.created.GetClient().GetSynced())
}

func TestUnreadableBodiesSayWhere(t *testing.T) {
	s := start(t, nil)
	for body, want := range map[string]string{
		"{\n  \"kind\": \"RUN_KIND_FULL\",\n": "line 3, column 1: the body ends in the middle",
		`{"kind":`:                            "line 1, column 9: the body ends in the middle",
		"{\n \"kind\": !}":                    "line 2, column 10: invalid character '!'",
		`{"kind":"FULL"}`:                     `"kind" must be one of RUN_KIND_MANUAL, RUN_KIND_FULL`,
		`{"kind":"RUN_KIND_FULL"} {}`:         "more follows",
		`{"knid":"RUN_KIND_FULL"}`:            `(line 1:2): unknown field "knid"`,
	} {
		resp, answer := s.do(t, "POST", "/v1/"+firm+"/runs", body, "Authorization", bearer)
		require.Equal(t, 400, resp.StatusCode, body)
		require.Contains(t, problemOf(t, resp, answer)["detail"], want, body)
	}
	resp, body := s.do(t, "POST", "/v1/"+firm+"/runs", `"`+strings.Repeat("x", 1<<20)+`"`, "Authorization", bearer)
	require.Equal(t, 413, resp.StatusCode)
	require.Contains(t, problemOf(t, resp, body)["detail"], "1048576 bytes")
	require.Nil(t, s.run)
}

// A field is named as the caller wrote it: in camelCase, and from the body's own root.
func TestFieldsAreNamedAsTheBodySpellsThem(t *testing.T) {
	s := start(t, nil)
	e := rpcerr.Default(codes.InvalidArgument)
	for _, path := range []string{"client.display_name", "client.blockers[1].due_time", `facts["a_key"].some_value`, "request_id"} {
		e = e.Field(path, "rule", "what is wrong")
	}
	s.listErr = e
	for path, want := range map[string][]string{
		"POST /clients": {"displayName", "blockers[1].dueTime", `facts["a_key"].someValue`, "requestId"},
		"GET /clients":  {"client.displayName", "client.blockers[1].dueTime", `facts["a_key"].someValue`, "requestId"},
	} {
		verb, path, _ := strings.Cut(path, " ")
		resp, body := s.do(t, verb, "/v1/"+firm+path, "", "Authorization", bearer)
		var got []string
		require.Equal(t, 400, resp.StatusCode, body)
		for _, f := range problemOf(t, resp, body)["fields"].([]any) {
			got = append(got, f.(map[string]any)["field"].(string))
		}
		require.Equal(t, want, got, path)
	}
}

// An address that is not as it should be is answered as a problem, never by sending the caller elsewhere.
func TestUntidyAddressesAreNotFound(t *testing.T) {
	s := start(t, nil)
	for _, path := range []string{"/v1//history:export", "/v1", "/v1/bytes", "//v1/firms", "/v1/firms/../firms", "/v1/./firms", "/v1//bytes/x"} {
		resp, body := s.do(t, "GET", path, "", "Authorization", bearer)
		require.Equal(t, 404, resp.StatusCode, path)
		require.Equal(t, "NOT_FOUND", problemOf(t, resp, body)["reason"], path)
	}
}
