package rest

import (
	"context"
	"net/http"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/concord-suite/concord/gateway/internal/session"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
)

// endWait is how long a sign-in waits for the end of the session before it.
const endWait = 2 * time.Second

// cookieAnswers moves secrets of an answer from its body into cookies: the session token when a browser asked for that,
// the browser binding of a connect attempt always.
func cookieAnswers(
	cookies session.Cookies, sessions *session.Cache, auth authv1.SessionServiceClient,
) func(context.Context, http.ResponseWriter, proto.Message) error {
	give := func(ctx context.Context, w http.ResponseWriter, token *string, expires time.Time) {
		if *token == "" || !session.WantsCookie(ctx) {
			return
		}
		cookies.SetSession(w, *token, expires)
		*token = ""
	}
	// signedIn ends the session that the browser held before: its token is overwritten, so nobody could (OWASP ASVS 5, 7.2.4).
	// Whether that succeeds or not, the person is signed in.
	signedIn := func(ctx context.Context, w http.ResponseWriter, token *string, expires time.Time) {
		if *token != "" && session.FromCookie(ctx) {
			bounded, cancel := context.WithTimeout(ctx, endWait)
			_, _ = auth.DiscardSession(bounded, &authv1.DiscardSessionRequest{})
			cancel()
			sessions.ForgetToken(session.Token(ctx))
		}
		give(ctx, w, token, expires)
	}
	return func(ctx context.Context, w http.ResponseWriter, msg proto.Message) error {
		switch m := msg.(type) {
		case *authv1.StartSignInResponse:
			signedIn(ctx, w, &m.SessionToken, m.GetSession().GetExpireTime().AsTime())
		case *authv1.VerifyPinResponse:
			signedIn(ctx, w, &m.SessionToken, m.GetSession().GetExpireTime().AsTime())
		case *authv1.VerifyFactorResponse:
			signedIn(ctx, w, &m.SessionToken, m.GetSession().GetExpireTime().AsTime())
		case *authv1.UnlockSessionResponse:
			sessions.ForgetToken(session.Token(ctx))
			give(ctx, w, &m.SessionToken, m.GetSession().GetExpireTime().AsTime())
		case *authv1.VerifyStepUpResponse:
			sessions.ForgetToken(session.Token(ctx))
			give(ctx, w, &m.SessionToken, m.GetSession().GetExpireTime().AsTime())
		case *authv1.SignOutResponse, *authv1.DiscardSessionResponse:
			sessions.ForgetToken(session.Token(ctx))
			cookies.ClearSession(w)
		case *connectorv1.StartConnectAttemptResponse:
			cookies.SetAttempt(w, m.GetBrowserBinding(), m.GetAttempt().GetExpireTime().AsTime())
			m.BrowserBinding = ""
		}
		return nil
	}
}
