package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/concord-suite/concord/services/connector/internal/connection"
	"github.com/concord-suite/concord/services/connector/internal/store"
)

const again = "An administrator connects again; clients, links and settings stay as they are."

// own tells what is known without asking anybody.
func (c chart) own() []Finding {
	found := []Finding{c.state()}
	if c.Live() && c.State != connection.Legacy {
		found = append(found, c.consent(), c.scopes(), c.lastSuccess())
		if c.RemovalsSuspended {
			found = append(found, Finding{Options, Warning,
				"The " + c.noun() + " is another one than the last time, and removals wait until somebody has looked at that.",
				"An administrator compares the clients and lifts the suspension in the connection's settings."})
		}
		if c.shared > 0 {
			found = append(found, Finding{OtherConsents, Warning,
				fmt.Sprintf("The same %s is connected %s more in this installation; all share its call limits.", c.noun(), times(c.shared)),
				"Whoever no longer needs one disconnects it."})
		}
	}
	return append(found, c.chores())
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

func (c chart) state() Finding {
	reason := c.Reason
	if reason == "" {
		reason = "No reason was noted."
	}
	switch {
	case c.State == connection.Disconnected:
		return Finding{State, OK, "An administrator disconnected it. Clients and links stay.", ""}
	case !c.configured:
		return Finding{State, Problem, "The settings say nothing of " + string(c.Provider) + ", so nothing can be asked there.",
			"Whoever runs the installation sets the client id and its secret; a command needs the settings of the server."}
	case c.State == connection.Legacy:
		return Finding{State, Problem, "It was imported from the time before OAuth 2 on " + day(c.Created) + " and can do nothing until it is upgraded.",
			"An administrator upgrades it; that keeps its name and its clients."}
	case c.State == connection.NeedsReauth:
		return Finding{State, Problem, "It does not work: " + reason, again}
	case c.State == connection.Degraded:
		return Finding{State, Warning, "It does not work for now. " + reason, "It is tried again by itself, and recovers by itself once the cause has gone."}
	case c.Failures > 0:
		return Finding{State, OK, fmt.Sprintf("It works, though the last %d calls in a row failed.", c.Failures), ""}
	}
	return Finding{State, OK, "It works.", ""}
}

const (
	// consentLife is how long an unused consent lives at Xero.
	consentLife = 60 * 24 * time.Hour
	// consentSoon is when a consent that nobody renewed is worth a look: the keep-alive renews weekly.
	consentSoon = 20 * 24 * time.Hour
)

func (c chart) consent() Finding {
	g := c.grant
	if g == nil {
		return Finding{Consent, Problem, "There is no consent for it.", again}
	}
	who := fmt.Sprintf("Consent was given on %s, %s ago", day(g.Created), age(c.now.Sub(g.Created)))
	if c.ConnectedBy != "" {
		who += ", by " + c.ConnectedBy
	}
	switch lapses := g.Refreshed.Add(consentLife); {
	case !g.Usable():
		return Finding{Consent, Problem, who + ". It is no longer valid: " + orNone(g.Reason), again}
	case !lapses.After(c.now):
		return Finding{Consent, Problem, fmt.Sprintf("%s. It was last renewed on %s and has lapsed on %s.", who, day(g.Refreshed), day(lapses)), again}
	case g.Failures > 0:
		return Finding{Consent, Warning, fmt.Sprintf("%s. It was last renewed on %s; the last %d tries to renew it failed. It would lapse on %s.",
			who, moment(g.Refreshed), g.Failures, day(lapses)), "It is tried again by itself at " + moment(g.RetryAt) + "."}
	case c.now.Sub(g.Refreshed) > consentSoon:
		return Finding{Consent, Warning, fmt.Sprintf("%s. It was last renewed on %s, and would lapse on %s.", who, day(g.Refreshed), day(lapses)),
			"Consents are renewed weekly by themselves: see that the connector runs."}
	default:
		return Finding{Consent, OK, fmt.Sprintf("%s. It was last renewed %s, and would lapse on %s if that stopped.", who, moment(g.Refreshed), day(lapses)), ""}
	}
}

func orNone(reason string) string {
	if reason == "" {
		return "the provider does not accept it."
	}
	return reason
}

// unasked are the scopes that no call to the API needs: who signs in, and the refresh token, whose absence shows by itself.
var unasked = []string{"openid", "profile", "email", "offline_access"}

func (c chart) scopes() Finding {
	if c.grant == nil || !c.configured {
		return Finding{Scopes, Warning, "What the consent covers is not known.", "Look at the other findings first."}
	}
	lacking := slices.DeleteFunc(slices.Clone(c.def.Scopes), func(s string) bool {
		return slices.Contains(unasked, s) || slices.Contains(c.grant.Scopes, s)
	})
	if len(lacking) > 0 {
		return Finding{Scopes, Problem, "The consent does not cover " + strings.Join(lacking, ", ") + ".", "An administrator connects again, which asks for it."}
	}
	return Finding{Scopes, OK, "The consent covers all that is needed.", ""}
}

// quiet is how long after the longest wait between two full runs a call that worked should have been.
const quiet = 2 * 24 * time.Hour

func (c chart) lastSuccess() Finding {
	if c.LastSuccess.IsZero() {
		return Finding{LastSuccess, Warning, "No call has worked yet.", "Start a sync, and see what it says."}
	}
	since := c.now.Sub(c.LastSuccess)
	if expected := time.Duration(c.Options.FullSyncEveryDays) * 24 * time.Hour; expected > 0 && since > expected+quiet {
		return Finding{LastSuccess, Warning, fmt.Sprintf("The last call that worked was on %s, %s ago, although there is a full sync every %d days.",
			day(c.LastSuccess), age(since), c.Options.FullSyncEveryDays), "See in the runs why none has gone through."}
	}
	return Finding{LastSuccess, OK, "The last call that worked was " + moment(c.LastSuccess) + ".", ""}
}

// chorePatience is how long a chore may wait before it is worth telling: outages are longer, hiccups shorter.
const chorePatience = 10 * time.Minute

// told is what a chore tells, and to whom.
var told = map[store.ChoreKind]string{
	store.RemoveTenant:     "the provider that the connection was removed",
	store.Revoke:           "the provider that the consent ended",
	store.ReleaseTwoFactor: "auth that the connection no longer asks for two-factor sign-in",
}

func (c chart) chores() Finding {
	if len(c.waiting) == 0 {
		return Finding{Chores, OK, "Everybody has been told what was to be told.", ""}
	}
	level, parts := OK, []string{}
	for _, w := range c.waiting {
		part := fmt.Sprintf("%s, since %s", told[w.Kind], moment(w.Created))
		if w.Error != "" {
			part += fmt.Sprintf(" (tried %s: %s)", times(w.Tries), w.Error)
		}
		parts = append(parts, part)
		if c.now.Sub(w.Created) > chorePatience {
			level = Warning
		}
	}
	return Finding{Chores, level, "Still to be told: " + strings.Join(parts, "; ") + ".", "It is tried by itself for two weeks."}
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02") }

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// age is a length of time in the largest unit that fits.
func age(d time.Duration) string {
	for _, u := range []struct {
		d    time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		if n := int(d / u.d); n > 1 {
			return fmt.Sprintf("%d %ss", n, u.name)
		} else if n == 1 {
			return "one " + u.name
		}
	}
	return "less than a minute"
}
