package e2e

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	optionsv1 "github.com/concord-suite/concord/proto/gen/concord/options/v1"
	"github.com/concord-suite/concord/test/rest"
	"github.com/concord-suite/concord/test/story"
	"github.com/concord-suite/concord/test/topology"
)

// Short names of the kinds of callers.
const (
	nobody   = optionsv1.PrincipalKind_PRINCIPAL_KIND_ANONYMOUS
	operator = optionsv1.PrincipalKind_PRINCIPAL_KIND_OPERATOR
	admin    = optionsv1.PrincipalKind_PRINCIPAL_KIND_ADMINISTRATOR
	staff    = optionsv1.PrincipalKind_PRINCIPAL_KIND_STAFF
	reader   = optionsv1.PrincipalKind_PRINCIPAL_KIND_READ_ONLY_STAFF
	contact  = optionsv1.PrincipalKind_PRINCIPAL_KIND_CONTACT
	addIn    = optionsv1.PrincipalKind_PRINCIPAL_KIND_ADD_IN
	agent    = optionsv1.PrincipalKind_PRINCIPAL_KIND_AGENT
	service  = optionsv1.PrincipalKind_PRINCIPAL_KIND_SERVICE
)

// caller is who calls.
type caller struct {
	name    string
	kind    optionsv1.PrincipalKind
	actsFor optionsv1.PrincipalKind // an Add-In's person
	stepped bool
	rest    *rest.Client
}

// route is one way to call a method by REST.
type route struct {
	method protoreflect.MethodDescriptor
	rule   *optionsv1.Rule
	verb   string
	path   string // with {field=pattern}
	body   string
}

// verdict is what permission says of a call.
type verdict string

const (
	admitted        verdict = "admitted"
	unauthenticated verdict = "401"
	denied          verdict = "403"
	stepUp          verdict = "403, step up"
	notFound        verdict = "404"
)

// access tries every published REST method with every kind of caller, for their own firm, another one and one that
// nobody has. What is expected is read off the contract here.
func access(t *testing.T, in *installation) {
	own := in.Firm(t, in.op, "own")
	other := in.Firm(t, in.op, "other")
	own.Connect(t, nil)
	own.FirstRun(t)
	callers := cast(t, in, own)
	routes := published(t)
	if in.Kind == topology.ManyProcesses {
		internal(t, in, callers, own.Firm, other.Firm)
	}
	tried := 0
	for _, r := range routes {
		for _, c := range callers {
			tried += try(t, r, c, own.Firm, other.Firm)
		}
	}
	fmt.Printf("access by REST (%s): %d routes, %d callers, %d calls\n", in.Kind, len(routes), len(callers), tried)
	for _, c := range slices.Backward(callers) { // Add-Ins before their people, whose sign-out ends them
		signOut(t, c)
	}
}

// cast is one caller of every kind, of the firm.
func cast(t *testing.T, in *installation, adm *story.Person) []caller {
	// Without a mobile, PINs come by e-mail: such a session is weak, and never stepped up.
	plain := adm.Invite(t, &in.Stage, "weak@own.example", authv1.Role_ROLE_ADMINISTRATOR)
	member := adm.Invite(t, &in.Stage, "staff@own.example", authv1.Role_ROLE_STAFF)
	read := adm.Invite(t, &in.Stage, "reader@own.example", authv1.Role_ROLE_READ_ONLY)
	portal := adm.Portal(t, &in.Stage, adm.Contacts(t, "")[0], "contact@own.example")
	return []caller{
		{"nobody", nobody, 0, false, rest.New(in.URL)},
		{"operator", operator, 0, true, in.op.Again(t).Client},
		{"weak administrator", admin, 0, false, plain.Client},
		{"administrator", admin, 0, true, adm.Client},
		{"staff", staff, 0, false, member.Client},
		{"read-only staff", reader, 0, false, read.Client},
		{"contact", contact, 0, false, portal.Client},
		{"Add-In of an administrator", addIn, admin, false, plain.AddIn(t)},
		{"Add-In of staff", addIn, staff, false, member.AddIn(t)},
		{"Add-In of read-only staff", addIn, reader, false, read.AddIn(t)},
		{"agent", agent, 0, false, adm.Agent(t)},
	}
}

// try makes one call for each firm that makes a difference and answers how many.
func try(t *testing.T, r route, c caller, own, other string) int {
	if ends := r.method.Name(); (ends == "SignOut" || ends == "DiscardSession") && c.kind != nobody {
		return 0 // ends the caller; signOut does it last
	}
	firms := map[string]string{"own firm": own, "another firm": other, "no firm": "firms/" + uuid.Must(uuid.NewV7()).String()}
	if r.rule.GetFirmField() == "" {
		firms = map[string]string{"": own}
	}
	problems := map[string]*rest.Problem{}
	for which, firm := range firms {
		want := expected(r.rule, c, firm == own, true)
		p := rest.ProblemOf(call(t, r, c, firm))
		require.Equal(t, want, answered(p, want), "%s %s as %s to %s: %v", r.verb, r.path, c.name, which, p)
		problems[which] = p
	}
	if a, b := problems["another firm"], problems["no firm"]; a != nil && a.Status == http.StatusNotFound && c.kind != operator {
		require.Equal(t, [3]any{a.Reason, a.Detail, a.Metadata}, [3]any{b.Reason, b.Detail, b.Metadata}, "%s: a hint that the firm exists", r.path)
	}
	return len(firms)
}

// expected is what the rule says. By REST whoever signs in is nobody, whatever session they hold.
func expected(rule *optionsv1.Rule, c caller, own, byREST bool) verdict {
	allow := rule.GetAllow()
	anyStaff := slices.ContainsFunc(allow, func(k optionsv1.PrincipalKind) bool { return k == admin || k == staff || k == reader })
	switch {
	case byREST && len(allow) == 1 && allow[0] == nobody:
		return admitted
	case !slices.Contains(allow, c.kind) && c.kind == nobody:
		return unauthenticated
	case !slices.Contains(allow, c.kind),
		c.kind == service && !slices.Contains(rule.GetServices(), c.name),
		c.kind == addIn && anyStaff && !slices.Contains(allow, c.actsFor):
		return denied
	case rule.GetFirmField() != "" && !own && c.kind != operator && c.kind != nobody:
		return notFound
	case rule.GetStepUp() && !c.stepped && c.kind != service:
		return stepUp
	}
	return admitted
}

func answered(p *rest.Problem, want verdict) verdict {
	switch {
	case p == nil:
		return admitted
	case p.Status == http.StatusUnauthorized:
		return unauthenticated
	case p.Reason == "STEP_UP_REQUIRED":
		return stepUp
	case p.Reason == "ENROLMENT_NOT_ALLOWED":
		return admitted // permission let it pass; how the session was opened did not
	case p.Status == http.StatusForbidden:
		return denied
	case p.Status == http.StatusNotFound && want == notFound:
		return notFound
	case p.Reason == "SCOPE_STALE":
		return admitted // a contact's scope fails closed while events are under way
	case p.Status >= 500, p.Status == http.StatusMethodNotAllowed:
		return verdict(fmt.Sprint(p.Status))
	}
	return admitted // whatever it then answers, permission let it pass
}

// call makes a call that permission decides and, where it changes something, that validation refuses afterwards.
func call(t *testing.T, r route, c caller, firm string) error {
	path := "/v1/" + strings.TrimPrefix(fill(r.path, firm), "/v1/")
	if r.verb != http.MethodGet && r.body != "*" && r.method.Input().Fields().ByName("request_id") != nil {
		path += "?request_id=none"
	}
	var body []byte
	if r.body != "" {
		body = []byte("{}")
	}
	if r.body == "*" && r.method.Input().Fields().ByName("request_id") != nil {
		body = []byte(`{"request_id":"none"}`)
	}
	_, err := c.rest.Send(t.Context(), r.verb, path, body, "application/json")
	if err != nil {
		require.NotNil(t, rest.ProblemOf(err), "%s %s: %v", r.verb, path, err)
	}
	return err
}

var variable = regexp.MustCompile(`\{([a-z_.]+)(?:=([^}]*))?\}`)

// fill puts names into a path: the firm where it stands first, ids of nothing elsewhere.
func fill(path, firm string) string {
	return variable.ReplaceAllStringFunc(path, func(v string) string {
		pattern := variable.FindStringSubmatch(v)[2]
		if pattern == "" {
			pattern = "*"
		}
		pattern = strings.Replace(pattern, "firms/*", firm, 1)
		return strings.ReplaceAll(pattern, "*", uuid.Must(uuid.NewV7()).String())
	})
}

// published lists every REST way to a method of the contract: those of its annotations, and the gateway's own for streams
// and bytes.
func published(t *testing.T) []route {
	own := map[protoreflect.FullName][]route{
		"concord.sync.v1.RunService.WatchRun":                   {{verb: "GET", path: "/v1/{name=firms/*/runs/*}:watch"}},
		"concord.sync.v1.ClientService.ExportClientHistory":     {{verb: "GET", path: "/v1/{parent=firms/*/clients/*}/history:export"}},
		"concord.documents.v1.DocumentService.InitiateUpload":   {{verb: "POST", path: "/v1/{folder=firms/*/folders/*}/documents:upload", body: "bytes"}},
		"concord.documents.v1.DocumentService.InitiateDownload": {{verb: "GET", path: "/v1/{name=firms/*/documents/*}/content"}},
	}
	var routes []route
	for _, m := range methods() {
		rule := proto.GetExtension(m.Options(), optionsv1.E_Rule).(*optionsv1.Rule)
		require.NotEmpty(t, rule.GetAllow(), m.FullName())
		http, _ := proto.GetExtension(m.Options(), annotations.E_Http).(*annotations.HttpRule)
		for _, r := range append(bindings(http), own[m.FullName()]...) {
			r.method, r.rule = m, rule
			routes = append(routes, r)
		}
	}
	require.Greater(t, len(routes), 60)
	return routes
}

// methods are those of every service of the contract.
func methods() []protoreflect.MethodDescriptor {
	var all []protoreflect.MethodDescriptor
	protoregistry.GlobalFiles.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			s := f.Services().Get(i)
			for j := range s.Methods().Len() {
				if strings.HasPrefix(string(s.FullName()), "concord.") {
					all = append(all, s.Methods().Get(j))
				}
			}
		}
		return true
	})
	slices.SortFunc(all, func(a, b protoreflect.MethodDescriptor) int {
		return strings.Compare(string(a.FullName()), string(b.FullName()))
	})
	return all
}

func bindings(h *annotations.HttpRule) []route {
	if h == nil {
		return nil
	}
	r := route{body: h.GetBody()}
	for verb, path := range map[string]string{
		"GET": h.GetGet(), "POST": h.GetPost(), "PUT": h.GetPut(), "PATCH": h.GetPatch(), "DELETE": h.GetDelete(),
	} {
		if path != "" {
			r.verb, r.path = verb, path
		}
	}
	routes := []route{r}
	for _, more := range h.GetAdditionalBindings() {
		routes = append(routes, bindings(more)...)
	}
	return routes
}

// signOut ends a caller's session and looks that it has ended.
func signOut(t *testing.T, c caller) {
	_, err := c.rest.Send(t.Context(), "POST", "/v1/session:signOut", []byte("{}"), "application/json")
	switch c.kind {
	case nobody:
		require.Equal(t, http.StatusUnauthorized, rest.ProblemOf(err).Status)
	case agent:
		require.Equal(t, http.StatusForbidden, rest.ProblemOf(err).Status)
	default:
		require.NoError(t, err, c.name)
		_, err = c.rest.Send(t.Context(), "GET", "/v1/session", nil, "")
		require.Equal(t, http.StatusUnauthorized, rest.ProblemOf(err).Status, c.name)
	}
}
