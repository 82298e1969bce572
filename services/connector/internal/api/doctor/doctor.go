// Package doctor looks at a connection from all sides and says in sentences what is well, what is not, and what to do.
//
// It changes nothing. What it knows by itself it reads in one transaction; of the provider it asks two things at most, who
// is connected and whether calls are allowed, in the lane for people. Whoever does not answer within its time is a finding
// like any other.
package doctor

import (
	"context"
	"slices"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"

	"github.com/concord-suite/concord/services/connector/internal/connection"
	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/provider/budget"
	"github.com/concord-suite/concord/services/connector/internal/provider/custody"
	"github.com/concord-suite/concord/services/connector/internal/provider/upstream"
	"github.com/concord-suite/concord/services/connector/internal/store"
)

// Level is how bad a finding is.
type Level int

// The levels.
const (
	// OK is as it should be.
	OK Level = iota
	// Warning works, and will not for ever, or not in every way.
	Warning
	// Problem does not work.
	Problem
)

// Finding is one thing that was looked at.
type Finding struct {
	// Subject is a word for programs.
	Subject string
	Level   Level
	// Description says what was found, Action what to do; empty when there is nothing to do.
	Description, Action string
}

// The subjects, in the order they are told in.
const (
	State         = "STATE"
	Consent       = "CONSENT"
	Scopes        = "SCOPES"
	Tenant        = "TENANT"
	Privileges    = "PRIVILEGES"
	LastSuccess   = "LAST_SUCCESS"
	Calls         = "CALLS"
	Options       = "OPTIONS"
	TwoFactor     = "TWO_FACTOR"
	OtherConsents = "OTHER_CONSENTS"
	Chores        = "CHORES"
)

// Policy is what auth says about a firm.
type Policy struct {
	Enforced bool
	// RequiredBy are the names of the connections that require it.
	RequiredBy []string
}

// Doctor looks at connections.
type Doctor struct {
	DB        *sqldb.DB
	Providers provider.Registry
	Upstream  *upstream.Upstream
	Custody   *custody.Custodian
	// Policy asks auth about a firm; nil where auth can't be asked.
	Policy func(ctx context.Context, firm string) (Policy, error)
	Now    func() time.Time
}

const (
	// ownWait bounds the reading of what the doctor knows by itself, which takes milliseconds.
	ownWait = 5 * time.Second
	// askWait bounds what is asked of auth and of the provider together: a person waits, and an answer to a small question
	// that takes longer is one that does not come.
	askWait = 15 * time.Second
)

// chart is what is known of a connection.
type chart struct {
	connection.Connection
	def        provider.Definition
	configured bool
	// grant is nil when there is none.
	grant   *store.Grant
	waiting []store.Waiting
	shared  int
	now     time.Time
}

// Examine looks at a connection. The error is the database's: without the connection's row there is nothing to look at.
func (d *Doctor) Examine(ctx context.Context, ref connection.Ref) (connection.Connection, []Finding, error) {
	c, err := d.read(ctx, ref)
	if err != nil {
		return c.Connection, nil, err
	}
	found := c.own()
	ask, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	if c.Usable() && c.configured && c.grant != nil && c.grant.Usable() {
		found = append(found, d.ask(ask, c)...)
	}
	if c.Live() && c.State != connection.Legacy {
		found = append(found, d.twoFactor(ask, c))
	}
	slices.SortStableFunc(found, func(a, b Finding) int { return int(b.Level) - int(a.Level) })
	return c.Connection, found, nil
}

func (d *Doctor) read(ctx context.Context, ref connection.Ref) (c chart, err error) {
	ctx, cancel := context.WithTimeout(ctx, ownWait)
	defer cancel()
	c.now = d.Now()
	err = d.DB.Read(ctx, func(tx *sqldb.Tx) error {
		if c.Connection, err = store.ConnectionByID(tx, ref, false); err != nil {
			return err
		}
		if c.Grant != "" {
			g, err := store.GrantByID(tx, c.Grant, false)
			if err != nil {
				return err
			}
			c.grant = &g
		}
		if c.waiting, err = store.WaitingChores(tx, ref); err != nil {
			return err
		}
		c.shared, err = store.TenantShared(tx, c.Provider, c.TenantID, c.ID)
		return err
	})
	c.def, c.configured = d.Providers[c.Provider]
	return c, err
}

// key is whose limits count.
func (c chart) key() budget.Key { return budget.Key{App: c.def.App, Tenant: c.TenantID} }

// noun is the provider's word for the tenant.
func (c chart) noun() string {
	if c.def.TenantNoun == "" {
		return "tenant"
	}
	return c.def.TenantNoun
}
