package api

import (
	"context"
	"crypto/subtle"
	"errors"

	"github.com/google/uuid"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/idem"
	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/sqldb"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/api/signin"
	"github.com/concord-suite/concord/services/auth/internal/session"
	"github.com/concord-suite/concord/services/auth/internal/store"
)

// addInKind is what an Add-In's session acts as.
const addInKind = access.AddIn

// AuthorizeAddIn implements authv1.AccountServiceServer.
func (s accountServer) AuthorizeAddIn(ctx context.Context, req *authv1.AuthorizeAddInRequest) (*authv1.AuthorizeAddInResponse, error) {
	addIn, err := cleanName("add_in", req.GetAddIn())
	if err != nil {
		return nil, err
	}
	code, hash := session.NewToken(session.ForConsent)
	err = s.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		now := s.Now()
		consenting, err := store.Session(tx, access.From(ctx).Session)
		if err != nil && !errors.Is(err, sqldb.ErrNotFound) {
			return err
		}
		if err != nil || !consenting.Live(now) {
			return errSessionEnded
		}
		return store.InsertConsent(tx, hash, store.Consent{
			Session: consenting.ID, AddIn: addIn, RedirectURI: req.GetRedirectUri(), Challenge: req.GetCodeChallenge(),
			Expires: now.Add(session.ConsentLife),
		})
	})
	if err != nil {
		return nil, err
	}
	return &authv1.AuthorizeAddInResponse{Code: code}, nil
}

// ExchangeAddInCode implements authv1.AccountServiceServer.
func (s accountServer) ExchangeAddInCode(ctx context.Context, req *authv1.ExchangeAddInCodeRequest) (*authv1.ExchangeAddInCodeResponse, error) {
	ctx, done := signin.Apart(ctx)
	defer done()
	hash := session.Hash(req.GetCode())
	var resp *authv1.ExchangeAddInCodeResponse
	var verdict error // what is told after a transaction that is committed all the same
	err := s.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		resp, verdict = nil, nil
		c, err := store.ConsentBy(tx, hash)
		if errors.Is(err, sqldb.ErrNotFound) {
			return errRefused
		}
		if err != nil {
			return err
		}
		if !c.Used.IsZero() {
			// Two have had the code, and one of them has no right to it: what it opened ends (RFC 9700 §4.5.3).
			verdict = errRefused
			if c.Opened == "" {
				return nil
			}
			_, err := store.Ended(tx, store.End{Session: c.Opened}, s.Now())
			return err
		}
		opened, token, err := s.openAddIn(tx, c, req, addressOf(ctx))
		if errors.Is(err, errRefused) {
			verdict = err // one try: a wrong verifier uses the code up
			opened.ID, err = "", nil
		}
		if err != nil {
			return err
		}
		resp = &authv1.ExchangeAddInCodeResponse{AccessToken: token, ExpireTime: stamp(opened.Expires)}
		if used, err := store.UseConsent(tx, hash, opened.ID, s.Now()); err != nil || !used {
			return cmpErr(err, errRefused)
		}
		return nil
	})
	if err == nil {
		err = verdict
	}
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// openAddIn opens the session of an Add-In for a consent, or answers errRefused.
func (s *Server) openAddIn(tx *sqldb.Tx, c store.Consent, req *authv1.ExchangeAddInCodeRequest, address string) (session.Session, string, error) {
	now := s.Now()
	sameURI := subtle.ConstantTimeCompare([]byte(c.RedirectURI), []byte(req.GetRedirectUri())) == 1
	if !now.Before(c.Expires) || !sameURI || !session.ProvesChallenge(req.GetCodeVerifier(), c.Challenge) {
		return session.Session{}, "", errRefused
	}
	parent, err := store.Session(tx, c.Session)
	if err != nil {
		return session.Session{}, "", err
	}
	holder, err := store.Account(tx, parent.Firm, parent.Account)
	if err != nil {
		return session.Session{}, "", err
	}
	f, err := store.FirmOf(tx, parent.Firm)
	if err != nil {
		return session.Session{}, "", err
	}
	if !parent.Live(now) || holder.State != account.Active || !parent.Allowed(f, holder) {
		return session.Session{}, "", errRefused
	}
	token, hash := session.NewToken(session.ForAddIn)
	opened := session.Session{
		ID: uuid.Must(uuid.NewV7()).String(), Firm: parent.Firm, Account: parent.Account, Kind: session.AddIn,
		Parent: parent.ID, AddIn: c.AddIn, Strength: parent.Strength, Methods: parent.Methods, Created: now, Used: now,
		Expires: parent.Expires, Address: address, // it ends with the session of the person, at the latest
	}
	return opened, token, store.InsertSession(tx, hash, opened)
}

// CreateAgent implements authv1.AccountServiceServer.
func (s accountServer) CreateAgent(ctx context.Context, req *authv1.CreateAgentRequest) (*authv1.CreateAgentResponse, error) {
	name, err := cleanName("display_name", req.GetDisplayName())
	if err != nil {
		return nil, err
	}
	credential, hash := session.NewToken(session.ForAgent)
	a := store.Agent{
		ID: uuid.Must(uuid.NewV7()).String(), Firm: firmOf(req.GetParent()), DisplayName: name,
		CreatedBy: access.From(ctx).ID, Created: s.Now(),
	}
	return idem.Do(ctx, s.Memory, req, func(tx *sqldb.Tx) (*authv1.CreateAgentResponse, error) {
		return &authv1.CreateAgentResponse{
			Agent: names.Format(store.AgentName, a.Firm, a.ID), Credential: credential,
		}, store.InsertAgent(tx, hash, a)
	})
}

// ListAgents implements authv1.AccountServiceServer.
func (s accountServer) ListAgents(ctx context.Context, req *authv1.ListAgentsRequest) (*authv1.ListAgentsResponse, error) {
	const kind = "agents"
	size := pageSize(req.GetPageSize())
	var after store.NameCursor
	if err := readToken(req.GetPageToken(), kind, &after); err != nil {
		return nil, err
	}
	var agents []store.Agent
	err := s.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
		agents, err = store.ListAgents(tx, firmOf(req.GetParent()), after, size+1)
		return err
	})
	if err != nil {
		return nil, err
	}
	agents, next, err := page(agents, size, kind, func(a store.Agent) any { return store.NameCursor{Name: a.DisplayName, ID: a.ID} })
	resp := &authv1.ListAgentsResponse{NextPageToken: next}
	for _, a := range agents {
		resp.Agents = append(resp.Agents, agentMessage(a))
	}
	return resp, err
}

// RevokeAgent implements authv1.AccountServiceServer.
func (s accountServer) RevokeAgent(ctx context.Context, req *authv1.RevokeAgentRequest) (*authv1.RevokeAgentResponse, error) {
	firm, id := childOf(store.AgentName, req.GetName())
	return idem.Do(ctx, s.Memory, req, func(tx *sqldb.Tx) (*authv1.RevokeAgentResponse, error) {
		if err := store.RevokeAgent(tx, firm, id, s.Now()); err != nil {
			return nil, err
		}
		agent, err := store.AgentOf(tx, firm, id)
		if err != nil {
			return nil, orNotFound(err)
		}
		return &authv1.RevokeAgentResponse{Agent: agentMessage(agent)}, nil
	})
}
