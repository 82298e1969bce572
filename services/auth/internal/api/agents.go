package api

import (
	"context"

	"github.com/google/uuid"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/idem"
	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/sqldb"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/services/auth/internal/session"
	"github.com/concord-suite/concord/services/auth/internal/store"
)

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
