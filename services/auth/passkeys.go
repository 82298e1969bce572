package auth

import (
	"context"
	"errors"
	"net/url"

	"github.com/concord-suite/concord/services/auth/internal/api/passkeys"
	"github.com/concord-suite/concord/services/auth/internal/passkey"
)

// keepPasskeys lets people have passkeys for the host that the suite is reached at, when it has a name.
func (s *Service) keepPasskeys(ctx context.Context, public *url.URL) error {
	site, err := passkey.NewSite(public, "Concord")
	if errors.Is(err, passkey.ErrNoHost) {
		s.deps.Logger.WarnContext(ctx, "public_url is a network address: browsers make no passkeys for one, so nobody can have any")
		return nil
	}
	if err != nil {
		return err
	}
	keeper := &passkeys.Keeper{Site: site, Now: s.deps.Now, Logger: s.deps.Logger}
	s.api.SignIn.Passkeys, s.api.Factors.Passkeys = keeper, keeper
	return nil
}
