package api

import (
	"context"

	"github.com/concord-suite/concord/platform/names"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"

	"github.com/concord-suite/concord/services/connector/internal/api/doctor"
	"github.com/concord-suite/concord/services/connector/internal/api/reason"
	"github.com/concord-suite/concord/services/connector/internal/api/wire"
	"github.com/concord-suite/concord/services/connector/internal/connection"
	"github.com/concord-suite/concord/services/connector/internal/provider/upstream"
	"github.com/concord-suite/concord/services/connector/internal/store"
)

// DiagnoseConnection looks at a connection from all sides.
func (s *Connections) DiagnoseConnection(ctx context.Context, req *connectorv1.DiagnoseConnectionRequest) (*connectorv1.DiagnoseConnectionResponse, error) {
	r, err := ref("name", store.ConnectionPattern, req.GetName())
	if err != nil {
		return nil, err
	}
	d := doctor.Doctor{DB: s.DB, Providers: s.Providers, Upstream: s.Upstream, Custody: s.Flow.Custody, Policy: s.policy, Now: s.Now}
	c, findings, err := d.Examine(upstream.Aside(ctx), r)
	if err != nil {
		return nil, reason.Of(err)
	}
	return Diagnosis(c, findings), nil
}

// policy asks auth whether two-factor sign-in is enforced in a firm.
func (s *Connections) policy(ctx context.Context, firm string) (doctor.Policy, error) {
	resp, err := s.Flow.Auth.GetSecurityPolicy(ctx, &authv1.GetSecurityPolicyRequest{Name: names.Format(names.FirmPattern, firm) + "/securityPolicy"})
	return doctor.Policy{Enforced: resp.GetPolicy().GetTwoFactorEnforced(), RequiredBy: resp.GetPolicy().GetRequiredBy()}, err
}

var levels = map[doctor.Level]connectorv1.FindingLevel{
	doctor.OK:      connectorv1.FindingLevel_FINDING_LEVEL_OK,
	doctor.Warning: connectorv1.FindingLevel_FINDING_LEVEL_WARNING,
	doctor.Problem: connectorv1.FindingLevel_FINDING_LEVEL_PROBLEM,
}

// Diagnosis writes what was found.
func Diagnosis(c connection.Connection, findings []doctor.Finding) *connectorv1.DiagnoseConnectionResponse {
	resp := &connectorv1.DiagnoseConnectionResponse{Connection: wire.ToConnection(c)}
	for _, f := range findings {
		resp.Findings = append(resp.Findings, &connectorv1.Finding{
			Subject: f.Subject, Level: levels[f.Level], Description: f.Description, Action: f.Action})
	}
	return resp
}
