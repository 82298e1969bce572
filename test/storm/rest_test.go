package storm

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/concord-suite/concord/proto/gen/openapi"
)

// patience is how long an answer may take; streams are left after it.
const patience = 20 * time.Second

// operation is one way in of the OpenAPI document.
type operation struct {
	verb, path string
	query      []string
	rpc        protoreflect.MethodDescriptor  // nil for what the document describes by hand
	message    protoreflect.MessageDescriptor // the request, nil for bytes and what the document describes by hand
	payload    protoreflect.MessageDescriptor // what of it is the body
	body       string                         // media type, empty without a body
	streams    bool
}

// restCalls sends requests to the gateway.
type restCalls struct {
	base       string
	client     *http.Client
	operations []operation
}

func newRESTCalls(t *testing.T, base string) *restCalls {
	return &restCalls{base: base, operations: operations(t), client: &http.Client{
		Timeout:       patience,
		Transport:     &http.Transport{MaxIdleConnsPerHost: workers * 4},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// operations reads the OpenAPI document. Beside it, the gateway has ways in that no frontend calls.
func operations(t *testing.T) []operation {
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
			Parameters  []struct{ Name, In string }
			RequestBody *struct{ Content map[string]any }
		}
	}
	require.NoError(t, json.Unmarshal(openapi.Document, &doc))
	all := []operation{
		{verb: "GET", path: "/oauth/callback", query: []string{"code", "state", "error", "error_description"}},
		{verb: "POST", path: "/webhooks/xero", body: "application/json"},
		{verb: "GET", path: "/openapi.json"}, {verb: "GET", path: "/v1/no/such/path"},
	}
	rpcs := map[string]protoreflect.MethodDescriptor{}
	for _, m := range methods() {
		rpcs[string(m.Parent().Name())+"_"+string(m.Name())] = m
	}
	for path, verbs := range doc.Paths {
		for verb, o := range verbs {
			op := operation{verb: strings.ToUpper(verb), path: path, streams: strings.HasSuffix(path, ":watch")}
			if m := rpcs[numbered.ReplaceAllString(o.OperationID, "")]; m != nil {
				op.rpc, op.message, op.payload = m, m.Input(), payload(m)
			}
			for _, p := range o.Parameters {
				if p.In == "query" {
					op.query = append(op.query, p.Name)
				}
			}
			if o.RequestBody != nil {
				for media := range o.RequestBody.Content {
					op.body = media
				}
			}
			all = append(all, op)
		}
	}
	slices.SortFunc(all, func(a, b operation) int { return strings.Compare(a.path+a.verb, b.path+b.verb) })
	require.Greater(t, len(all), 100)
	return all
}

// payload is what of a request stands in the body: all of it, or one field.
func payload(m protoreflect.MethodDescriptor) protoreflect.MessageDescriptor {
	rule, _ := proto.GetExtension(m.Options(), annotations.E_Http).(*annotations.HttpRule)
	if f := m.Input().Fields().ByName(protoreflect.Name(rule.GetBody())); f != nil {
		return f.Message()
	}
	return m.Input()
}

// numbered is what the document adds to the second address of one method.
var numbered = regexp.MustCompile(`_[0-9]+$`)

// request makes a request, to be sent once or more.
func (c *restCalls) request(r *rand.Rand, callers *cast, p *pool) func() outcome {
	op := c.operations[r.IntN(len(c.operations))]
	who := callers.pick(r, op.rpc)
	a := author{r, who, p, mannerOf(r)}
	verb := op.verb
	if a.how == wild && r.IntN(20) == 0 {
		verb = []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"}[r.IntN(8)]
	}
	address := c.base + a.fill(op.path)
	if q := a.query(op); len(q) > 0 {
		address += "?" + q.Encode()
	}
	var body []byte
	if op.body != "" {
		body = a.body(op)
	}
	header := a.header(op)
	p.says(who, address+string(body))
	return func() outcome {
		out := outcome{call: op.verb + " " + op.path, way: "REST", who: who, sent: address + string(body), streamed: op.streams}
		req, err := http.NewRequest(verb, address, bytes.NewReader(body))
		if err != nil {
			out.code = "not sent" // no client could send it either
			return out
		}
		req.Header = header
		c.send(req, &out)
		return out
	}
}

// send fills in the answer.
func (c *restCalls) send(req *http.Request, out *outcome) {
	resp, err := c.client.Do(req)
	if err != nil {
		out.code, out.detail = "no answer", err.Error()
		return
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	out.code = fmt.Sprint(resp.StatusCode)
	if err != nil && !out.streamed {
		out.code, out.detail = "cut", err.Error()
	}
	out.answer = string(answer) + resp.Header.Get("Location")
	if strings.Contains(resp.Header.Get("Content-Type"), "json") {
		out.json = answer
		var problem struct{ Reason, Detail string }
		if json.Unmarshal(answer, &problem) == nil {
			out.reason, out.detail = problem.Reason, problem.Detail
		}
	}
}

var variable = regexp.MustCompile(`\{([a-z_]+)\}`)

// fill puts ids into a path: of things there are, mostly of the caller's firm.
func (a author) fill(path string) string {
	firm := a.firm()
	if firm == "" {
		firm = "firms/" + a.pool.fresh(a.Rand)
	}
	return variable.ReplaceAllStringFunc(path, func(v string) string {
		field := strings.Trim(v, "{}")
		if a.odd() {
			return url.PathEscape(a.junk())
		}
		if field == "firm" {
			return strings.TrimPrefix(firm, "firms/")
		}
		words := strings.Split(field, "_")
		for i := 1; i < len(words); i++ {
			words[i] = strings.ToUpper(words[i][:1]) + words[i][1:]
		}
		collection := strings.Join(words, "") + "s"
		if field == "staff" {
			collection = field
		}
		if name := a.pool.of(a.Rand, collection, firm); name != "" {
			return name[strings.LastIndexByte(name, '/')+1:]
		}
		if v := a.pool.any(a.Rand, field); v != "" {
			return url.PathEscape(v)
		}
		return a.pool.fresh(a.Rand)
	})
}

func (a author) query(op operation) url.Values {
	q := url.Values{}
	for _, name := range op.query {
		if a.IntN(3) > 0 {
			continue
		}
		q.Add(name, a.argument(op, name))
	}
	if a.how == wild && a.IntN(5) == 0 {
		q.Add([]string{"bogus", "", "page_size", "a[b]", "\x00"}[a.IntN(5)], a.junk())
	}
	return q
}

// argument is a value of a query parameter, as its field would have it.
func (a author) argument(op operation, name string) string {
	if op.message == nil || a.odd() {
		return a.junk()
	}
	f := op.message.Fields().ByJSONName(name)
	switch {
	case f == nil:
		return a.junk()
	case f.Kind() == protoreflect.StringKind:
		return a.text(string(f.Name()), string(op.message.Name()))
	case f.Kind() == protoreflect.EnumKind:
		return string(f.Enum().Values().Get(a.IntN(f.Enum().Values().Len())).Name())
	case f.Kind() == protoreflect.BoolKind:
		return []string{"true", "false", "1", "maybe"}[a.IntN(4)]
	}
	return fmt.Sprint(a.number())
}

// body is the request as JSON, spoilt when it is meant to be wrong.
func (a author) body(op operation) []byte {
	if op.payload == nil || op.body != "application/json" {
		return []byte(strings.Repeat(a.junk(), 1+a.IntN(3)))
	}
	text, err := protojson.Marshal(a.message(op.payload, 0).Interface())
	if err != nil { // a time out of range has no JSON
		return []byte(`{"displayName":7}`)
	}
	text = spoil(text)
	if a.how == right || a.IntN(3) > 0 {
		return text
	}
	switch a.IntN(7) {
	case 0:
		return text[:a.IntN(len(text)+1)]
	case 1:
		return append(text, text...)
	case 2:
		return bytes.ReplaceAll(text, []byte(`":"`), []byte(`":["`))
	case 3:
		return []byte(strings.Repeat(`{"a":`, 20_000))
	case 4:
		return bytes.Replace(text, []byte("{"), []byte(`{"unknown":{"x":[1,2,{}]},`), 1)
	case 5:
		return []byte(`{"displayName":"` + strings.Repeat("x", 10<<20) + `"}`)
	}
	for range 1 + a.IntN(8) {
		if len(text) > 0 {
			text[a.IntN(len(text))] = byte(a.IntN(256))
		}
	}
	return text
}

// header says who calls, from where, and now and then says it wrong.
func (a author) header(op operation) http.Header {
	h := http.Header{"X-Forwarded-For": {fmt.Sprintf("198.51.%d.%d", a.IntN(256), a.IntN(256))}}
	if op.body != "" {
		h.Set("Content-Type", op.body)
	}
	switch a.IntN(40) {
	case 0:
		h.Set("Authorization", "Bearer "+a.pool.any(a.Rand, "session_token"))
	case 1:
		h.Set("Authorization", []string{"Bearer ", "Basic YTpi", "bearer x", "Bearer eyJhbGciOiJub25lIn0.e30."}[a.IntN(4)])
	case 2:
		h.Set("Cookie", "concord_session="+a.who.token) // without the header that proves the page
	case 3:
		h.Set("Cookie", "concord_session="+base64.StdEncoding.EncodeToString([]byte("junk"))+"; concord_csrf=x; ;=;")
	default:
		if a.who.token != "" {
			h.Set("Authorization", "Bearer "+a.who.token)
		}
	}
	if a.IntN(10) == 0 {
		h.Set("Idempotency-Key", `"`+a.pool.fresh(a.Rand)+`"`)
	}
	if a.how == wild && a.IntN(4) == 0 {
		h.Set([]string{"Content-Type", "Accept", "Origin", "X-Concord-Csrf", "X-Concord-Session", "Range"}[a.IntN(6)],
			[]string{"text/html", "application/xml", "https://evil.example", "cookie", "bytes=5-1", "*/*"}[a.IntN(6)])
	}
	return h
}
