package peertest

import (
	"context"
	"errors"
	"io"
	"maps"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/rpcerr"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
)

type offboardings struct {
	documentsv1.UnimplementedOffboardingServiceServer
	w *World
}

// PreviewOffboarding implements OffboardingService.
func (s *offboardings) PreviewOffboarding(_ context.Context, req *documentsv1.PreviewOffboardingRequest) (*documentsv1.PreviewOffboardingResponse, error) {
	return call(s.w, "PreviewOffboarding", func() (*documentsv1.PreviewOffboardingResponse, error) {
		f := s.w.folder(req.GetClient())
		return &documentsv1.PreviewOffboardingResponse{Blockers: f.Blockers, DocumentCount: f.Documents}, nil
	})
}

// BeginOffboarding implements OffboardingService.
func (s *offboardings) BeginOffboarding(_ context.Context, req *documentsv1.BeginOffboardingRequest) (*documentsv1.BeginOffboardingResponse, error) {
	return call(s.w, "BeginOffboarding", func() (*documentsv1.BeginOffboardingResponse, error) {
		switch {
		case s.w.aborted[req.GetOffboarding()]:
			return nil, errAborted
		case s.w.fencedByOther(req.GetClient(), req.GetOffboarding()):
			return nil, errFenced
		}
		f := s.w.folder(req.GetClient())
		if req.GetOverride() && len(f.Blockers) > 0 {
			f.Blockers, f.Withdrawn = nil, req.GetReason()
		}
		if len(f.Blockers) > 0 {
			return &documentsv1.BeginOffboardingResponse{Blockers: f.Blockers}, nil
		}
		s.w.fences[req.GetOffboarding()] = req.GetClient()
		return &documentsv1.BeginOffboardingResponse{
			Folder: folderName(req.GetClient()), DocumentCount: f.Documents, TrailSequence: f.TrailSeq,
		}, nil
	})
}

// The refusals of the real services.
var (
	errAborted = rpcerr.New(codes.FailedPrecondition, documentsv1.ErrorReason_ERROR_REASON_ALREADY_ABORTED, "the off-boarding was aborted")
	errFenced  = rpcerr.New(codes.FailedPrecondition, documentsv1.ErrorReason_ERROR_REASON_CLIENT_FENCED, "the client is leaving")
)

// fencedByOther tells whether another off-boarding holds the client.
func (w *World) fencedByOther(client, offboarding string) bool {
	for other, held := range w.fences {
		if held == client && other != offboarding {
			return true
		}
	}
	return false
}

func folderName(client string) string { return strings.Replace(client, "/clients/", "/folders/", 1) }

// AbortOffboarding implements OffboardingService.
func (s *offboardings) AbortOffboarding(_ context.Context, req *documentsv1.AbortOffboardingRequest) (*documentsv1.AbortOffboardingResponse, error) {
	return call(s.w, "AbortOffboarding", func() (*documentsv1.AbortOffboardingResponse, error) {
		s.w.aborted[req.GetOffboarding()] = true
		delete(s.w.fences, req.GetOffboarding())
		f := s.w.folder(req.GetClient())
		maps.DeleteFunc(f.Files, func(_ string, file File) bool { return file.Offboarding == req.GetOffboarding() })
		return &documentsv1.AbortOffboardingResponse{}, nil
	})
}

// ReadClientTrail implements OffboardingService.
func (s *offboardings) ReadClientTrail(_ context.Context, req *documentsv1.ReadClientTrailRequest) (*documentsv1.ReadClientTrailResponse, error) {
	return call(s.w, "ReadClientTrail", func() (*documentsv1.ReadClientTrailResponse, error) {
		resp := &documentsv1.ReadClientTrailResponse{}
		for _, e := range s.w.folder(req.GetClient()).Trail {
			if e.GetSequence() > req.GetAfterSequence() {
				resp.Events = append(resp.Events, e)
			}
		}
		return resp, nil
	})
}

// CommitOffboarding implements OffboardingService.
func (s *offboardings) CommitOffboarding(_ context.Context, req *documentsv1.CommitOffboardingRequest) (*documentsv1.CommitOffboardingResponse, error) {
	return call(s.w, "CommitOffboarding", func() (*documentsv1.CommitOffboardingResponse, error) {
		f := s.w.folder(req.GetClient())
		delete(s.w.fences, req.GetOffboarding())
		f.State = "ORPHANED"
		if f.Documents == 0 {
			f.State = "REMOVED"
		}
		return &documentsv1.CommitOffboardingResponse{
			Folder: folderName(req.GetClient()), Removed: f.State == "REMOVED", DocumentCount: f.Documents,
		}, nil
	})
}

// ReverseOffboarding implements OffboardingService.
func (s *offboardings) ReverseOffboarding(_ context.Context, req *documentsv1.ReverseOffboardingRequest) (*documentsv1.ReverseOffboardingResponse, error) {
	return call(s.w, "ReverseOffboarding", func() (*documentsv1.ReverseOffboardingResponse, error) {
		f := s.w.folder(req.GetClient())
		resp := &documentsv1.ReverseOffboardingResponse{Folder: folderName(req.GetClient()), DocumentCount: f.Documents}
		if f.State == "DESTROYED" {
			resp.Missing = []string{"the folder was destroyed by a person"}
		}
		f.State = "CLIENT"
		return resp, nil
	})
}

type documents struct {
	documentsv1.UnimplementedDocumentServiceServer
	w *World
}

// FileSystemDocument implements DocumentService.
func (s *documents) FileSystemDocument(stream grpc.ClientStreamingServer[documentsv1.FileSystemDocumentRequest, documentsv1.FileSystemDocumentResponse]) error {
	var head *documentsv1.FileSystemDocumentRequest
	var text strings.Builder
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if head == nil {
			head = m
		}
		text.Write(m.GetData())
	}
	resp, err := call(s.w, "FileSystemDocument", func() (*documentsv1.FileSystemDocumentResponse, error) {
		if s.w.aborted[head.GetOffboarding()] {
			return nil, errAborted
		}
		f := s.w.folder(head.GetClient())
		if f.Files[head.GetKey()].Revision <= head.GetRevision() {
			f.Files[head.GetKey()] = File{Text: text.String(), Revision: head.GetRevision(), Offboarding: head.GetOffboarding()}
		}
		return &documentsv1.FileSystemDocumentResponse{
			Document:        &documentsv1.Document{Name: head.GetFirm() + "/documents/" + head.GetKey(), DisplayName: head.GetDisplayName()},
			InRecordsFolder: f.Documents == 0, TrailSequence: f.TrailSeq, Revision: f.Files[head.GetKey()].Revision,
		}, nil
	})
	if err != nil {
		return err
	}
	return stream.SendAndClose(resp)
}

type accounts struct {
	authv1.UnimplementedAccountServiceServer
	w *World
}

// FenceContactLogins implements AccountService.
func (s *accounts) FenceContactLogins(_ context.Context, req *authv1.FenceContactLoginsRequest) (*authv1.FenceContactLoginsResponse, error) {
	return call(s.w, "FenceContactLogins", func() (*authv1.FenceContactLoginsResponse, error) {
		if !s.w.lifted[req.GetSaga()] { // a fence that was lifted is over for good
			s.w.guarded[req.GetSaga()] = req.GetContacts()
		}
		resp := &authv1.FenceContactLoginsResponse{}
		for _, c := range req.GetContacts() {
			if s.w.logins[c] {
				resp.ContactsWithLogin = append(resp.ContactsWithLogin, c)
			}
		}
		return resp, nil
	})
}

// LiftContactLoginFence implements AccountService.
func (s *accounts) LiftContactLoginFence(_ context.Context, req *authv1.LiftContactLoginFenceRequest) (*authv1.LiftContactLoginFenceResponse, error) {
	return call(s.w, "LiftContactLoginFence", func() (*authv1.LiftContactLoginFenceResponse, error) {
		s.w.lifted[req.GetSaga()] = true
		delete(s.w.guarded, req.GetSaga())
		return &authv1.LiftContactLoginFenceResponse{}, nil
	})
}
