// Package upstream joins a suite and a simulated world: the suite's settings say where the world is, and the world's
// webhook where the suite is.
package upstream

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/remote"
	"github.com/concord-suite/concord/sim/world"
)

// ClockFactor is how much faster the simulated provider's limits pass: a minute's calls in a second. The main job makes
// a minute and a half's worth of calls, and nobody wants to watch it wait.
const ClockFactor = 60

// webhookKey is the setting that holds the key which webhooks are signed with.
const webhookKey = "CONCORD_CONNECTOR_XERO_WEBHOOK_KEY"

// Settings point every service at the world, "KEY=value" as os.Environ. They are kept in the data directory, where commands
// beside the suite find them, and with them the key of the world's webhook, which stays the same from start to start.
func Settings(dir string, w *sim.World) ([]string, error) {
	before, err := Kept(dir)
	if err != nil {
		return nil, err
	}
	environ := append(pointed(w), webhookKey+"="+keyOf(before))
	slices.Sort(environ)
	return environ, keep(dir, environ)
}

// pointed are the settings that follow from where the world is.
func pointed(w *sim.World) []string {
	mail := url.URL{Host: w.SMTPAddr()}
	settings := map[string]string{
		"CONCORD_AUTH_SMS_URL":                      w.URL(),
		"CONCORD_AUTH_SMS_ACCOUNT_SID":              sim.SMSAccount,
		"CONCORD_AUTH_SMS_TOKEN":                    sim.SMSToken,
		"CONCORD_AUTH_SMS_FROM":                     "+61491570110",
		"CONCORD_AUTH_SMS_PER_HOUR":                 "100",
		"CONCORD_AUTH_MAIL_HOST":                    mail.Hostname(),
		"CONCORD_AUTH_MAIL_PORT":                    mail.Port(),
		"CONCORD_AUTH_MAIL_SECURITY":                "plain",
		"CONCORD_DOCUMENTS_MAIL_HOST":               mail.Hostname(),
		"CONCORD_DOCUMENTS_MAIL_PORT":               mail.Port(),
		"CONCORD_DOCUMENTS_MAIL_SECURITY":           "plain",
		"CONCORD_CONNECTOR_XERO_CLIENT_ID":          sim.ClientID,
		"CONCORD_CONNECTOR_XERO_CLIENT_SECRET":      sim.ClientSecret,
		"CONCORD_CONNECTOR_XERO_AUTHORIZE_URL":      w.URL() + "/identity/connect/authorize",
		"CONCORD_CONNECTOR_XERO_IDENTITY_URL":       w.URL(),
		"CONCORD_CONNECTOR_XERO_API_URL":            w.URL(),
		"CONCORD_CONNECTOR_XERO_ISSUER":             w.URL(),
		"CONCORD_CONNECTOR_XERO_ACCOUNTING_API_URL": w.URL() + "/api.xro/2.0/",
		"CONCORD_CONNECTOR_XPM_API_URL":             w.URL() + "/practicemanager/3.1/",
		"CONCORD_CONNECTOR_XPM_LEGACY_API_URL":      w.URL() + "/practicemanager/3.0/",
		"CONCORD_CONNECTOR_BUDGET_MINUTE_WINDOW":    (time.Minute / ClockFactor).String(),
		"CONCORD_CONNECTOR_BUDGET_DAY_WINDOW":       (24 * time.Hour / ClockFactor).String(),
		"CONCORD_SYNC_NEWS_EVERY":                   (30 * time.Second / ClockFactor).String(), // as the limits that it spares
		"CONCORD_SYNC_SCHEDULE_EVERY":               time.Second.String(),
	}
	var environ []string
	for name, value := range settings {
		environ = append(environ, name+"="+value)
	}
	return environ
}

// hook is the id of the suite's webhook in the world.
const hook = "c0c0c0c0-0000-4000-8000-000000000001"

// Tell has the world tell the suite of changed contacts, at the address given. It does so once the suite has shown that it
// checks signatures, which is tried at once and until it does. A webhook that is as it should be is left alone: what the
// world noted while the suite was starting is still told.
func Tell(ctx context.Context, w *remote.Client, suite string, environ []string) error {
	all, err := w.Hooks(ctx)
	if err != nil {
		return fmt.Errorf("webhooks of the simulated world: %w", err)
	}
	wants := remote.NewHook{ID: hook, App: sim.ClientID, URL: suite + "/webhooks/xero", Key: keyOf(environ), Eager: true}
	for _, h := range all {
		if h.ID == hook && h.URL == wants.URL && h.Key == wants.Key && h.State == world.HookActive {
			return nil
		}
	}
	if _, err := w.Hook(ctx, wants); err != nil {
		return fmt.Errorf("webhook of the simulated world: %w", err)
	}
	return nil
}
