// Package api answers auth's RPCs: it reads requests, asks the rules and the store, and says what came of it.
//
// Who may call what was decided before, by the rule on each RPC; the firm of a request is the caller's own, or the one a
// service names. What is about the caller's own session goes by the session of its token, never by what the request says.
package api

import (
	"context"
	"log/slog"
	"strings"

	"google.golang.org/grpc"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/idem"
	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/vault"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/api/factors"
	"github.com/concord-suite/concord/services/auth/internal/api/issuer"
	"github.com/concord-suite/concord/services/auth/internal/api/lock"
	"github.com/concord-suite/concord/services/auth/internal/api/messages"
	"github.com/concord-suite/concord/services/auth/internal/api/oauth"
	"github.com/concord-suite/concord/services/auth/internal/api/outbound"
	"github.com/concord-suite/concord/services/auth/internal/api/passwords"
	"github.com/concord-suite/concord/services/auth/internal/api/policy"
	"github.com/concord-suite/concord/services/auth/internal/api/signin"
	"github.com/concord-suite/concord/services/auth/internal/api/staffing"
	"github.com/concord-suite/concord/services/auth/internal/password"
	"github.com/concord-suite/concord/services/auth/internal/store"
)

// Server answers the RPCs. Its fields are set once, before use.
type Server struct {
	DB     *sqldb.DB
	Memory *idem.Memory
	Vault  *vault.Vault
	SignIn *signin.Service
	Hasher *password.Hasher
	// ContactsKnown tells whether it is known now which contacts of a firm are still there; nil when nobody tells.
	ContactsKnown func(ctx context.Context, firm string) (bool, error)
	// Staffing changes and resets staff.
	Staffing *staffing.Keeper
	// Passwords changes passwords.
	Passwords *passwords.Book
	Issuer    *issuer.Issuer
	// Factors answers FactorService.
	Factors *factors.Server
	// AddIns is the authorization server, which answers AddInService.
	AddIns *oauth.Server
	// Policy keeps what firms ask of those who sign in.
	Policy *policy.Keeper
	// Lock opens sessions that were not used for long.
	Lock *lock.Keeper
	// Contacts is the client list, which knows whether a contact exists.
	Contacts syncv1.ContactServiceClient
	// Messages answers what is about text messages and the look of e-mails.
	Messages *messages.Server
	// Post writes the e-mails that may wait.
	Post   *outbound.Post
	Now    access.Clock
	Logger *slog.Logger
	// Site is where invitations lead, without a slash at the end.
	Site string
	// Countries are those to which text messages may go.
	Countries []string

	known knownSessions
}

// Register adds the services to a registrar.
func (s *Server) Register(r grpc.ServiceRegistrar) {
	authv1.RegisterSignInServiceServer(r, signInServer{Server: s})
	authv1.RegisterSessionServiceServer(r, sessionServer{Server: s})
	authv1.RegisterFirmServiceServer(r, firmServer{Server: s})
	authv1.RegisterAccountServiceServer(r, accountServer{Server: s})
	authv1.RegisterKeyServiceServer(r, keyServer{Server: s})
	authv1.RegisterLedgerServiceServer(r, ledgerServer{Server: s})
	authv1.RegisterFactorServiceServer(r, s.Factors)
	authv1.RegisterPasswordServiceServer(r, passwordServer{Server: s})
	authv1.RegisterAddInServiceServer(r, s.AddIns)
	authv1.RegisterDeliveryServiceServer(r, s.Messages)
	authv1.RegisterEvidenceServiceServer(r, evidenceServer{Server: s})
}

// One type per service, since two of them could have methods of the same name. Embedding the Unsafe form keeps a new RPC
// from compiling before it is written.
type (
	signInServer struct {
		authv1.UnsafeSignInServiceServer
		*Server
	}
	sessionServer struct {
		authv1.UnsafeSessionServiceServer
		*Server
	}
	firmServer struct {
		authv1.UnsafeFirmServiceServer
		*Server
	}
	accountServer struct {
		authv1.UnsafeAccountServiceServer
		*Server
	}
	keyServer struct {
		authv1.UnsafeKeyServiceServer
		*Server
	}
	passwordServer struct {
		authv1.UnsafePasswordServiceServer
		*Server
	}
	evidenceServer struct {
		authv1.UnsafeEvidenceServiceServer
		*Server
	}
	ledgerServer struct {
		authv1.UnsafeLedgerServiceServer
		*Server
	}
)

// addressOf is the network address the caller came from.
func addressOf(ctx context.Context) string { return access.From(ctx).Address }

// firmOf reads the firm of a name that the rule has checked.
func firmOf(name string) string {
	firm, _ := names.Firm(name) // the contract's pattern and the rule have made sure of it
	return firm
}

// childOf reads firm and id of a name below a firm whose pattern the contract has checked.
func childOf(pattern, name string) (firm, id string) {
	ids, err := names.Parse(pattern, name)
	if err != nil || len(ids) != 2 {
		return "", ""
	}
	return ids[0], ids[1]
}

// cleanName is a name to show, without spaces around it.
func cleanName(field, text string) (string, error) {
	text = strings.TrimSpace(text)
	if text == "" || strings.ContainsFunc(text, account.Unseen) {
		return "", violation(field, "display_name", "must be a name on one line, of characters that can be seen")
	}
	return text, nil
}

// cleanEmail is an address in the form in which it is stored.
func cleanEmail(field, text string) (string, error) {
	email, err := account.NormalizeEmail(text)
	if err != nil {
		return "", violation(field, "email", "must be an e-mail address")
	}
	return email, nil
}

// cleanMobile is a number in the form in which it is stored, or "" for none.
func (s *Server) cleanMobile(field, text string) (string, error) {
	if strings.TrimSpace(text) == "" {
		return "", nil
	}
	mobile, err := account.NormalizeMobile(text, s.Countries)
	switch err {
	case nil:
		return mobile, nil
	case account.ErrCountry:
		return "", violation(field, "mobile_country", "is in a country to which no text messages are sent; allowed are "+
			strings.Join(s.Countries, ", "))
	}
	return "", violation(field, "mobile", "must be a mobile number in international form, such as +61 491 570 156")
}

// salted makes sure that an address has its salt, before the first account with it.
func salted(tx *sqldb.Tx, email string) error {
	_, err := store.Salt(tx, email, password.NewSalt())
	return err
}
