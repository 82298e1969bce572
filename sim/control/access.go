package control

import (
	"fmt"
	"strings"

	"github.com/concord-suite/concord/sim/identity"
	"github.com/concord-suite/concord/sim/practice"
	"github.com/concord-suite/concord/sim/world"
)

type newPractice struct {
	Name    string `json:"name"`
	Clients int    `json:"clients"`
	Seed    uint64 `json:"seed"`
	// Path reads the practice from files instead, as the flag -practice does.
	Path string `json:"path"`
}

// maxClients is far above any practice; beyond it the world would need gigabytes.
const maxClients = 200_000

func (a *API) addPractice(n newPractice) (any, error) {
	if n.Path == "" && (n.Name == "" || n.Clients < 0 || n.Clients > maxClients) {
		return nil, bad("give a name and 0 to %d clients, or a path", maxClients)
	}
	data, err := makePractice(a.store, n)
	if err != nil {
		return nil, bad("%v", err)
	}
	err = a.store.Update(func(tx *world.Tx) error {
		if tx.Tenants.Get(data.Tenant.ID) != nil {
			return problem{409, fmt.Sprintf("the practice %s is already there", data.Tenant.ID)}
		}
		data.Store(tx)
		return nil
	})
	return data.Tenant, err
}

func makePractice(store *world.Store, n newPractice) (*practice.Data, error) {
	if n.Path != "" {
		return practice.Read(n.Path, store.Now())
	}
	return practice.Generate(n.Name, n.Clients, n.Seed, store.Now()), nil
}

// putPerson adds a person, or replaces the one with that id.
func (a *API) putPerson(p world.Person) (any, error) {
	if p.Name == "" || !strings.Contains(p.Email, "@") {
		return nil, bad("a person needs a name and an email")
	}
	p.ID = strings.ToLower(p.ID)
	if p.ID == "" {
		p.ID = world.NewID()
	}
	err := a.store.Update(func(tx *world.Tx) error {
		for i := range p.Members {
			id, err := tenant(tx.State, p.Members[i].Tenant)
			if err != nil {
				return err
			}
			p.Members[i].Tenant = id
		}
		tx.People.Put(tx, p.ID, &p)
		return nil
	})
	return p, err
}

// putApp registers a client application, or replaces the one with that client_id.
func (a *API) putApp(app world.App) (any, error) {
	if app.ClientID == "" || app.Name == "" {
		return nil, bad("an app needs a client_id and a name")
	}
	return app, a.store.Update(func(tx *world.Tx) error {
		tx.Apps.Put(tx, app.ClientID, &app)
		return nil
	})
}

type disconnection struct {
	App    string `json:"app"`    // client_id; empty: every app
	Person string `json:"person"` // id; empty: everybody
	// Tenant takes away the connections of one tenant; without it the grants go too, as after
	// "disconnect" in the provider's own pages.
	Tenant string `json:"tenant"`
}

func (a *API) disconnect(d disconnection) (any, error) {
	return nil, a.store.Update(func(tx *world.Tx) error {
		for id, c := range tx.Connections.All() {
			if (d.App != "" && d.App != c.App) || (d.Person != "" && d.Person != c.Person) ||
				(d.Tenant != "" && !strings.EqualFold(d.Tenant, c.Tenant)) {
				continue
			}
			tx.Connections.Delete(tx, id)
			if d.Tenant == "" {
				identity.Forget(tx, c.App, c.Person)
			}
		}
		return nil
	})
}

// newSettings are the settings that can be changed; what is not given stays.
type newSettings struct {
	AccessTTL    *world.Duration `json:"access_ttl"`
	RefreshTTL   *world.Duration `json:"refresh_ttl"`
	RefreshGrace *world.Duration `json:"refresh_grace"`
	CodeTTL      *world.Duration `json:"code_ttl"`
	Remember     *world.Duration `json:"remember"`
	NotModified  *bool           `json:"not_modified"`
	PerMinute    *int            `json:"per_minute"`
	PerDay       *int            `json:"per_day"`
	Concurrent   *int            `json:"concurrent"`
	AppPerMinute *int            `json:"app_per_minute"`
}

func (a *API) settings(n newSettings) (any, error) {
	var rules world.Settings
	err := a.store.Update(func(tx *world.Tx) error {
		rules = tx.Rules()
		for target, value := range map[*world.Duration]*world.Duration{&rules.AccessTTL: n.AccessTTL,
			&rules.RefreshTTL: n.RefreshTTL, &rules.RefreshGrace: n.RefreshGrace, &rules.CodeTTL: n.CodeTTL,
			&rules.Remember: n.Remember} {
			if value != nil {
				*target = *value
			}
			if *target < 0 {
				return bad("a duration must not be negative")
			}
		}
		for target, value := range map[*int]*int{&rules.PerMinute: n.PerMinute, &rules.PerDay: n.PerDay,
			&rules.Concurrent: n.Concurrent, &rules.AppPerMinute: n.AppPerMinute} {
			if value != nil {
				*target = *value
			}
			if *target < 1 {
				return bad("a limit must be at least 1")
			}
		}
		if n.NotModified != nil {
			rules.NotModified = *n.NotModified
		}
		tx.Settings.Put(tx, world.SettingsKey, &rules)
		return nil
	})
	rules.SigningKey = nil
	return rules, err
}

type clockChange struct {
	// Advance moves the world's clock forward. It cannot go back.
	Advance world.Duration `json:"advance"`
}

func (a *API) clock(c clockChange) (any, error) {
	if c.Advance < 0 {
		return nil, bad("the clock cannot go back")
	}
	err := a.store.Update(func(tx *world.Tx) error {
		rules := tx.Rules()
		rules.ClockAhead += c.Advance
		tx.Settings.Put(tx, world.SettingsKey, &rules)
		return nil
	})
	return map[string]any{"now": a.store.Now()}, err
}
