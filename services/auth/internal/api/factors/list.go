package factors

import (
	"context"
	"encoding/base64"
	"errors"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/store/factors"
)

// The names of the factors of which an account has one at most.
const (
	nameOfTOTP     = "factors/totp"
	nameOfMobile   = "factors/mobile"
	nameOfEmail    = "factors/email"
	nameOfRecovery = "factors/recovery-codes"
)

// defaultPage is the size of a page when the request names none.
const defaultPage = 50

// ListFactors implements authv1.FactorServiceServer.
func (s *Server) ListFactors(ctx context.Context, req *authv1.ListFactorsRequest) (*authv1.ListFactorsResponse, error) {
	after, err := readToken(req.GetPageToken())
	if err != nil {
		return nil, err
	}
	var all []*authv1.Factor
	err = s.DB.Read(ctx, func(tx *sqldb.Tx) error {
		c, err := s.caller(ctx, tx)
		if err == nil {
			all, err = s.all(tx, c)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b *authv1.Factor) int { return strings.Compare(a.GetName(), b.GetName()) })
	all = slices.DeleteFunc(all, func(f *authv1.Factor) bool { return f.GetName() <= after })
	size := int(req.GetPageSize())
	if size == 0 {
		size = defaultPage
	}
	resp := &authv1.ListFactorsResponse{Factors: all}
	if len(all) > size {
		resp.Factors = all[:size]
		resp.NextPageToken = base64.RawURLEncoding.EncodeToString([]byte(all[size-1].GetName()))
	}
	return resp, nil
}

// factorName is what the name of a factor looks like.
var factorName = regexp.MustCompile(`^factors/[0-9a-z-]{1,36}$`)

// readToken reads where a page ended: the name of its last factor.
func readToken(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	name, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || !factorName.Match(name) {
		return "", rpcerr.Default(codes.InvalidArgument).Field("page_token", "page_token",
			"must be the next_page_token of an answer to the same request")
	}
	return string(name), nil
}

// all are the caller's factors.
func (s *Server) all(tx *sqldb.Tx, c caller) (out []*authv1.Factor, err error) {
	disabled := !c.account.PIN.Disabled.IsZero()
	if s.Passkeys != nil {
		keys, err := s.Passkeys.List(tx, c.account.ID)
		if err != nil {
			return nil, err
		}
		for _, k := range keys {
			out = append(out, passkeyMessage(k, c.firm.Allows(c.account, account.Passkey)))
		}
	}
	switch t, err := factors.TOTPOf(tx, c.account.ID); {
	case err == nil:
		out = append(out, &authv1.Factor{
			Name: nameOfTOTP, Kind: authv1.FactorKind_FACTOR_KIND_TOTP, CreateTime: stamp(t.Created), LastUseTime: stamp(t.Used),
			Allowed: c.firm.Allows(c.account, account.TOTP), Disabled: disabled,
		})
	case !errors.Is(err, sqldb.ErrNotFound):
		return nil, err
	}
	if c.account.Mobile != "" {
		out = append(out, &authv1.Factor{
			Name: nameOfMobile, Kind: authv1.FactorKind_FACTOR_KIND_SMS_PIN, DisplayName: account.MaskMobile(c.account.Mobile),
			CreateTime: stamp(c.account.MobileValidated), Allowed: c.firm.Allows(c.account, account.SMSPIN), Disabled: disabled,
		})
	}
	out = append(out, &authv1.Factor{
		Name: nameOfEmail, Kind: authv1.FactorKind_FACTOR_KIND_EMAIL_PIN, DisplayName: account.MaskEmail(c.account.Email),
		Allowed: c.firm.EmailPINAllowed(c.account), Disabled: disabled,
	})
	left, err := s.Proofs.RecoveryLeft(tx, c.account.ID, s.Now())
	if err != nil {
		return nil, err
	}
	if !left.Created.IsZero() {
		out = append(out, &authv1.Factor{
			Name: nameOfRecovery, Kind: authv1.FactorKind_FACTOR_KIND_RECOVERY_CODE, CreateTime: stamp(left.Created),
			LastUseTime: stamp(left.Used), Allowed: true, CodesLeft: int32(left.Kept),
		})
	}
	return out, nil
}
