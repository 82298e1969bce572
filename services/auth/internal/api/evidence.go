package api

import (
	"context"
	"net/url"

	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/services/auth/internal/api/evidence"
)

// GetEvidence implements authv1.EvidenceServiceServer.
func (s evidenceServer) GetEvidence(ctx context.Context, req *authv1.GetEvidenceRequest) (*authv1.GetEvidenceResponse, error) {
	e, err := s.Evidence(ctx, firmOf(req.GetName()))
	if err != nil {
		return nil, err
	}
	return &authv1.GetEvidenceResponse{Evidence: e}, nil
}

// Evidence counts the evidence of a firm. Of the server it needs the database, the vault, the clock and the site.
func (s *Server) Evidence(ctx context.Context, firm string) (*authv1.Evidence, error) {
	site, err := url.Parse(s.Site)
	if err != nil {
		return nil, err
	}
	source := evidence.Source{DB: s.DB, Vault: s.Vault, Now: s.Now, Site: site.Hostname(), Policy: readPolicy}
	return source.Of(ctx, firm)
}
