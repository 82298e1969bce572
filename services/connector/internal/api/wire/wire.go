// Package wire turns the connector's own types into those of the contract and back.
package wire

import (
	"encoding/hex"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/concord-suite/concord/platform/names"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"

	"github.com/concord-suite/concord/services/connector/internal/connection"
	"github.com/concord-suite/concord/services/connector/internal/store"
)

// Patterns of resource names.
const (
	FirmPattern    = names.FirmPattern
	AttemptPattern = "firms/{firm}/connectAttempts/{attempt}"
)

// AttemptName returns the resource name of an attempt.
func AttemptName(r connection.Ref) string { return names.Format(AttemptPattern, r.Firm, r.ID) }

var providers = map[connectorv1.Provider]connection.Provider{
	connectorv1.Provider_PROVIDER_XERO:        connection.Xero,
	connectorv1.Provider_PROVIDER_XPM:         connection.XPM,
	connectorv1.Provider_PROVIDER_WORKFLOWMAX: connection.WorkflowMax,
	connectorv1.Provider_PROVIDER_MYOB_AE:     connection.MyobAE,
}

// Provider reads a provider.
func Provider(p connectorv1.Provider) connection.Provider { return providers[p] }

// ToProvider writes a provider.
func ToProvider(p connection.Provider) connectorv1.Provider { return reverse(providers, p) }

var states = map[connectorv1.ConnectionState]connection.State{
	connectorv1.ConnectionState_CONNECTION_STATE_ACTIVE:       connection.Active,
	connectorv1.ConnectionState_CONNECTION_STATE_DEGRADED:     connection.Degraded,
	connectorv1.ConnectionState_CONNECTION_STATE_NEEDS_REAUTH: connection.NeedsReauth,
	connectorv1.ConnectionState_CONNECTION_STATE_DISCONNECTED: connection.Disconnected,
	connectorv1.ConnectionState_CONNECTION_STATE_LEGACY:       connection.Legacy,
}

var newRecords = map[connectorv1.NewRecordPolicy]connection.Policy{
	connectorv1.NewRecordPolicy_NEW_RECORD_POLICY_CREATE: connection.Create,
	connectorv1.NewRecordPolicy_NEW_RECORD_POLICY_REVIEW: connection.Review,
}

var removals = map[connectorv1.RemovalPolicy]connection.Policy{
	connectorv1.RemovalPolicy_REMOVAL_POLICY_APPLY:  connection.Apply,
	connectorv1.RemovalPolicy_REMOVAL_POLICY_REVIEW: connection.Review,
}

// attemptStates are what callers see of an attempt: the steps in between are nobody's business.
var attemptStates = map[connection.AttemptState]connectorv1.AttemptState{
	connection.Waiting:    connectorv1.AttemptState_ATTEMPT_STATE_WAITING,
	connection.Exchanging: connectorv1.AttemptState_ATTEMPT_STATE_WAITING,
	connection.Listing:    connectorv1.AttemptState_ATTEMPT_STATE_WAITING,
	connection.Authorised: connectorv1.AttemptState_ATTEMPT_STATE_AUTHORISED,
	connection.Confirming: connectorv1.AttemptState_ATTEMPT_STATE_AUTHORISED,
	connection.Confirmed:  connectorv1.AttemptState_ATTEMPT_STATE_CONFIRMED,
	connection.Failed:     connectorv1.AttemptState_ATTEMPT_STATE_FAILED,
	connection.Superseded: connectorv1.AttemptState_ATTEMPT_STATE_SUPERSEDED,
	connection.Expired:    connectorv1.AttemptState_ATTEMPT_STATE_EXPIRED,
}

// ToAttemptState writes the state of an attempt.
func ToAttemptState(s connection.AttemptState) connectorv1.AttemptState { return attemptStates[s] }

func reverse[K, V comparable](m map[K]V, v V) (k K) {
	for key, value := range m {
		if value == v {
			return key
		}
	}
	return k
}

// Options reads options.
func Options(o *connectorv1.ConnectionOptions) connection.Options {
	return connection.Options{
		ContactTypes: o.GetContactTypes(), NewRecords: newRecords[o.GetNewRecordPolicy()], Removals: removals[o.GetRemovalPolicy()],
		GuardPermille: int(o.GetRemovalGuardPermille()), GuardFloor: int(o.GetRemovalGuardFloor()),
		FullSyncEveryDays: int(o.GetFullSyncEveryDays()),
	}
}

// ToOptions writes options.
func ToOptions(o connection.Options) *connectorv1.ConnectionOptions {
	return &connectorv1.ConnectionOptions{
		ContactTypes: o.ContactTypes, NewRecordPolicy: reverse(newRecords, o.NewRecords), RemovalPolicy: reverse(removals, o.Removals),
		RemovalGuardPermille: int32(o.GuardPermille), RemovalGuardFloor: int32(o.GuardFloor), FullSyncEveryDays: int32(o.FullSyncEveryDays),
	}
}

// ToConnection writes a connection.
func ToConnection(c connection.Connection) *connectorv1.Connection {
	return &connectorv1.Connection{
		Name: store.ConnectionName(c.Ref), Provider: ToProvider(c.Provider), TenantId: c.TenantID, TenantName: c.TenantName,
		State: reverse(states, c.State), StateReason: c.Reason, Options: ToOptions(c.Options), CreateTime: stamp(c.Created),
		ConnectedBy: c.ConnectedBy, LastSuccessTime: stamp(c.LastSuccess), DayCallsLeft: int32(c.DayCallsLeft), Etag: Etag(c),
		RemovalsSuspended: c.RemovalsSuspended,
	}
}

// Etag returns the etag of a connection.
func Etag(c connection.Connection) string {
	return hex.EncodeToString([]byte(strconv.FormatInt(c.Version, 36)))
}

func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// ToAttempt writes an attempt as it is at a time, with what is told beside it: the connection it upgrades, else the firm's last
// connection of the provider, or nil, and whose consents the firm's connections use.
func ToAttempt(a connection.Attempt, now time.Time, last *connection.Connection, present []connection.Consent) *connectorv1.ConnectAttempt {
	state := a.StateAt(now)
	w := &connectorv1.ConnectAttempt{
		Name: AttemptName(a.Ref), Provider: ToProvider(a.Provider), State: ToAttemptState(state), ExpireTime: stamp(a.Expires),
		Error: a.Error, PopupHelp: connection.PopupHelp, SuggestedOptions: ToOptions(connection.DefaultOptions()),
	}
	if last != nil {
		w.SuggestedOptions = ToOptions(last.Options)
	}
	if a.Upgrade != "" {
		w.UpgradeConnection = store.ConnectionName(connection.Ref{Firm: a.Firm, ID: a.Upgrade})
	}
	if state == connection.Confirmed {
		w.Connection = store.ConnectionName(connection.Ref{Firm: a.Firm, ID: a.Choice.Connection})
	}
	if state != connection.Authorised && state != connection.Confirming {
		return w
	}
	w.PreselectedTenantId, w.Warnings = a.Preselected, a.Warnings(last, present)
	for _, t := range a.Tenants {
		w.Tenants = append(w.Tenants, &connectorv1.Tenant{TenantId: t.ID, DisplayName: t.Name, TenantType: t.Type,
			LastUsed: last != nil && last.TenantID == t.ID})
	}
	return w
}
