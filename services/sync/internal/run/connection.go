package run

import (
	"strings"
	"time"

	"github.com/concord-suite/concord/services/sync/internal/plan"
)

// ConnectionState is the health of a connection, as connector said last.
type ConnectionState string

// The states of a connection.
const (
	ConnectionActive       ConnectionState = "ACTIVE"
	ConnectionDegraded     ConnectionState = "DEGRADED"
	ConnectionNeedsReauth  ConnectionState = "NEEDS_REAUTH"
	ConnectionDisconnected ConnectionState = "DISCONNECTED"
	// ConnectionLegacy: from before OAuth 2; waits for its upgrade.
	ConnectionLegacy ConnectionState = "LEGACY"
)

// Usable tells whether a run may be tried. A degraded connection may have recovered by now.
func (s ConnectionState) Usable() bool { return s == ConnectionActive || s == ConnectionDegraded }

// Connection is what sync knows of a connection: its tenant and the options that bear on runs.
type Connection struct {
	ID, Firm         string
	Provider, Tenant string
	State            ConnectionState
	StateReason      string
	// Selection stands for what of the tenant is listed.
	Selection string
	// ReviewNew makes new records wait; ReviewRemovals makes every removal wait.
	ReviewNew, ReviewRemovals bool
	Guard                     plan.Guard
	FullEveryDays             int64
	// RemovalsSuspended makes removals wait since SuspendedAt: the tenant is another than the last time.
	RemovalsSuspended bool
	SuspendedAt       time.Time
	EstablishedAt     time.Time
	// FullWanted asks for a full run as soon as there is none under way; WantedBy says who asks.
	FullWanted bool
	WantedBy   string
	// ManualWanted asks for a manual run as soon as there is none under way: the provider said that records changed.
	ManualWanted bool
}

// HadFormerIDs tells whether the provider's clients had other ids before OAuth 2, so that there is something to upgrade:
// Practice Manager's and WorkflowMax's had integers, those of Xero's accounting have always had the ids they have.
func (c Connection) HadFormerIDs() bool {
	p := strings.TrimPrefix(c.Provider, "PROVIDER_")
	return p == "XPM" || p == "WORKFLOWMAX"
}
