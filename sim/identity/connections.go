package identity

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/concord-suite/concord/sim/gateway"
	"github.com/concord-suite/concord/sim/world"
)

// stamp is the provider's form of a time here: seven fraction digits and no zone.
const stamp = "2006-01-02T15:04:05.0000000"

type connectionAnswer struct {
	ID         string `json:"id"`
	AuthEvent  string `json:"authEventId"`
	TenantID   string `json:"tenantId"`
	TenantType string `json:"tenantType"`
	TenantName string `json:"tenantName"`
	Created    string `json:"createdDateUtc"`
	Updated    string `json:"updatedDateUtc"`
}

func find(st *world.State, app, person, tenant string) *world.Connection {
	for _, c := range st.Connections.All() {
		if c.App == app && c.Person == person && c.Tenant == tenant {
			return c
		}
	}
	return nil
}

// connections lists everything the person connected through the app, oldest first.
func (s *Service) connections(guard *gateway.Gateway) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		bearer, ok := guard.Authenticate(w, r)
		if !ok {
			return
		}
		event := r.URL.Query().Get("authEventId")
		list := []connectionAnswer{}
		s.store.View(func(st *world.State) {
			for _, c := range st.Connections.All() {
				t := st.Tenants.Get(c.Tenant)
				if t == nil || c.App != bearer.App || c.Person != bearer.Person ||
					event != "" && !strings.EqualFold(event, c.AuthEvent) {
					continue
				}
				list = append(list, connectionAnswer{ID: c.ID, AuthEvent: c.AuthEvent, TenantID: t.ID, TenantType: t.Type,
					TenantName: t.Name, Created: format(c.Created), Updated: format(c.Updated)})
			}
		})
		slices.SortFunc(list, func(a, b connectionAnswer) int { return strings.Compare(a.Created+a.ID, b.Created+b.ID) })
		writeJSON(w, http.StatusOK, list)
	}
}

func (s *Service) disconnect(guard *gateway.Gateway) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		bearer, ok := guard.Authenticate(w, r)
		if !ok {
			return
		}
		gone := false
		err := s.store.Update(func(tx *world.Tx) error {
			c := tx.Connections.Get(strings.ToLower(r.PathValue("id")))
			if gone = c != nil && c.App == bearer.App && c.Person == bearer.Person; gone {
				tx.Connections.Delete(tx, c.ID)
			}
			return nil
		})
		switch {
		case err != nil:
			gateway.Problem(w, http.StatusInternalServerError, err.Error())
		case !gone:
			gateway.Problem(w, http.StatusNotFound, "NotFound")
		default:
			gateway.Correlate(w)
			w.WriteHeader(http.StatusNoContent)
		}
	}
}

func format(t time.Time) string { return t.UTC().Format(stamp) }
