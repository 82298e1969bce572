package identity

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/concord-suite/concord/sim/world"
)

// sessionCookie holds the provider's own sign-in, not the client application's.
const sessionCookie = "sim-identity-session"

// request is a checked authorization request.
type request struct {
	app       *world.App
	redirect  string
	state     string
	scope     []string
	challenge string
	nonce     string
	query     string // the whole request again, for the forms
}

// parse checks an authorization request. The provider shows its own page for anything wrong and does
// not redirect, since nothing in the request can be trusted then; the text says what is wrong.
func (s *Service) parse(query string) (request, string) {
	q, err := url.ParseQuery(query)
	if err != nil {
		return request{}, "invalid_request: the query cannot be read"
	}
	req := request{
		app: s.app(q.Get("client_id")), redirect: q.Get("redirect_uri"), state: q.Get("state"), nonce: q.Get("nonce"),
		scope: strings.Fields(q.Get("scope")), challenge: q.Get("code_challenge"), query: q.Encode(),
	}
	method := q.Get("code_challenge_method")
	switch {
	case req.app == nil:
		return req, "unauthorized_client: unknown client_id"
	case !allowsRedirect(req.app, req.redirect):
		return req, "invalid_request: this redirect_uri is not registered for the app"
	case q.Get("response_type") != "code":
		return req, "unsupported_response_type: only code is supported"
	case len(req.scope) == 0:
		return req, "invalid_scope: no scope was asked for"
	case unknownScope(req.scope) != "":
		return req, "invalid_scope: unknown scope " + unknownScope(req.scope)
	case req.challenge != "" && method != "S256", req.challenge == "" && method != "":
		return req, "invalid_request: code_challenge needs code_challenge_method=S256"
	case req.challenge == "" && req.app.Secret == "":
		return req, "invalid_request: an app without a secret needs code_challenge"
	}
	return req, ""
}

func (s *Service) authorize(w http.ResponseWriter, r *http.Request) {
	req, wrong := s.parse(r.URL.RawQuery)
	if wrong != "" {
		// As the provider does: its error page, with the status of a failure of its own.
		render(w, http.StatusInternalServerError, errorPage, page{Wrong: wrong})
		return
	}
	person := s.signedIn(r)
	if person == nil {
		render(w, http.StatusOK, loginPage, page{App: req.app.Name, Query: req.query, People: s.people()})
		return
	}
	s.showConsent(w, http.StatusOK, req, person, "")
}

func (s *Service) showConsent(w http.ResponseWriter, status int, req request, person *world.Person, wrong string) {
	render(w, status, consentPage, page{
		App: req.app.Name, Query: req.query, Person: person, Scope: req.scope, Wrong: wrong,
		Tenants: s.offers(req, person), Form: s.formToken(person, req.query),
	})
}

// formToken ties a consent form to the person and the request it was shown for, so that another site
// cannot post it.
func (s *Service) formToken(person *world.Person, query string) string {
	return hash(s.signer.kid + "|" + person.ID + "|" + query)[:32]
}

func (s *Service) people() []*world.Person {
	var all []*world.Person
	s.store.View(func(st *world.State) {
		for _, p := range st.People.All() {
			all = append(all, p)
		}
	})
	slices.SortFunc(all, func(a, b *world.Person) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// offer is one line of the consent page.
type offer struct {
	ID, Name, Kind string
	Connected      bool
	// FullAccess is told on the page: a person without it can connect a practice, and then every
	// call is refused.
	FullAccess bool
}

func (s *Service) offers(req request, person *world.Person) []offer {
	var list []offer
	s.store.View(func(st *world.State) {
		for _, role := range person.Members {
			t := st.Tenants.Get(role.Tenant)
			if t == nil || t.Type == world.TypePractice && !wantsPractices(req.scope) ||
				t.Type == world.TypeOrganisation && !wantsOrganisations(req.scope) {
				continue
			}
			list = append(list, offer{ID: t.ID, Name: t.Name, Kind: t.Type,
				Connected:  find(st, req.app.ClientID, person.ID, t.ID) != nil,
				FullAccess: t.Type != world.TypePractice || role.FullAccess})
		}
	})
	slices.SortFunc(list, func(a, b offer) int { return strings.Compare(a.Name+a.ID, b.Name+b.ID) })
	return list
}

func (s *Service) signedIn(r *http.Request) *world.Person {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return nil
	}
	var person *world.Person
	s.store.View(func(st *world.State) {
		if session := st.Sessions.Get(hash(cookie.Value)); session != nil {
			person = st.People.Get(session.Person)
		}
	})
	return person
}

func (s *Service) login(w http.ResponseWriter, r *http.Request) {
	req, wrong := s.parse(r.PostFormValue("query"))
	if wrong != "" {
		render(w, http.StatusBadRequest, errorPage, page{Wrong: wrong})
		return
	}
	person := s.byIDOrEmail(r.PostFormValue("person"))
	if person == nil {
		render(w, http.StatusBadRequest, loginPage, page{App: req.app.Name, Query: req.query,
			People: s.people(), Wrong: "Choose who signs in."})
		return
	}
	value := secret()
	err := s.store.Update(func(tx *world.Tx) error {
		tx.Sessions.Put(tx, hash(value), &world.Session{Person: person.ID, Since: tx.Now})
		return nil
	})
	if err != nil {
		render(w, http.StatusInternalServerError, errorPage, page{Wrong: err.Error()})
		return
	}
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Value: value, Path: "/identity", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, "/identity/connect/authorize?"+req.query, http.StatusFound)
}

func (s *Service) byIDOrEmail(who string) *world.Person {
	for _, p := range s.people() {
		if who != "" && (p.ID == who || strings.EqualFold(p.Email, who)) {
			return p
		}
	}
	return nil
}

func (s *Service) logout(w http.ResponseWriter, r *http.Request) {
	if cookie, err := r.Cookie(sessionCookie); err == nil {
		err := s.store.Update(func(tx *world.Tx) error {
			tx.Sessions.Delete(tx, hash(cookie.Value))
			return nil
		})
		if err != nil {
			render(w, http.StatusInternalServerError, errorPage, page{Wrong: err.Error()})
			return
		}
	}
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Path: "/identity", MaxAge: -1})
	req, wrong := s.parse(r.PostFormValue("query"))
	if wrong != "" {
		render(w, http.StatusOK, errorPage, page{Wrong: "You are signed out."})
		return
	}
	http.Redirect(w, r, "/identity/connect/authorize?"+req.query, http.StatusFound)
}

func (s *Service) consent(w http.ResponseWriter, r *http.Request) {
	req, wrong := s.parse(r.PostFormValue("query"))
	person := s.signedIn(r)
	if wrong == "" && (person == nil || r.PostFormValue("form") != s.formToken(person, req.query)) {
		wrong = "invalid_request: this form was not shown to you; go back and try again"
	}
	if wrong != "" {
		render(w, http.StatusBadRequest, errorPage, page{Wrong: wrong})
		return
	}
	if r.PostFormValue("action") != "allow" {
		answer(w, r, req, url.Values{"error": {"access_denied"}})
		return
	}
	tenant := r.PostFormValue("tenant")
	offered := slices.ContainsFunc(s.offers(req, person), func(o offer) bool { return o.ID == tenant })
	if !offered && (tenant != "" || len(s.offers(req, person)) > 0 || wantsPractices(req.scope) || wantsOrganisations(req.scope)) {
		s.showConsent(w, http.StatusBadRequest, req, person, "Choose what to connect.")
		return
	}
	code, err := s.allow(req, person, tenant)
	if err != nil {
		render(w, http.StatusInternalServerError, errorPage, page{Wrong: err.Error()})
		return
	}
	answer(w, r, req, url.Values{"code": {code}, "scope": {strings.Join(req.scope, " ")}})
}

// allow records the connection and the code of one consent, both under a new authentication event.
func (s *Service) allow(req request, person *world.Person, tenant string) (string, error) {
	code, event := secret(), world.NewID()
	return code, s.store.Update(func(tx *world.Tx) error {
		tx.Codes.Put(tx, hash(code), &world.Code{App: req.app.ClientID, Person: person.ID, AuthEvent: event, AuthTime: tx.Now,
			RedirectURI: req.redirect, Scope: req.scope, Challenge: req.challenge, Nonce: req.nonce, Issued: tx.Now})
		if tenant == "" {
			return nil
		}
		row := world.Connection{ID: world.NewID(), App: req.app.ClientID, Person: person.ID, Tenant: tenant, Created: tx.Now}
		if old := find(tx.State, row.App, row.Person, row.Tenant); old != nil {
			row = *old
		}
		row.AuthEvent, row.Updated = event, tx.Now
		tx.Connections.Put(tx, row.ID, &row)
		return nil
	})
}

// answer sends the browser back to the app.
func answer(w http.ResponseWriter, r *http.Request, req request, result url.Values) {
	if req.state != "" {
		result.Set("state", req.state)
	}
	u, err := url.Parse(req.redirect)
	if err != nil {
		render(w, http.StatusBadRequest, errorPage, page{Wrong: "invalid_request: redirect_uri cannot be read"})
		return
	}
	q := u.Query()
	for k := range result {
		q.Set(k, result.Get(k))
	}
	u.RawQuery = q.Encode()
	http.Redirect(w, r, u.String(), http.StatusFound)
}
