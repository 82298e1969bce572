package sim

import (
	"slices"
	"strings"

	"github.com/concord-suite/concord/sim/practice"
	"github.com/concord-suite/concord/sim/sinks"
	"github.com/concord-suite/concord/sim/world"
)

// The client applications every world knows. Both may be answered at any http://localhost and
// http://127.0.0.1 address. They are no secrets: the world is simulated.
const (
	// ClientID and ClientSecret belong to a confidential app.
	ClientID     = "C0C0C0C0C0C0C0C0C0C0C0C0C0C0C0C0"
	ClientSecret = "simulated-client-secret"
	// PublicClientID belongs to an app that has PKCE instead of a secret.
	PublicClientID = "D0D0D0D0D0D0D0D0D0D0D0D0D0D0D0D0"
)

// The SMS account every world knows.
const (
	SMSAccount = sinks.Account
	SMSToken   = sinks.AuthToken
)

// The people of a new world, by e-mail, which the sign-in page takes in place of an id.
const (
	// Owner is a partner of the practice with every privilege; she can also connect both organisations.
	Owner = "pelva@practice.example"
	// Junior works at the practice and lacks "Authorise 3rd Party Full Access".
	Junior = "umbro@practice.example"
	// Consultant has every privilege in both practices: a person with more than one to choose from.
	Consultant = "sturno@elsewhere.example"
	// Outsider has an organisation and no practice.
	Outsider = "tavi@elsewhere.example"
)

// Names of the tenants of a new world. A practice from a CSV carries the file's name instead.
const (
	PracticeName       = "Simulated Practice"
	SecondPracticeName = "Second Simulated Practice"
	OrganisationName   = "Simulated Trading Ltd"
	SecondOrganisation = "Simulated Charity Inc"
)

// secondPractice is how many clients, and contacts, the other practice and organisation have: enough to be noticed where they do not
// belong.
const secondPractice = 40

// populate fills a new world and registers the apps in any.
func populate(store *world.Store, cfg Config) error {
	fresh := false
	store.View(func(s *world.State) { fresh = s.Tenants.Len() == 0 })
	var first, second *practice.Data
	var organisations []*practice.Organisation
	if fresh {
		first = mainPractice(cfg, store)
		second = practice.Generate(SecondPracticeName, secondPractice, cfg.Seed+1, store.Now())
		organisations = []*practice.Organisation{
			practice.GenerateOrganisation(OrganisationName, cfg.Contacts, cfg.Seed, store.Now()),
			practice.GenerateOrganisation(SecondOrganisation, secondPractice, cfg.Seed+1, store.Now()),
		}
	}
	return store.Update(func(tx *world.Tx) error {
		for _, app := range append(defaultApps(), cfg.Apps...) {
			tx.Apps.Put(tx, app.ClientID, &app)
		}
		putHook(tx, cfg)
		if !fresh {
			return nil
		}
		rules := tx.Rules()
		tx.Settings.Put(tx, world.SettingsKey, &rules)
		first.Store(tx)
		second.Store(tx)
		for _, o := range organisations {
			o.Store(tx)
		}
		addPeople(tx, first, second, organisations)
		return nil
	})
}

// configuredHook is the id of the webhook that comes with the configuration.
const configuredHook = "00000000-0000-4000-8000-000000000001"

// hookBatch is the most events the configured webhook gets at once.
const hookBatch = 25

func putHook(tx *world.Tx, cfg Config) {
	if cfg.WebhookURL == "" {
		return
	}
	h := world.Hook{ID: configuredHook, App: ClientID, URL: cfg.WebhookURL, Key: cfg.WebhookKey, State: world.HookPending, Eager: true, Batch: hookBatch}
	if old := tx.Hooks.Get(h.ID); old != nil {
		h.Last = old.Last
	}
	tx.Hooks.Put(tx, h.ID, &h)
}

func mainPractice(cfg Config, store *world.Store) *practice.Data {
	if cfg.Practice == "" {
		return practice.Generate(PracticeName, cfg.Clients, cfg.Seed, store.Now())
	}
	data := cfg.read
	for i, name := range []string{"Pelva Fictional", "Umbro Fictional"} {
		first, _, _ := strings.Cut(strings.ToLower(name), " ")
		data.Staff = append(data.Staff, &world.Staff{UUID: world.NewID(), ID: i + 1, Tenant: data.Tenant.ID, Name: name, Email: first + "@practice.example"})
	}
	return data
}

func defaultApps() []App {
	return []App{
		{ClientID: ClientID, Secret: ClientSecret, Name: "Concord", Loopback: true},
		{ClientID: PublicClientID, Name: "Concord (public client)", Loopback: true},
	}
}

func addPeople(tx *world.Tx, first, second *practice.Data, organisations []*practice.Organisation) {
	role := func(d *practice.Data, staff int, full bool) world.Role {
		return world.Role{Tenant: d.Tenant.ID, FullAccess: full, Staff: d.Staff[staff].UUID}
	}
	both := []world.Role{{Tenant: organisations[0].Tenant.ID}, {Tenant: organisations[1].Tenant.ID}}
	for _, p := range []world.Person{
		{Name: "Pelva Fictional", Email: Owner, Members: append(slices.Clone(both), role(first, 0, true))},
		{Name: "Umbro Fictional", Email: Junior, Members: []world.Role{role(first, 1, false)}},
		{Name: "Sturno Elsewhere", Email: Consultant, Members: []world.Role{role(first, 0, true), role(second, 0, true)}},
		{Name: "Tavi Elsewhere", Email: Outsider, Members: both[:1]},
	} {
		p.ID = world.NewID()
		tx.People.Put(tx, p.ID, &p)
	}
}
