package connector

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/concord-suite/concord/services/connector/internal/api/flow"
	"github.com/concord-suite/concord/services/connector/internal/connection"
	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/provider/accounting"
	"github.com/concord-suite/concord/services/connector/internal/provider/budget"
	"github.com/concord-suite/concord/services/connector/internal/provider/custody"
	"github.com/concord-suite/concord/services/connector/internal/provider/upstream"
	"github.com/concord-suite/concord/services/connector/internal/provider/xero"
	"github.com/concord-suite/concord/services/connector/internal/provider/xpm"
)

// Config is what the connector can be told. Package config of the platform fills it from CONCORD_CONNECTOR_... and a file.
type Config struct {
	// Xero is the registration at Xero, which all of its APIs share.
	Xero Xero `config:"xero"`
	// Accounting is Xero's accounting API.
	Accounting Accounting `config:"xero_accounting"`
	// XPM is Xero Practice Manager.
	XPM XPM `config:"xpm"`
	// Budget is how the providers' call limits are kept.
	Budget Budget `config:"budget"`
	// Connect is the time people and providers have for making a connection.
	Connect Connect `config:"connect"`
	// Refresh is how consents are renewed.
	Refresh Refresh `config:"refresh"`
	// Call is how long calls to a provider may take.
	Call Call `config:"call"`
}

// Xero is the registration of this installation at Xero, and where Xero is.
type Xero struct {
	ClientID     string        `config:"client_id" doc:"The client id of the app registered at Xero. Unset: nothing of Xero can be connected."`
	ClientSecret string        `config:"client_secret" secret:"true" doc:"Its secret."`
	RedirectURL  *url.URL      `config:"redirect_url" doc:"Where Xero sends people back: the gateway's /oauth/callback, exactly as registered."`
	AuthorizeURL *url.URL      `config:"authorize_url" default:"https://login.xero.com/identity/connect/authorize" doc:"The consent page."`
	IdentityURL  *url.URL      `config:"identity_url" default:"https://identity.xero.com" doc:"Where tokens are given out and revoked."`
	APIURL       *url.URL      `config:"api_url" default:"https://api.xero.com" doc:"Where the connections of a consent are listed and removed."`
	Issuer       string        `config:"issuer" default:"https://identity.xero.com" doc:"What the identity service calls itself in its answers."`
	Timeout      time.Duration `config:"timeout" default:"15s" min:"100ms" max:"20s" doc:"How long one call to the identity service may take."`
	WebhookKey   string        `config:"webhook_key" secret:"true" doc:"The key that Xero signs its webhooks with. Unset: none is taken."`
}

// Accounting is Xero's accounting API.
type Accounting struct {
	APIURL       *url.URL `config:"api_url" default:"https://api.xero.com/api.xro/2.0/" doc:"The address of the API with its version."`
	Scopes       []string `config:"scopes" default:"openid,profile,email,offline_access,accounting.contacts,accounting.settings.read" doc:"What consent is asked for."`
	Concurrent   int      `config:"concurrent" default:"5" min:"2" max:"1000" doc:"Calls at once per organisation."`
	PerMinute    int      `config:"per_minute" default:"60" min:"10" max:"100000" doc:"Calls a minute per organisation."`
	PerDay       int      `config:"per_day" default:"5000" min:"20" max:"10000000" doc:"Calls a day per organisation; 1000 on Xero's smallest tier."`
	AppPerMinute int      `config:"app_per_minute" default:"10000" min:"100" max:"10000000" doc:"Calls a minute over all organisations."`
}

// XPM is Xero Practice Manager.
type XPM struct {
	APIURL       *url.URL `config:"api_url" default:"https://api.xero.com/practicemanager/3.1/" doc:"The address of the API with its version."`
	LegacyAPIURL *url.URL `config:"legacy_api_url" default:"https://api.xero.com/practicemanager/3.0/" doc:"The address of the version whose answers carry the ids from before OAuth 2 beside the present ones. Upgrades read it."`
	Scopes       []string `config:"scopes" default:"openid,profile,email,offline_access,practicemanager.client" doc:"What consent is asked for."`
	Concurrent   int      `config:"concurrent" default:"5" min:"2" max:"1000" doc:"Calls at once per practice."`
	PerMinute    int      `config:"per_minute" default:"60" min:"10" max:"100000" doc:"Calls a minute per practice."`
	PerDay       int      `config:"per_day" default:"5000" min:"20" max:"10000000" doc:"Calls a day per practice; 1000 on Xero's smallest tier."`
	AppPerMinute int      `config:"app_per_minute" default:"10000" min:"100" max:"10000000" doc:"Calls a minute over all practices."`
}

// Budget is how the providers' call limits are kept.
type Budget struct {
	MinuteWindow time.Duration `config:"minute_window" default:"1m" min:"100ms" max:"10m" doc:"How long the provider's minute is."`
	DayWindow    time.Duration `config:"day_window" default:"24h" min:"1s" max:"48h" doc:"How long the provider's day is."`
	MaxWait      time.Duration `config:"max_wait" default:"90s" min:"100ms" max:"10m" doc:"How long a call waits for its turn; beyond it the caller is told when to come back."`
	Weights      []string      `config:"weights" doc:"Shares of firms in the app's minute when it is short, firm id=share, …; 1 for every other firm."`
}

// Connect is the time people and providers have for making a connection.
type Connect struct {
	AttemptLife time.Duration `config:"attempt_life" default:"5m" min:"1s" max:"1h" doc:"How long an attempt to connect lives."`
	Claim       time.Duration `config:"claim" default:"90s" min:"1s" max:"10m" doc:"How long one step of it may take before another replica takes it up."`
	Again       time.Duration `config:"again" default:"2s" min:"10ms" max:"1m" doc:"The wait before a step is tried again for which the provider was not available."`
}

// Refresh is how consents are renewed.
type Refresh struct {
	Lease time.Duration `config:"lease" default:"30s" min:"1s" max:"5m" doc:"How long a renewal may take before another replica takes it up."`
	Grace time.Duration `config:"grace" default:"30m" min:"1s" max:"24h" doc:"How long the provider accepts a spent token from who lost the answer."`
	Idle  time.Duration `config:"idle" default:"168h" min:"1m" max:"1200h" doc:"After how long without use a consent is renewed to keep it alive."`
	Retry time.Duration `config:"retry" default:"2s" min:"10ms" max:"1m" doc:"The wait after a first failed renewal; it doubles, up to 32 times."`
}

// Call is how long calls to a provider may take.
type Call struct {
	Timeout  time.Duration `config:"timeout" default:"1m" min:"100ms" max:"10m" doc:"How long one call may take."`
	Listing  time.Duration `config:"listing" default:"5m" min:"100ms" max:"30m" doc:"How long a call may take whose answer grows with the practice."`
	Again    time.Duration `config:"again" default:"500ms" min:"1ms" max:"1m" doc:"The wait before a failed call is repeated; it doubles."`
	Degraded time.Duration `config:"degraded" default:"2m" min:"10ms" max:"1h" doc:"How often a connection is tried whose provider was not available; up to 15 times less often when that lasts."`
}

// Validate checks what one setting says about another.
func (x *Xero) Validate() error {
	var errs []error
	if x.ClientID != "" && x.ClientSecret == "" {
		errs = append(errs, errors.New("xero.client_secret is required with xero.client_id"))
	}
	if x.ClientID != "" && x.RedirectURL == nil {
		errs = append(errs, errors.New("xero.redirect_url is required with xero.client_id"))
	}
	for key, at := range map[string]*url.URL{"xero.redirect_url": x.RedirectURL, "xero.authorize_url": x.AuthorizeURL,
		"xero.identity_url": x.IdentityURL, "xero.api_url": x.APIURL} {
		errs = append(errs, safe(key, at))
	}
	return errors.Join(errs...)
}

// Validate checks what one setting says about another.
func (a *Accounting) Validate() error {
	return errors.Join(safe("xero_accounting.api_url", a.APIURL), renewable("xero_accounting.scopes", a.Scopes))
}

// Validate checks what one setting says about another.
func (x *XPM) Validate() error {
	return errors.Join(safe("xpm.api_url", x.APIURL), safe("xpm.legacy_api_url", x.LegacyAPIURL), renewable("xpm.scopes", x.Scopes))
}

// Validate checks what one setting says about another.
func (r *Refresh) Validate() error {
	if r.Lease >= r.Grace {
		return errors.New("refresh.lease is shorter than refresh.grace: what a dead replica left is taken up within it")
	}
	return nil
}

// Validate checks what the format of a setting does not.
func (b *Budget) Validate() error {
	_, err := b.shares()
	return err
}

// maxShare bounds the share of a firm: beyond it the others would have next to nothing.
const maxShare = 1000

// shares reads the weights.
func (b *Budget) shares() (map[string]int, error) {
	shares := map[string]int{}
	for _, item := range b.Weights {
		firm, text, found := strings.Cut(item, "=")
		share, err := strconv.Atoi(text)
		if !found || uuid.Validate(firm) != nil || err != nil || share < 1 || share > maxShare || shares[firm] != 0 {
			return nil, fmt.Errorf("budget.weights: want firm id=share from 1 to %d, each firm once, not %q", maxShare, item)
		}
		shares[firm] = share
	}
	return shares, nil
}

// renewable refuses scopes that a consent could not be kept with.
func renewable(key string, scopes []string) error {
	if slices.Contains(scopes, "offline_access") {
		return nil
	}
	return fmt.Errorf("%s: offline_access is among them; without it a consent ends after half an hour", key)
}

// safe refuses addresses that codes and tokens would travel to in the clear.
func safe(key string, at *url.URL) error {
	if at == nil || at.Scheme == "https" && at.Hostname() != "" {
		return nil
	}
	ip := net.ParseIP(at.Hostname())
	if at.Scheme == "http" && (at.Hostname() == "localhost" || ip != nil && ip.IsLoopback()) {
		return nil
	}
	return fmt.Errorf("%s is an https:// address (http:// on the same machine): codes and tokens go there", key)
}

// providers makes the providers that are configured.
func (c Config) providers(client *http.Client, now func() time.Time) (provider.Registry, map[string]provider.Identity) {
	all, identities := provider.Registry{}, map[string]provider.Identity{}
	if c.Xero.ClientID == "" {
		return all, identities
	}
	app := "xero/" + c.Xero.ClientID
	identity := xero.New(xero.Config{
		ClientID: c.Xero.ClientID, ClientSecret: c.Xero.ClientSecret, RedirectURL: c.Xero.RedirectURL.String(),
		AuthorizeURL: c.Xero.AuthorizeURL, IdentityURL: c.Xero.IdentityURL, APIURL: c.Xero.APIURL, Issuer: c.Xero.Issuer, Timeout: c.Xero.Timeout,
	}, client, now)
	identities[app] = identity
	all[connection.XPM] = provider.Definition{
		Provider: connection.XPM, App: app, Scopes: c.XPM.Scopes, TenantType: "PRACTICEMANAGER", TenantNoun: "Xero Practice Manager practice",
		LegacyIDs: true, TenantHeader: xpm.XPM.TenantHeader, BaseURL: c.XPM.APIURL, Identity: identity,
		Adapter: xpm.New(xpm.XPM, c.XPM.LegacyAPIURL, now), Limits: c.XPM.limits(),
	}
	all[connection.Xero] = provider.Definition{
		Provider: connection.Xero, App: app, Scopes: c.Accounting.Scopes, TenantType: "ORGANISATION", TenantNoun: "Xero organisation",
		ContactTypes: true, BaseURL: c.Accounting.APIURL, Identity: identity, Adapter: accounting.Adapter{}, Limits: c.Accounting.limits(),
	}
	return all, identities
}

// limits keeps a part of each limit for people: a tenth of the minute, a twentieth of the day, one of the
// calls at once. What is kept is lost to background work, so it is little; a person makes a handful of calls. Reading
// details, which can take days, leaves runs another of the calls at once and a tenth of the day.
func limits(concurrent, perMinute, perDay, appPerMinute int) provider.Limits {
	return provider.Limits{
		Concurrent: concurrent, PerMinute: perMinute, PerDay: perDay, AppPerMinute: appPerMinute,
		Reserve: provider.Reserve{Concurrent: 1, PerMinute: perMinute / 10, PerDay: perDay / 20, AppPerMinute: appPerMinute / 20},
		Runs:    provider.Reserve{Concurrent: 1, PerDay: perDay / 10},
	}
}

func (a Accounting) limits() provider.Limits {
	return limits(a.Concurrent, a.PerMinute, a.PerDay, a.AppPerMinute)
}

func (x XPM) limits() provider.Limits {
	return limits(x.Concurrent, x.PerMinute, x.PerDay, x.AppPerMinute)
}

// webhookKeys are what the providers sign with that tell by themselves.
func (c Config) webhookKeys() map[connection.Provider]string {
	return map[connection.Provider]string{connection.Xero: c.Xero.WebhookKey}
}

func (c Config) budget() budget.Config {
	weights, _ := c.Budget.shares() // Validate has refused what is wrong with them
	return budget.Config{Minute: c.Budget.MinuteWindow, Day: c.Budget.DayWindow, MaxWait: c.Budget.MaxWait, Weights: weights}
}

func (c Config) custody() custody.Config {
	return custody.Config{Lease: c.Refresh.Lease, Call: c.Refresh.Lease * 2 / 3, Grace: c.Refresh.Grace, Idle: c.Refresh.Idle, Retry: c.Refresh.Retry}
}

func (c Config) upstream() upstream.Config {
	return upstream.Config{Call: c.Call.Timeout, Heavy: c.Call.Listing, Again: c.Call.Again}
}

// probeWait is how long the person who just consented waits for the look at their privileges.
const probeWait = 10 * time.Second

func (c Config) flow() flow.Config {
	return flow.Config{Life: c.Connect.AttemptLife, Claim: c.Connect.Claim, Again: c.Connect.Again, Probe: probeWait}
}
