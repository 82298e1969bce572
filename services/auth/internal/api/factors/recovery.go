package factors

import (
	"context"

	"github.com/concord-suite/concord/platform/sqldb"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
)

// GenerateRecoveryCodes implements authv1.FactorServiceServer. A session that rests on a recovery code, or on an approval,
// makes none: each is good for one way back in, not for ten.
func (s *Server) GenerateRecoveryCodes(ctx context.Context, _ *authv1.GenerateRecoveryCodesRequest) (*authv1.GenerateRecoveryCodesResponse, error) {
	resp := &authv1.GenerateRecoveryCodesResponse{}
	err := s.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		c, err := s.caller(ctx, tx)
		if err != nil {
			return err
		}
		if !confirmed(c.session, s.Now()) {
			return errStepUp
		}
		if resp.RecoveryCodes, err = s.Proofs.MakeRecovery(tx, c.account, s.Now()); err != nil {
			return err
		}
		return s.tellHolder(tx, c, "New recovery codes were made for your account. Those before are void.")
	})
	if err != nil {
		return nil, err
	}
	return resp, nil
}
