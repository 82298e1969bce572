package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/concord-suite/concord/services/connector/internal/connection"
	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/provider/budget"
	"github.com/concord-suite/concord/services/connector/internal/provider/custody"
	"github.com/concord-suite/concord/services/connector/internal/provider/upstream"
	"github.com/concord-suite/concord/services/connector/internal/store"
)

// ask tells what the account of calls and the provider say.
func (d *Doctor) ask(ctx context.Context, c chart) []Finding {
	calls, open := d.calls(ctx, c)
	found := []Finding{calls}
	tenant, there := d.tenant(ctx, c)
	found = append(found, tenant)
	switch {
	case !there:
		return found
	case !open:
		return append(found, Finding{Privileges, Warning, "Whether calls are allowed was not tried: the limits let none pass now.", "Look again later."})
	}
	return append(found, d.privileges(ctx, c)...)
}

// calls tells what is left of the limits, and whether a call may be made now.
func (d *Doctor) calls(ctx context.Context, c chart) (Finding, bool) {
	account, l := d.Upstream.Budget(), c.def.Limits
	s, err := account.State(ctx, c.key())
	if err != nil {
		return Finding{Calls, Warning, "The account of calls could not be read in time.", "See how the connector's database is."}, false
	}
	minute, today := account.MinuteLeft(s, l, budget.Interactive), account.DayLeft(s, l, budget.Interactive)
	text := fmt.Sprintf("%d of %d calls are left this minute and %d of %d today.", minute, l.PerMinute, today, l.PerDay)
	for _, b := range []struct {
		by    string
		until string
		on    bool
	}{{s.BlockedBy, moment(s.Blocked), s.Blocked.After(s.At)}, {s.AppBlockedBy, moment(s.AppBlocked), s.AppBlocked.After(s.At)}} {
		if b.on {
			return Finding{Calls, Warning, fmt.Sprintf("The provider asked to wait until %s: its limit %q is used up. %s", b.until, b.by, text),
				"Runs wait and go on by themselves. When it comes again and again, something else uses up the same limits."}, false
		}
	}
	switch left := account.DayLeft(s, l, budget.Background); {
	case today == 0:
		return Finding{Calls, Warning, "The day's calls are used up. " + text, "Runs wait for the next day and go on by themselves."}, false
	case left == 0:
		return Finding{Calls, Warning, "Only calls for people are left today. " + text, "Runs wait for the next day and go on by themselves."}, minute > 0
	}
	return Finding{Calls, OK, text, ""}, minute > 0
}

// tenant looks whether the tenant is still among those the person connected.
func (d *Doctor) tenant(ctx context.Context, c chart) (Finding, bool) {
	token, err := d.Custody.Token(ctx, c.Grant)
	if err != nil {
		return unanswered(Tenant, err), false
	}
	all, err := c.def.Identity.Tenants(ctx, token.Access(), "")
	if err != nil {
		return unanswered(Tenant, err), false
	}
	if (connection.Attempt{Tenants: all}).Tenant(c.TenantID) == nil {
		return Finding{Tenant, Problem, fmt.Sprintf("The %s %s is no longer among those the person connected: somebody removed it at the provider.",
			c.noun(), c.TenantName), again}, false
	}
	return Finding{Tenant, OK, fmt.Sprintf("The %s %s is connected at the provider.", c.noun(), c.TenantName), ""}, true
}

// privileges makes one call that shows whether calls are allowed. Where contact types were chosen that may have gone, it
// is the one that asks for them.
func (d *Doctor) privileges(ctx context.Context, c chart) []Finding {
	caller := d.Upstream.Look(c.Connection, c.def)
	typed, ok := c.def.Adapter.(provider.Typed)
	ok = ok && slices.ContainsFunc(c.Options.ContactTypes, func(id string) bool { return !typed.Lasting(id) })
	var types []provider.ContactType
	var err error
	if ok {
		types, err = typed.ContactTypes(ctx, caller)
	} else {
		err = c.def.Adapter.Probe(ctx, caller)
	}
	switch {
	case errors.Is(err, provider.ErrForbidden):
		return []Finding{{Privileges, Problem, "The provider forbids calls to the person who authorised.", upstream.Lacking(c.def, err)}}
	case errors.Is(err, provider.ErrScope):
		return []Finding{{Privileges, Problem, "The provider says that the consent, or the tier of this installation's app, does not cover calls.",
			"An administrator connects again. When that does not help, whoever runs the installation looks at the app's tier at the provider."}}
	case err != nil:
		return []Finding{unanswered(Privileges, err)}
	}
	return append([]Finding{{Privileges, OK, "Calls are allowed.", ""}}, odd(c, ok, types)...)
}

// odd finds contact types that no longer exist.
func odd(c chart, asked bool, types []provider.ContactType) []Finding {
	if !asked {
		return nil
	}
	n := 0
	for _, id := range c.Options.ContactTypes {
		if !slices.ContainsFunc(types, func(t provider.ContactType) bool { return t.ID == id }) {
			n++
		}
	}
	if n == 0 {
		return []Finding{{Options, OK, "All chosen contact types exist.", ""}}
	}
	return []Finding{{Options, Warning, fmt.Sprintf("%d of the %d chosen contact types no longer exist at the provider; nobody is of them.",
		n, len(c.Options.ContactTypes)), "An administrator chooses anew in the connection's settings."}}
}

// unanswered is a question that got no answer to it.
func unanswered(subject string, err error) Finding {
	var used *budget.Exhausted
	switch {
	case errors.Is(err, custody.ErrDead):
		return Finding{subject, Problem, "The consent is no longer valid.", again}
	case errors.As(err, &used):
		return Finding{subject, Warning, "It was not looked at: the limit " + used.Limit + " is used up until " + moment(used.Until) + ".", "Look again then."}
	case errors.Is(err, provider.ErrClient):
		return Finding{subject, Problem, "The provider does not accept this installation: " + words(err), "Whoever runs the installation checks the client id and its secret."}
	case errors.Is(err, provider.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return Finding{subject, Warning, "It could not be looked at: the provider did not answer in time or has an error of its own.",
			"Look again later; what waits is tried by itself."}
	}
	return Finding{subject, Warning, "It could not be looked at: " + words(err), "Look again later."}
}

// words is what an error says to people.
func words(err error) string {
	if text := provider.Text(err); text != "" {
		return text + "."
	}
	return "something went wrong that is in the connector's log."
}

// twoFactor looks whether auth holds the connection's requirement.
func (d *Doctor) twoFactor(ctx context.Context, c chart) Finding {
	if d.Policy == nil {
		return Finding{TwoFactor, OK, "Two-factor sign-in was required of the firm before it was connected; auth was not asked from here.", ""}
	}
	policy, err := d.Policy(ctx, c.Firm)
	name := store.ConnectionName(c.Ref)
	switch {
	case err != nil:
		return Finding{TwoFactor, Warning, "Auth could not be asked whether two-factor sign-in is enforced.", "See how auth is."}
	case !policy.Enforced:
		return Finding{TwoFactor, Problem, "Two-factor sign-in is not enforced in the firm, although it is connected.", "An administrator switches it on."}
	case !slices.Contains(policy.RequiredBy, name):
		return Finding{TwoFactor, Warning, "Two-factor sign-in is enforced, but not for the sake of this connection: it could be switched off.",
			"Connecting again notes it."}
	}
	return Finding{TwoFactor, OK, "Two-factor sign-in is enforced for the sake of " + strings.TrimPrefix(name, "firms/"+c.Firm+"/") + ".", ""}
}
