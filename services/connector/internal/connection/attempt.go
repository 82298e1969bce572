package connection

import (
	"fmt"
	"time"
)

// AttemptState is how far an attempt is. Each is a row state, so that a process that dies leaves behind where it was.
type AttemptState string

// The states of an attempt. Waiting, Exchanging, Listing, Authorised and Confirming are open; the others are its end.
const (
	// Waiting: the consent window is open.
	Waiting AttemptState = "WAITING"
	// Exchanging: the provider's answer is here, and its code is being exchanged for tokens.
	Exchanging AttemptState = "EXCHANGING"
	// Listing: the tokens are here, and the tenants are being listed.
	Listing AttemptState = "LISTING"
	// Authorised: a tenant is to be chosen.
	Authorised AttemptState = "AUTHORISED"
	// Confirming: a tenant is chosen, and two-factor sign-in is being switched on.
	Confirming AttemptState = "CONFIRMING"
	// Confirmed: a connection was made of it.
	Confirmed AttemptState = "CONFIRMED"
	// Failed: Error says why.
	Failed AttemptState = "FAILED"
	// Superseded: a newer attempt took its place.
	Superseded AttemptState = "SUPERSEDED"
	// Expired: its time passed.
	Expired AttemptState = "EXPIRED"
)

// Failure names why an attempt failed, in the words of the contract's error reasons.
type Failure string

// The failures of an attempt.
const (
	ConsentDenied       Failure = "CONSENT_DENIED"
	TenantUnknown       Failure = "TENANT_UNKNOWN"
	ProviderRefused     Failure = "PROVIDER_REFUSED"
	ProviderInvalid     Failure = "PROVIDER_ANSWER_INVALID"
	ProviderUnavailable Failure = "PROVIDER_UNAVAILABLE"
	ScopeMissing        Failure = "SCOPE_MISSING"
)

// Attempt is one person's try to connect, good for one answer of the provider.
type Attempt struct {
	Ref
	// Person is the account that asked. Nobody else can go on with it.
	Person   string
	Provider Provider
	State    AttemptState
	// Created is when it was asked for, Expires when it dies.
	Created, Expires time.Time
	// Failure and Error say why it failed.
	Failure Failure
	Error   string
	// Subject is who consented, as the provider names the person. Scopes are what was granted.
	Subject string
	Scopes  []string
	// ConsentedBy is a name to show for the subject, empty when the provider gives none.
	ConsentedBy string
	// Tenants are what can be connected; Preselected is the id of the one this consent was for.
	Tenants     []Tenant
	Preselected string
	// Upgrade is the id of the legacy connection that is to be upgraded, empty for an attempt to connect anew.
	Upgrade string
	// Choice is what the person confirmed.
	Choice Choice
}

// Choice is what a person confirmed of an attempt.
type Choice struct {
	// Tenant is the id of the chosen tenant.
	Tenant string `json:"tenant,omitempty"`
	// Connection is the id the connection has or will have; Version is the version it had then, 0 for a new one.
	Connection string `json:"connection,omitempty"`
	Version    int64  `json:"version,omitempty"`
	// Differs is set when the tenant is another than the last time.
	Differs bool    `json:"differs,omitempty"`
	Options Options `json:"options"`
}

// Open reports whether something may still become of an attempt in this state.
func (s AttemptState) Open() bool {
	switch s {
	case Waiting, Exchanging, Listing, Authorised, Confirming:
		return true
	}
	return false
}

// StateAt returns the state at a time: an open attempt whose time has passed is expired, whether or not a worker has
// written that down yet. One that is being confirmed is not: the person has decided, it runs forward.
func (a Attempt) StateAt(now time.Time) AttemptState {
	if a.State.Open() && a.State != Confirming && !now.Before(a.Expires) {
		return Expired
	}
	return a.State
}

// Warnings returns what to tell the person before confirming. last is the connection that is upgraded, else the firm's last
// connection of the provider, or nil; present is whose consents the firm's connections of the provider use.
func (a Attempt) Warnings(last *Connection, present []Consent) []string {
	var all []string
	chosen := a.Tenant(a.Preselected)
	switch differs := last != nil && chosen != nil && last.Differs(*chosen); {
	case differs && last.State == Legacy:
		all = append(all, fmt.Sprintf("The connection to upgrade was to %q, this one would be to %q. Check that it is the same one "+
			"under another name: the clients of another one would be taken for its clients. Removals would wait until an "+
			"administrator has reviewed the change.", last.TenantName, chosen.Name))
	case differs:
		all = append(all, fmt.Sprintf("Last time %q was connected, this time it would be %q. Check that this is the right one: "+
			"another one brings other clients. Removals would wait until an administrator has reviewed the change.",
			last.TenantName, chosen.Name))
	}
	all = append(all, a.replacements(present)...)
	if chosen != nil && chosen.Privilege != "" {
		all = append(all, chosen.Privilege)
	}
	return all
}

// Tenant returns the tenant of that id, or nil.
func (a Attempt) Tenant(id string) *Tenant {
	for i := range a.Tenants {
		if a.Tenants[i].ID == id {
			return &a.Tenants[i]
		}
	}
	return nil
}

// PopupHelp is what to tell a person whose browser blocked the consent window.
const PopupHelp = "The consent window did not open? The browser blocked it. Allow pop-ups for this site (the icon at the end " +
	"of the address bar), then press Connect again: you need not wait, a new attempt replaces this one at once."
