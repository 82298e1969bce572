package story

import (
	"crypto/hmac"
	"crypto/sha1" // what authenticator programs use (RFC 6238)
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/test/rest"
)

// totpStep is for how many seconds one code of an authenticator program is shown.
const totpStep = 30

// Authenticator is somebody's authenticator program.
type Authenticator struct{ secret []byte }

// NewAuthenticator types a secret in, as it is shown.
func NewAuthenticator(t testing.TB, secret string) *Authenticator {
	t.Helper()
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ToUpper(strings.ReplaceAll(secret, " ", "")))
	require.NoError(t, err)
	return &Authenticator{secret: raw}
}

// Code is the code of the present moment.
func (a *Authenticator) Code() string { return a.at(time.Now().Unix() / totpStep) }

// Previous is the code before, which is still taken.
func (a *Authenticator) Previous() string { return a.at(time.Now().Unix()/totpStep - 1) }

func (a *Authenticator) at(step int64) string {
	sum := hmac.New(sha1.New, a.secret)
	sum.Write(binary.BigEndian.AppendUint64(nil, uint64(step)))
	h := sum.Sum(nil)
	at := h[len(h)-1] & 0x0f
	return fmt.Sprintf("%06d", (binary.BigEndian.Uint32(h[at:])&0x7fffffff)%1_000_000)
}

// EnrolTOTP enrols an authenticator program and answers it with the recovery codes that came along. The recovery code is
// for a weak session, else empty.
func (p *Person) EnrolTOTP(t testing.TB, recoveryCode string) (*Authenticator, []string) {
	t.Helper()
	start := new(authv1.StartTotpEnrolmentResponse)
	require.NoError(t, p.Call(t.Context(), "POST", "/v1/factors:startTotp", &authv1.StartTotpEnrolmentRequest{RecoveryCode: recoveryCode}, start))
	program := NewAuthenticator(t, start.GetSecret())
	done := new(authv1.FinishTotpEnrolmentResponse)
	require.NoError(t, p.Call(t.Context(), "POST", "/v1/factors:finishTotp", &authv1.FinishTotpEnrolmentRequest{
		Enrolment: start.GetEnrolment(), Code: program.Previous(), // so that the present one is left to sign in with
	}, done))
	require.Equal(t, authv1.FactorKind_FACTOR_KIND_TOTP, done.GetFactor().GetKind())
	return program, done.GetRecoveryCodes()
}

// Begin shows a password and answers what comes next.
func (p *Person) Begin(t testing.TB, password string) (*authv1.StartSignInResponse, error) {
	t.Helper()
	start := new(authv1.StartSignInResponse)
	return start, p.Call(t.Context(), "POST", "/v1/sign-in", &authv1.StartSignInRequest{Email: p.Email, Password: password}, start)
}

// Prove redeems a challenge with something else than a PIN; the session becomes the person's.
func (p *Person) Prove(t testing.TB, challenge string, proof *authv1.VerifyFactorRequest) (*authv1.Session, error) {
	t.Helper()
	proof.Challenge = challenge
	done := new(authv1.VerifyFactorResponse)
	err := p.Call(t.Context(), "POST", "/v1/sign-in/challenges/"+challenge+":verifyFactor", proof, done)
	if err != nil {
		return nil, err
	}
	p.Token = done.GetSessionToken()
	return done.GetSession(), nil
}

// Newest is the newest message of each of the person's addresses, for Mail and Text to look behind.
func (p *Person) Newest(t testing.TB) map[string]string { t.Helper(); return p.newest(t) }

// Mail is the first e-mail after those that fits.
func (p *Person) Mail(t testing.TB, after map[string]string, fits func(string) bool) string {
	t.Helper()
	var found string
	seen := after[p.Email]
	Eventually(t, "an e-mail arrives for "+p.Email, func() bool {
		msgs, err := p.world.Messages(t.Context(), p.Email, seen, time.Second)
		require.NoError(t, err)
		for _, m := range msgs {
			seen = m.ID
			if fits(m.Text) {
				found = m.Text
				return true
			}
		}
		return false
	})
	return found
}

// Apart is the same person in another browser, not signed in there yet.
func (p *Person) Apart() *Person {
	other := *p
	other.Client = rest.New(p.Base)
	return &other
}
