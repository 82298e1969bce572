// Package accounting is the simulated Xero Accounting API, version 2.0, as far as contacts go: contacts,
// contact groups and the organisation itself.
//
// It speaks JSON. Dates are "/Date(ms+0000)/", lists come in an envelope, and what is wrong with data is
// told as a ValidationException with status 400. Tokens, tenants and limits are package gateway's.
package accounting

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/concord-suite/concord/sim/faults"
	"github.com/concord-suite/concord/sim/gateway"
	"github.com/concord-suite/concord/sim/world"
)

const (
	root = "/api.xro/2.0/"
	// maxBody is the provider's limit for a request: 3.5 MB.
	maxBody = 3_500_000
	// maxKey is the longest idempotency key, in characters.
	maxKey = 128
)

// Service answers the accounting API.
type Service struct {
	store *world.Store
}

// New returns the API over a world.
func New(store *world.Store) *Service { return &Service{store: store} }

// Scopes is what the gateway asks of a token for a request: reading is open to the .read scope.
func Scopes(r *http.Request) []string {
	area := "accounting.contacts"
	if strings.HasPrefix(r.URL.Path, root+"Organisation") {
		area = "accounting.settings"
	}
	if r.Method == http.MethodGet {
		return []string{area, area + ".read"}
	}
	return []string{area}
}

// call is one request on its way to an answer.
type call struct {
	*http.Request
	tenant string
	app    string
	fault  *world.Fault
	body   []byte
}

// reply is a successful answer: a status without a body, or what goes into the envelope.
type reply struct {
	status int // 200 unless said otherwise; others have no body
	envelope
}

type (
	read  func(s *Service, c *call) (reply, error)
	write func(tx *world.Tx, c *call) (reply, error)
)

// Handler returns the API. It expects to stand behind gateway.Wrap.
func (s *Service) Handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, f := range map[string]read{
		"GET Contacts":           (*Service).listContacts,
		"GET Contacts/{id}":      (*Service).getContact,
		"GET ContactGroups":      (*Service).listGroups,
		"GET ContactGroups/{id}": (*Service).getGroup,
		"GET Organisation":       (*Service).organisation,
		"GET Organisations":      (*Service).organisation,
	} {
		mux.HandleFunc(rooted(pattern), s.serve(func(c *call) (int, []byte, error) { return s.answer(c, f) }))
	}
	for pattern, f := range map[string]write{
		"PUT Contacts":                              createContacts,
		"POST Contacts":                             saveContacts,
		"POST Contacts/{id}":                        updateContact,
		"PUT ContactGroups":                         createGroups,
		"POST ContactGroups/{id}":                   updateGroup,
		"PUT ContactGroups/{id}/Contacts":           addMembers,
		"DELETE ContactGroups/{id}/Contacts":        removeMembers,
		"DELETE ContactGroups/{id}/Contacts/{each}": removeMembers,
	} {
		mux.HandleFunc(rooted(pattern), s.serve(func(c *call) (int, []byte, error) { return s.commit(c, f) }))
	}
	mux.HandleFunc("/api.xro/", func(w http.ResponseWriter, _ *http.Request) { errNotFound.answer(w) })
	return mux
}

func rooted(pattern string) string {
	method, path, _ := strings.Cut(pattern, " ")
	return method + " " + root + path
}

func (s *Service) serve(f func(*call) (status int, body []byte, err error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := s.begin(w, r)
		if err != nil {
			refuse(w, err)
			return
		}
		status, body, err := f(c)
		if err != nil {
			refuse(w, err)
			return
		}
		send(w, status, body)
	}
}

// begin makes a call of a request.
func (s *Service) begin(w http.ResponseWriter, r *http.Request) (*call, error) {
	admitted := gateway.CallOf(r.Context())
	c := &call{Request: r, tenant: admitted.Tenant, app: admitted.App, fault: faults.Of(r.Context())}
	s.store.View(func(st *world.State) {
		if app := st.Apps.Get(admitted.App); app != nil {
			c.app = app.Name
		}
		if t := st.Tenants.Get(c.tenant); t == nil || t.Type != world.TypeOrganisation {
			c.tenant = "" // a practice has no books
		}
		if c.fault != nil && c.fault.Kind == faults.WrongTenant {
			c.tenant = otherOrganisation(st, c)
		}
	})
	if c.tenant == "" {
		return nil, failure{status: http.StatusForbidden, detail: gateway.DetailAuthentication}
	}
	if !strings.Contains(r.Header.Get("Accept"), "json") {
		return nil, failure{status: http.StatusNotAcceptable, text: "The provider answers XML to this request; the simulated one speaks JSON alone: send Accept: application/json"}
	}
	return c, c.read(w)
}

// read takes the body in, for a request that has one.
func (c *call) read(w http.ResponseWriter) error {
	if c.Method == http.MethodGet || c.Method == http.MethodDelete {
		return nil
	}
	if kind, _, err := mime.ParseMediaType(c.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return failure{status: http.StatusUnsupportedMediaType, text: "The simulated provider takes JSON alone: send Content-Type: application/json"}
	}
	var err error
	if c.body, err = io.ReadAll(http.MaxBytesReader(w, c.Body, maxBody)); err != nil {
		return failure{status: http.StatusRequestEntityTooLarge, detail: "The request is larger than 3.5 MB or broke off"}
	}
	return nil
}

func otherOrganisation(st *world.State, c *call) string {
	if c.fault.Other != "" {
		return c.fault.Other
	}
	for id, t := range st.Tenants.All() {
		if id != c.tenant && t.Type == world.TypeOrganisation {
			return id
		}
	}
	return c.tenant
}

func (s *Service) answer(c *call, f read) (status int, body []byte, err error) {
	r, err := f(s, c)
	if err != nil {
		return 0, nil, err
	}
	return render(c, s.store.Now(), r)
}

// commit runs a write with the memory of its idempotency key: the answer and the effect reach the disk
// together, so a repeated request finds either both or neither.
func (s *Service) commit(c *call, f write) (status int, body []byte, err error) {
	key := c.Header.Get("Idempotency-Key")
	if len(key) > maxKey {
		return 0, nil, invalid(fmt.Sprintf("The idempotency key is longer than %d characters.", maxKey))
	}
	err = s.store.Update(func(tx *world.Tx) error {
		id, request := remembered(c, key), fingerprint(c)
		if old := tx.Remembered.Get(id); key != "" && old != nil && tx.Now.Sub(old.At) < tx.Rules().Remember.Duration() {
			if old.Request != request {
				return invalid("The idempotency key was used for a different request.")
			}
			status, body = old.Status, old.Body
			return nil
		}
		answer, err := f(tx, c)
		if err != nil {
			return err
		}
		if status, body, err = render(c, tx.Now, answer); err == nil && key != "" {
			forget(tx)
			tx.Remembered.Put(tx, id, &world.Remembered{Request: request, Status: status, Body: body, At: tx.Now})
		}
		return err
	})
	return status, body, err
}

// forget drops the answers that are no longer remembered.
func forget(tx *world.Tx) {
	for id, old := range tx.Remembered.All() {
		if tx.Now.Sub(old.At) >= tx.Rules().Remember.Duration() {
			tx.Remembered.Delete(tx, id)
		}
	}
}

func remembered(c *call, key string) string {
	return gateway.CallOf(c.Context()).App + " " + c.tenant + " " + key
}

func fingerprint(c *call) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %q", c.Method, c.URL.RequestURI(), c.body))
	return hex.EncodeToString(sum[:])
}

// render writes the envelope around an answer.
func render(c *call, now time.Time, r reply) (int, []byte, error) {
	if r.status != 0 {
		return r.status, nil, nil
	}
	r.envelope.ID, r.envelope.Status, r.envelope.ProviderName = world.NewID(), "OK", c.app
	r.envelope.DateTimeUTC = fmt.Sprintf("/Date(%d)/", now.UnixMilli())
	body, err := json.Marshal(r.envelope)
	return http.StatusOK, body, err
}
