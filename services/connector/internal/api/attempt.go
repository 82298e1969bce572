package api

import (
	"context"
	"time"

	"github.com/concord-suite/concord/platform/idem"
	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/sqldb"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"

	"github.com/concord-suite/concord/services/connector/internal/api/flow"
	"github.com/concord-suite/concord/services/connector/internal/api/reason"
	"github.com/concord-suite/concord/services/connector/internal/api/wire"
	"github.com/concord-suite/concord/services/connector/internal/connection"
	"github.com/concord-suite/concord/services/connector/internal/provider/upstream"
	"github.com/concord-suite/concord/services/connector/internal/store"
)

// StartConnectAttempt makes an attempt. What must stay secret of the answer is not remembered with it but read from the
// attempt, so that a repeated request gets the same.
func (s *Connections) StartConnectAttempt(ctx context.Context, req *connectorv1.StartConnectAttemptRequest) (*connectorv1.StartConnectAttemptResponse, error) {
	firm, err := names.ParseField("parent", wire.FirmPattern, req.GetParent())
	if err != nil {
		return nil, err
	}
	upgrade := connection.Ref{Firm: firm[0]}
	if name := req.GetUpgradeConnection(); name != "" {
		if upgrade, err = ref("upgrade_connection", store.ConnectionPattern, name); err != nil {
			return nil, err
		}
		if upgrade.Firm != firm[0] {
			return nil, reason.NotFound
		}
	}
	resp, err := idem.Do(ctx, s.Memory, req, func(tx *sqldb.Tx) (*connectorv1.StartConnectAttemptResponse, error) {
		a, err := s.Flow.Start(tx, firm[0], person(ctx), wire.Provider(req.GetProvider()), upgrade.ID)
		if err != nil {
			return nil, err
		}
		shown, err := s.show(tx, a)
		return &connectorv1.StartConnectAttemptResponse{Attempt: shown}, err
	})
	if err != nil {
		return nil, reason.Of(err)
	}
	r, err := ref("name", wire.AttemptPattern, resp.GetAttempt().GetName())
	if err != nil {
		return nil, err
	}
	a, err := s.attempt(ctx, r)
	if err != nil {
		return nil, err
	}
	opening, err := s.Flow.Opening(a)
	if err != nil {
		return nil, err
	}
	return &connectorv1.StartConnectAttemptResponse{
		Attempt: resp.GetAttempt(), AuthorizeUrl: opening.AuthorizeURL, BrowserBinding: opening.Binding}, nil
}

// GetConnectAttempt answers how far an attempt is, to the person who made it.
func (s *Connections) GetConnectAttempt(ctx context.Context, req *connectorv1.GetConnectAttemptRequest) (*connectorv1.GetConnectAttemptResponse, error) {
	r, err := ref("name", wire.AttemptPattern, req.GetName())
	if err != nil {
		return nil, err
	}
	a, err := s.attempt(ctx, r)
	if err != nil {
		return nil, err
	}
	var shown *connectorv1.ConnectAttempt
	err = s.DB.Read(ctx, func(tx *sqldb.Tx) error {
		shown, err = s.show(tx, a)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &connectorv1.GetConnectAttemptResponse{Attempt: shown}, nil
}

// attempt reads an attempt of the caller. Somebody else's is not there.
func (s *Connections) attempt(ctx context.Context, r connection.Ref) (a store.Attempt, err error) {
	err = s.DB.Read(ctx, func(tx *sqldb.Tx) error {
		a, err = store.AttemptByID(tx, r, false)
		return err
	})
	if err == nil && a.Person != person(ctx) {
		err = reason.NotFound
	}
	return a, reason.Of(err)
}

// show writes an attempt with what is to be told beside it.
func (s *Connections) show(tx *sqldb.Tx, a store.Attempt) (*connectorv1.ConnectAttempt, error) {
	last, err := s.Flow.Before(tx, a)
	if err != nil {
		return nil, err
	}
	present, err := store.ConsentsOf(tx, a.Firm, a.Provider)
	if err != nil {
		return nil, err
	}
	shown := wire.ToAttempt(a.Attempt, s.Now(), last, present)
	if def, configured := s.Providers[a.Provider]; configured && shown.GetState() == connectorv1.AttemptState_ATTEMPT_STATE_WAITING {
		shown.Warnings = append(shown.Warnings, def.Adapter.Requirement())
	}
	if a.Upgrade != "" || !a.StateAt(s.Now()).Open() {
		return shown, nil
	}
	waiting, err := store.LegacyConnections(tx, a.Firm, a.Provider)
	for _, c := range waiting {
		shown.Warnings = append(shown.Warnings, connection.LegacyWarning(c))
	}
	return shown, err
}

// CompleteConnectAttempt takes the provider's answer that the browser brought back.
func (s *Connections) CompleteConnectAttempt(ctx context.Context, req *connectorv1.CompleteConnectAttemptRequest) (*connectorv1.CompleteConnectAttemptResponse, error) {
	state, err := s.Flow.Complete(ctx, flow.Answer{
		State: req.GetState(), Code: req.GetCode(), Error: req.GetError(), ErrorDescription: req.GetErrorDescription(),
		Issuer: req.GetIssuer(), Binding: req.GetBrowserBinding(),
	})
	if err != nil {
		return nil, reason.Of(err)
	}
	return &connectorv1.CompleteConnectAttemptResponse{State: wire.ToAttemptState(state)}, nil
}

// confirmLease is how long one try to confirm has the request to itself: the calls to the provider and to auth together
// take seconds.
const confirmLease = time.Minute

// ConfirmConnectAttempt makes the connection.
func (s *Connections) ConfirmConnectAttempt(ctx context.Context, req *connectorv1.ConfirmConnectAttemptRequest) (*connectorv1.ConfirmConnectAttemptResponse, error) {
	r, err := ref("name", wire.AttemptPattern, req.GetName())
	if err != nil {
		return nil, err
	}
	aside := upstream.Aside(ctx) // the change, and its entry in the audit ledger, is the transaction of finish
	try, answered, err := idem.Begin[*connectorv1.ConfirmConnectAttemptResponse](aside, s.Memory, req, confirmLease)
	if err != nil || try == nil {
		return answered, err
	}
	choice := flow.Choice{Tenant: req.GetTenantId(), Options: wire.Options(req.GetOptions()), Acknowledged: req.GetAcknowledgeDifferentTenant()}
	var resp *connectorv1.ConfirmConnectAttemptResponse
	_, err = s.Flow.Confirm(ctx, r, person(ctx), choice, func(tx *sqldb.Tx, made flow.Result) error {
		resp = &connectorv1.ConfirmConnectAttemptResponse{Connection: wire.ToConnection(made.Connection), TwoFactorSwitchedOn: made.SwitchedOn}
		return try.Finish(tx, resp)
	})
	if err != nil {
		// Whatever was done stands in the attempt's row, and the next try finds it there.
		return nil, try.Abandon(aside, reason.Of(err))
	}
	return resp, nil
}
