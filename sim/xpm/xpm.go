// Package xpm is the simulated Xero Practice Manager API, versions 3.1 and 3.0.
//
// It speaks XML whatever is asked for, tells business errors as HTTP 200 with Status ERROR, and
// leaves everything before the API (tokens, tenants, limits) to package gateway. 3.0 answers carry
// the integer ID first and the UUID last; 3.1 has UUIDs alone.
package xpm

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/concord-suite/concord/sim/faults"
	"github.com/concord-suite/concord/sim/gateway"
	"github.com/concord-suite/concord/sim/world"
	"github.com/concord-suite/concord/sim/xmltree"
)

// maxBody is the provider's limit for a request: 3.5 MB.
const maxBody = 3_500_000

// Service answers the practice API.
type Service struct {
	store *world.Store
}

// New returns the API over a world.
func New(store *world.Store) *Service { return &Service{store: store} }

// Scopes is what the gateway asks of a token for a request: reading is open to the .read scope.
func Scopes(r *http.Request) []string {
	area := "client"
	switch {
	case strings.Contains(r.URL.Path, "/staff.api/"):
		area = "staff"
	case strings.Contains(r.URL.Path, "/job.api/"):
		area = "job"
	}
	write := "practicemanager." + area
	if r.Method == http.MethodGet {
		return []string{"practicemanager", "practicemanager.read", write, write + ".read"}
	}
	return []string{"practicemanager", write}
}

// failure is a business error; its text is what the caller reads.
type failure struct {
	text   string
	status int // 200 unless said otherwise
}

func (f failure) Error() string { return f.text }

func fail(text string) error { return failure{text: text, status: http.StatusOK} }

var (
	errClient  = fail("Invalid client identifier")
	errContact = fail("Invalid contact identifier")
	errGroup   = fail("Invalid client group identifier")
	errField   = fail("Invalid custom field identifier")
	errStaff   = fail("Invalid staff identifier")
)

// call is one request on its way to an answer.
type call struct {
	*http.Request
	tenant string
	v30    bool
	fault  *world.Fault
	body   *xmltree.Node
}

// content writes what stands between <Status> and </Response>.
type content func(w *writer)

type operation func(s *Service, c *call) (content, error)

// Handler returns the API. It expects to stand behind gateway.Wrap.
func (s *Service) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, route := range routes {
		method, path, _ := strings.Cut(route.pattern, " ")
		mux.HandleFunc(method+" /practicemanager/{version}/"+path, s.serve(route))
	}
	mux.HandleFunc("/practicemanager/", func(w http.ResponseWriter, _ *http.Request) {
		gateway.Problem(w, http.StatusNotFound, "Resource not found")
	})
	return mux
}

// route is one endpoint: method and path, the name it goes by in the answer, and what it does.
type route struct {
	pattern string
	name    string
	run     operation
}

var routes = []route{
	{"GET client.api/list", "List", (*Service).listClients},
	{"GET client.api/paged-list", "PagedList", (*Service).pageClients},
	{"GET client.api/search", "Search", (*Service).searchClients},
	{"GET client.api/get/{id}", "Get", (*Service).getClient},
	{"POST client.api/add", "Add", (*Service).addClient},
	{"PUT client.api/update", "Update", (*Service).updateClient},
	{"PUT client.api/archive", "Archive", (*Service).archiveClient},
	{"POST client.api/delete", "Delete", (*Service).deleteClient},

	{"GET client.api/contacts", "Contacts", (*Service).pageContacts},
	{"GET client.api/contact/{id}", "Contact", (*Service).getContact},
	{"PUT client.api/contact/{id}", "Contact", (*Service).updateContact},
	{"DELETE client.api/contact/{id}", "Contact", (*Service).deleteContact},
	{"POST client.api/contact", "Contact", (*Service).addContact},
	{"POST client.api/client/{id}/contacts", "Contacts", (*Service).linkContacts},

	{"POST client.api/addrelationship", "AddRelationship", (*Service).addRelationship},
	{"PUT client.api/updaterelationship", "UpdateRelationship", (*Service).updateRelationship},
	{"POST client.api/updaterelationship", "UpdateRelationship", (*Service).updateRelationship}, // 3.0
	{"POST client.api/deleterelationship", "DeleteRelationship", (*Service).deleteRelationship},

	{"GET clientgroup.api/list", "List", (*Service).listGroups},
	{"GET clientgroup.api/get/{id}", "Get", (*Service).getGroup},
	{"POST clientgroup.api/add", "Add", (*Service).addGroup},
	{"PUT clientgroup.api/members", "Members", (*Service).changeMembers},
	{"POST clientgroup.api/delete", "Delete", (*Service).deleteGroup},

	{"GET customfield.api/definition", "Definition", (*Service).listFields},
	{"GET customfield.api/get/{id}", "Get", (*Service).getField},
	{"POST customfield.api/add", "Add", (*Service).addField},
	{"PUT customfield.api/update", "Update", (*Service).updateField},
	{"POST customfield.api/delete", "Delete", (*Service).deleteField},
	{"GET client.api/get/{id}/customfield", "CustomField", (*Service).clientFields},
	{"PUT client.api/update/{id}/customfield", "CustomField", (*Service).setClientFields},
	{"GET client.api/contact/{id}/customfield", "CustomField", (*Service).contactFields},
	{"PUT client.api/contact/{id}/customfield", "CustomField", (*Service).setContactFields},

	{"GET staff.api/list", "List", (*Service).listStaff},
	{"GET staff.api/get/{id}", "Get", (*Service).getStaff},

	// The simulated practices have no jobs: every job number is unknown to them.
	{"POST job.api/delete", "Delete", (*Service).deleteJob},
	{"PUT job.api/state", "State", (*Service).changeJobState},
}

func (s *Service) serve(rt route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		version := r.PathValue("version")
		if version != "3.0" && version != "3.1" {
			gateway.Problem(w, http.StatusNotFound, "Resource not found")
			return
		}
		c := &call{Request: r, tenant: gateway.CallOf(r.Context()).Tenant, v30: version == "3.0", fault: faults.Of(r.Context())}
		if c.fault != nil && c.fault.Kind == faults.WrongTenant {
			c.tenant = s.otherPractice(c)
		}
		body, err := c.read(w)
		if err == nil {
			var inner content
			if inner, err = rt.run(s, body); err == nil {
				answer(w, http.StatusOK, body.v30, rt.name, inner)
				return
			}
		}
		var business failure
		if !errors.As(err, &business) {
			gateway.Problem(w, http.StatusInternalServerError, err.Error())
			return
		}
		answer(w, business.status, c.v30, rt.name, func(w *writer) { w.text("ErrorDescription", business.text) }, "ERROR")
	}
}

// read decodes the body, whatever content type it claims: the recorded clients sent XML as a form.
func (c *call) read(w http.ResponseWriter) (*call, error) {
	if c.Method == http.MethodGet || c.Method == http.MethodDelete {
		return c, nil
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, c.Body, maxBody))
	if err != nil {
		return c, failure{"The request is larger than 3.5 MB or broke off", http.StatusRequestEntityTooLarge}
	}
	if c.body, err = xmltree.Parse(raw); err != nil {
		return c, failure{"The request is not well-formed XML: " + err.Error(), http.StatusInternalServerError}
	}
	return c, nil
}

func answer(w http.ResponseWriter, status int, v30 bool, name string, inner content, outcome ...string) {
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	w.WriteHeader(status)
	out := newWriter(w, v30)
	out.raw(fmt.Sprintf(`<Response api-method="%s">`, name))
	if len(outcome) == 0 {
		outcome = []string{"OK"}
	}
	out.text("Status", outcome[0])
	if inner != nil {
		inner(out)
	}
	out.close("Response")
	_ = out.out.Flush() // an error here means the caller has gone
}

// otherPractice returns a practice that is not the caller's.
func (s *Service) otherPractice(c *call) string {
	other := c.fault.Other
	s.store.View(func(st *world.State) {
		for id, t := range st.Tenants.All() {
			if other == "" && id != c.tenant && t.Type == world.TypePractice {
				other = id
			}
		}
	})
	if other == "" {
		return c.tenant
	}
	return other
}

// query reads a parameter without regard to the case of its name, as the provider does.
func (c *call) query(name string) string {
	for key, values := range c.URL.Query() {
		if strings.EqualFold(key, name) && len(values) > 0 {
			return values[0]
		}
	}
	return ""
}

// identifier returns what names the record of a request: its UUID, or in 3.0 its ID.
func identifier(n *xmltree.Node) string {
	if id, ok := n.Value("UUID"); ok && id != "" {
		return id
	}
	id, _ := n.Value("ID")
	return id
}

// lookup finds a row of the call's tenant by UUID, or in 3.0 by integer id.
func lookup[T any](c *call, t *world.Table[T], id string, keys func(*T) (tenant string, id int)) *T {
	if row := t.Get(strings.ToLower(id)); row != nil {
		if tenant, _ := keys(row); tenant == c.tenant {
			return row
		}
		return nil
	}
	n, err := strconv.Atoi(id)
	if err != nil || n <= 0 || !c.v30 {
		return nil
	}
	for _, row := range t.All() {
		if tenant, number := keys(row); tenant == c.tenant && number == n {
			return row
		}
	}
	return nil
}

func (c *call) client(st *world.State, id string) *world.Client {
	found := lookup(c, st.Clients, id, func(r *world.Client) (string, int) { return r.Tenant, r.ID })
	if found != nil && found.Purged {
		return nil
	}
	return found
}

func (c *call) contact(st *world.State, id string) *world.Contact {
	found := lookup(c, st.Contacts, id, func(r *world.Contact) (string, int) { return r.Tenant, r.ID })
	if found != nil && found.Deleted {
		return nil
	}
	return found
}

func (c *call) group(st *world.State, id string) *world.Group {
	return lookup(c, st.Groups, id, func(r *world.Group) (string, int) { return r.Tenant, r.ID })
}
