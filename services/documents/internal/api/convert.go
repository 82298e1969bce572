package api

import (
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/concord-suite/concord/platform/names"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	"github.com/concord-suite/concord/services/documents/internal/filing"
	"github.com/concord-suite/concord/services/documents/internal/signing"
	"github.com/concord-suite/concord/services/documents/internal/store/cabinet"
)

// stamp is the message for a moment; one that has not come is absent.
func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// name is a resource name; an absent id gives none.
func name(pattern, firm, id string) string {
	if id == "" {
		return ""
	}
	return names.Format(pattern, firm, id)
}

func folderMessage(f filing.Folder) *documentsv1.Folder {
	return &documentsv1.Folder{
		Name: name(cabinet.FolderPattern, f.Firm, f.ID), DisplayName: f.DisplayName,
		Kind:          documentsv1.FolderKind(documentsv1.FolderKind_value["FOLDER_KIND_"+string(f.Kind)]),
		State:         documentsv1.FolderState(documentsv1.FolderState_value["FOLDER_STATE_"+string(f.State)]),
		Client:        name(cabinet.ClientPattern, f.Firm, f.Client),
		DocumentCount: f.Documents, CreateTime: stamp(f.Created), DeleteTime: stamp(f.Gone), PurgeTime: stamp(f.Purge),
		Etag: strconv.FormatInt(f.Version, 10), Color: f.Color(),
	}
}

// DocumentMessage is the message for a document.
func DocumentMessage(d filing.Document) *documentsv1.Document {
	return &documentsv1.Document{
		Name: name(cabinet.DocumentPattern, d.Firm, d.ID), Folder: name(cabinet.FolderPattern, d.Firm, d.Folder),
		DisplayName: d.DisplayName, MediaType: d.MediaType, Size: d.Size, Sha256: d.SHA256, Published: d.Published,
		Archived: d.Where == filing.Archived, FiledBy: d.FiledBy, CreateTime: stamp(d.Created), SignatureOpen: d.SignatureOpen,
	}
}

// Uploaded is the answer to the bytes of an upload: what GetDocument answers from then on.
func Uploaded(d filing.Document) proto.Message {
	return &documentsv1.GetDocumentResponse{Document: DocumentMessage(d)}
}

func requestMessage(r signing.Request) *documentsv1.SignatureRequest {
	return &documentsv1.SignatureRequest{
		Name: name(cabinet.RequestPattern, r.Firm, r.ID), EmailJob: name(cabinet.JobPattern, r.Firm, r.Job),
		Document: name(cabinet.DocumentPattern, r.Firm, r.Document), DocumentDisplayName: r.DocumentName,
		Contact:   name(cabinet.ContactPattern, r.Firm, r.Contact),
		State:     documentsv1.SignatureState(documentsv1.SignatureState_value["SIGNATURE_STATE_"+string(r.State)]),
		CloseTime: stamp(r.Closed),
	}
}

func jobMessage(j signing.Job) *documentsv1.EmailJob {
	m := &documentsv1.EmailJob{
		Name: name(cabinet.JobPattern, j.Firm, j.ID), Number: j.Number, Client: name(cabinet.ClientPattern, j.Firm, j.Client),
		Subject: j.Subject, OpenSignatures: int32(min(j.OpenDocuments(), 1<<30)), SentBy: j.SentBy, CreateTime: stamp(j.Created),
	}
	for _, d := range j.Documents {
		m.Documents = append(m.Documents, name(cabinet.DocumentPattern, j.Firm, d))
	}
	for _, d := range j.Deliveries {
		m.Recipients = append(m.Recipients, name(cabinet.ContactPattern, j.Firm, d.Contact))
		m.Deliveries = append(m.Deliveries, &documentsv1.EmailDelivery{
			Contact:   name(cabinet.ContactPattern, j.Firm, d.Contact),
			State:     documentsv1.DeliveryState(documentsv1.DeliveryState_value["DELIVERY_STATE_"+string(d.State)]),
			CloseTime: stamp(d.Closed), Problem: d.Problem,
		})
	}
	for _, r := range j.Requests {
		m.SignatureRequests = append(m.SignatureRequests, requestMessage(r))
	}
	return m
}

func blockerMessages(firm string, holdings []signing.Holding) (all []*documentsv1.Blocker) {
	for _, h := range holdings {
		all = append(all, &documentsv1.Blocker{
			Kind: "SIGNATURE_OPEN", Description: h.Sentence(), Resource: name(cabinet.JobPattern, firm, h.Job),
		})
	}
	return all
}

// kindOf and stateOf read an enum value of a request as the domain's word for it, empty when it was not set.
func kindOf(k documentsv1.FolderKind) filing.FolderKind {
	return filing.FolderKind(word(k == 0, k.String(), "FOLDER_KIND_"))
}

func stateOf(s documentsv1.SignatureState) signing.State {
	return signing.State(word(s == 0, s.String(), "SIGNATURE_STATE_"))
}

func word(unset bool, value, prefix string) string {
	if unset {
		return ""
	}
	return value[len(prefix):]
}
