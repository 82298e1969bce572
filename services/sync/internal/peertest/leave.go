package peertest

import (
	"context"
	"errors"
	"io"
	"strings"

	"google.golang.org/grpc"

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

func folderName(client string) string { return strings.Replace(client, "/clients/", "/folders/", 1) }

// AbortOffboarding implements OffboardingService.
func (s *offboardings) AbortOffboarding(_ context.Context, req *documentsv1.AbortOffboardingRequest) (*documentsv1.AbortOffboardingResponse, error) {
	return call(s.w, "AbortOffboarding", func() (*documentsv1.AbortOffboardingResponse, error) {
		delete(s.w.fences, req.GetOffboarding())
		return &documentsv1.AbortOffboardingResponse{}, nil
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
		f := s.w.folder(head.GetClient())
		f.Files[head.GetKey()] = text.String()
		return &documentsv1.FileSystemDocumentResponse{
			Document:        &documentsv1.Document{Name: head.GetFirm() + "/documents/" + head.GetKey(), DisplayName: head.GetDisplayName()},
			InRecordsFolder: f.Documents == 0,
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
		s.w.guarded[req.GetSaga()] = req.GetContacts()
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
		delete(s.w.guarded, req.GetSaga())
		return &authv1.LiftContactLoginFenceResponse{}, nil
	})
}
