package api

import (
	"context"
	"errors"

	"github.com/concord-suite/concord/platform/sqldb"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	"github.com/concord-suite/concord/services/documents/internal/filing"
	"github.com/concord-suite/concord/services/documents/internal/store"
	"github.com/concord-suite/concord/services/documents/internal/store/cabinet"
)

// offboardings implements OffboardingService. Its calls are known by client and off-boarding, and each can be repeated.
type offboardings struct {
	documentsv1.UnimplementedOffboardingServiceServer
	Deps
}

// step is a request about one off-boarding of one client.
type step interface {
	GetClient() string
	GetOffboarding() string
}

func stepOf(req step) (firm, client, offboarding string, err error) {
	if firm, client, err = parse("client", cabinet.ClientPattern, req.GetClient()); err != nil {
		return "", "", "", err
	}
	offboarding, err = within(firm, "offboarding", cabinet.OffboardingPattern, req.GetOffboarding())
	return firm, client, offboarding, err
}

// PreviewOffboarding implements documentsv1.OffboardingServiceServer.
func (s *offboardings) PreviewOffboarding(ctx context.Context, req *documentsv1.PreviewOffboardingRequest) (*documentsv1.PreviewOffboardingResponse, error) {
	firm, client, err := parse("client", cabinet.ClientPattern, req.GetClient())
	if err != nil {
		return nil, err
	}
	standing, err := read(ctx, s.DB, func(tx *sqldb.Tx) (cabinet.Standing, error) {
		standing, err := s.Cabinet.PreviewOffboarding(tx, firm, client)
		if errors.Is(err, filing.ErrNotFound) { // a client nobody filed anything for leaves nothing behind
			err = nil
		}
		return standing, err
	})
	if err != nil {
		return nil, err
	}
	return &documentsv1.PreviewOffboardingResponse{
		Blockers: blockerMessages(firm, standing.Holdings), DocumentCount: standing.Documents,
		Folder: name(cabinet.FolderPattern, firm, standing.Folder),
	}, nil
}

// BeginOffboarding implements documentsv1.OffboardingServiceServer.
func (s *offboardings) BeginOffboarding(ctx context.Context, req *documentsv1.BeginOffboardingRequest) (*documentsv1.BeginOffboardingResponse, error) {
	firm, client, offboarding, err := stepOf(req)
	if err != nil {
		return nil, err
	}
	fencing := cabinet.Fencing{Firm: firm, Client: client, Offboarding: offboarding, Override: req.GetOverride(),
		Reason: req.GetReason(), Actor: Actor(ctx)}
	standing, err := write(ctx, s.DB, func(tx *sqldb.Tx) (cabinet.Standing, error) { return s.Cabinet.BeginOffboarding(tx, fencing) })
	if err != nil {
		return nil, err
	}
	return &documentsv1.BeginOffboardingResponse{
		Blockers: blockerMessages(firm, standing.Holdings), Folder: name(cabinet.FolderPattern, firm, standing.Folder),
		DocumentCount: standing.Documents, TrailSequence: standing.Trail,
	}, nil
}

// trailPage is how many events ReadClientTrail answers at most, as the contract says.
const trailPage = 500

// ReadClientTrail implements documentsv1.OffboardingServiceServer.
func (s *offboardings) ReadClientTrail(ctx context.Context, req *documentsv1.ReadClientTrailRequest) (*documentsv1.ReadClientTrailResponse, error) {
	firm, client, err := parse("client", cabinet.ClientPattern, req.GetClient())
	if err != nil {
		return nil, err
	}
	told, err := read(ctx, s.DB, func(tx *sqldb.Tx) ([]cabinet.Told, error) {
		return s.Cabinet.TrailAfter(tx, firm, client, req.GetAfterSequence(), trailPage)
	})
	if err != nil {
		return nil, err
	}
	resp := &documentsv1.ReadClientTrailResponse{}
	for _, t := range told {
		resp.Events = append(resp.Events, &documentsv1.TrailEvent{
			Subject: t.Subject, Sequence: t.Trail.GetSequence(), OccurTime: t.Trail.GetOccurTime(), Actor: t.Trail.GetActor(),
			Summary: t.Trail.GetSummary(), Resource: t.Resource,
		})
	}
	return resp, nil
}

// AbortOffboarding implements documentsv1.OffboardingServiceServer.
func (s *offboardings) AbortOffboarding(ctx context.Context, req *documentsv1.AbortOffboardingRequest) (*documentsv1.AbortOffboardingResponse, error) {
	firm, client, offboarding, err := stepOf(req)
	if err != nil {
		return nil, err
	}
	return write(ctx, s.DB, func(tx *sqldb.Tx) (*documentsv1.AbortOffboardingResponse, error) {
		return &documentsv1.AbortOffboardingResponse{}, s.Cabinet.AbortOffboarding(tx, firm, client, offboarding)
	})
}

// CommitOffboarding implements documentsv1.OffboardingServiceServer.
func (s *offboardings) CommitOffboarding(ctx context.Context, req *documentsv1.CommitOffboardingRequest) (*documentsv1.CommitOffboardingResponse, error) {
	firm, client, offboarding, err := stepOf(req)
	if err != nil {
		return nil, err
	}
	left, err := write(ctx, s.DB, func(tx *sqldb.Tx) (cabinet.Left, error) {
		return s.Cabinet.CommitOffboarding(tx, firm, client, offboarding)
	})
	if err != nil {
		return nil, err
	}
	return &documentsv1.CommitOffboardingResponse{
		Folder: name(cabinet.FolderPattern, firm, left.Folder), Removed: left.Removed, DocumentCount: left.Documents,
	}, nil
}

// ReverseOffboarding implements documentsv1.OffboardingServiceServer.
func (s *offboardings) ReverseOffboarding(ctx context.Context, req *documentsv1.ReverseOffboardingRequest) (*documentsv1.ReverseOffboardingResponse, error) {
	firm, client, offboarding, err := stepOf(req)
	if err != nil {
		return nil, err
	}
	display := store.Honest(req.GetDisplayName())
	back, err := write(ctx, s.DB, func(tx *sqldb.Tx) (cabinet.Return, error) {
		return s.Cabinet.ReverseOffboarding(tx, firm, client, offboarding, display)
	})
	if err != nil {
		return nil, err
	}
	return &documentsv1.ReverseOffboardingResponse{
		Folder: name(cabinet.FolderPattern, firm, back.Folder), DocumentCount: back.Documents, Missing: back.Missing,
	}, nil
}
