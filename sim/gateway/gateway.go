// Package gateway is what stands before every API of the simulated provider: the check of the bearer
// token and its scope, of the tenant and of what the person may do there, and the call limits.
//
// Its errors are JSON in the recorded shape, or nothing at all for 429, whatever the API behind
// speaks.
package gateway

import (
	"context"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/concord-suite/concord/sim/world"
)

// Bearer is what an access token says.
type Bearer struct {
	App    string
	Person string
	Scope  []string
}

// Verifier checks access tokens. The error's text goes into the answer.
type Verifier interface {
	Verify(token string) (Bearer, error)
}

// Call is an admitted API call.
type Call struct {
	Bearer
	Tenant string
}

type callKey struct{}

// CallOf returns the call a handler behind Wrap serves.
func CallOf(ctx context.Context) Call {
	call, _ := ctx.Value(callKey{}).(Call)
	return call
}

// Gateway guards APIs.
type Gateway struct {
	store  *world.Store
	tokens Verifier
	limits limits
}

// New returns a gateway. factor is how much faster than real time limit windows pass; below or at 0
// means 1.
func New(store *world.Store, tokens Verifier, factor float64) *Gateway {
	if factor <= 0 {
		factor = 1
	}
	return &Gateway{store: store, tokens: tokens, limits: limits{
		store: store, factor: factor, running: map[string]int{}, peak: map[string]int{},
	}}
}

// Scopes says which scopes open a request; any one of them is enough.
type Scopes func(*http.Request) []string

// Wrap guards next.
func (g *Gateway) Wrap(scopes Scopes, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Correlate(w)
		bearer, ok := g.Authenticate(w, r)
		if !ok {
			return
		}
		if !slices.ContainsFunc(scopes(r), func(s string) bool { return slices.Contains(bearer.Scope, s) }) {
			Problem(w, http.StatusUnauthorized, DetailAuthorization)
			return
		}
		tenant := r.Header.Get("xero-tenant-id")
		if detail := g.forbidden(bearer, tenant); detail != "" {
			g.refuseTenant(w, bearer.App, detail)
			return
		}
		g.serve(w, r, Call{Bearer: bearer, Tenant: strings.ToLower(tenant)}, next)
	})
}

// Authenticate checks the bearer token and answers 401 itself if it is not good.
func (g *Gateway) Authenticate(w http.ResponseWriter, r *http.Request) (Bearer, bool) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		Problem(w, http.StatusUnauthorized, DetailAuthentication)
		return Bearer{}, false
	}
	bearer, err := g.tokens.Verify(token)
	if err != nil {
		Problem(w, http.StatusUnauthorized, err.Error())
		return Bearer{}, false
	}
	return bearer, true
}

// forbidden says why the person may not use the tenant through this app, or "".
func (g *Gateway) forbidden(b Bearer, tenant string) (detail string) {
	tenant = strings.ToLower(tenant)
	g.store.View(func(s *world.State) {
		person, row := s.People.Get(b.Person), s.Tenants.Get(tenant)
		if person == nil || row == nil || person.Role(tenant) == nil || !connected(s, b, tenant) {
			detail = DetailAuthentication
			return
		}
		if row.Type == world.TypePractice && !person.Role(tenant).FullAccess {
			detail = DetailAuthorization
		}
	})
	return detail
}

func connected(s *world.State, b Bearer, tenant string) bool {
	for _, c := range s.Connections.All() {
		if c.App == b.App && c.Person == b.Person && c.Tenant == tenant {
			return true
		}
	}
	return false
}

// refuseTenant answers 403. As recorded, it tells what remains for the app and nothing of the tenant.
func (g *Gateway) refuseTenant(w http.ResponseWriter, app, detail string) {
	v, err := g.limits.admitApp(app)
	if err != nil {
		Problem(w, http.StatusInternalServerError, err.Error())
		return
	}
	v.headers(w.Header())
	if v.limit != "" {
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	Problem(w, http.StatusForbidden, detail)
}

func (g *Gateway) serve(w http.ResponseWriter, r *http.Request, call Call, next http.Handler) {
	entered := g.limits.enter(call.Tenant, g.store.Rules().Concurrent)
	if entered {
		defer g.limits.leave(call.Tenant)
	}
	v, err := g.limits.admit(call.App, call.Tenant, Endpoint(r), !entered)
	if err != nil {
		Problem(w, http.StatusInternalServerError, err.Error())
		return
	}
	v.headers(w.Header())
	if v.limit != "" {
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callKey{}, call)))
}

var (
	identifier = regexp.MustCompile(`/([0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|\d+)(/|$)`)
	apiPrefix  = regexp.MustCompile(`^/[a-z.]+/\d+\.\d+/`)
)

// Endpoint names a request without its identifiers and version: "GET client.api/get/{id}".
func Endpoint(r *http.Request) string {
	path := apiPrefix.ReplaceAllString(r.URL.Path, "")
	return r.Method + " " + identifier.ReplaceAllString("/"+path, "/{id}$3")[1:]
}

// Peaks returns the most calls each tenant ever had in progress at once, since the start or Reset.
func (g *Gateway) Peaks() map[string]int {
	g.limits.mu.Lock()
	defer g.limits.mu.Unlock()
	peaks := make(map[string]int, len(g.limits.peak))
	for tenant, n := range g.limits.peak {
		peaks[tenant] = n
	}
	return peaks
}

// ResetPeaks forgets the peaks.
func (g *Gateway) ResetPeaks() {
	g.limits.mu.Lock()
	defer g.limits.mu.Unlock()
	clear(g.limits.peak)
}
