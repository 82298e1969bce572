package api

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	"github.com/concord-suite/concord/services/documents/internal/filing"
	"github.com/concord-suite/concord/services/documents/internal/signing"
)

// A field that is added to the contract and forgotten here stays empty, and fails.
func TestEveryFieldIsFilled(t *testing.T) {
	now := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	request := signing.Request{ID: "i", Firm: "f", Job: "j", Document: "d", DocumentName: "n", Contact: "c", State: signing.Open, Closed: now}
	for _, message := range []proto.Message{
		folderMessage(filing.Folder{ID: "i", Firm: "f", Kind: filing.Orphaned, State: filing.Deleted, Client: "c", DisplayName: "n",
			Documents: 2, Created: now, Gone: now, Purge: now, Version: 3}),
		DocumentMessage(filing.Document{ID: "i", Firm: "f", Folder: "d", DisplayName: "n", MediaType: "m", Size: 1, SHA256: "s",
			Published: true, Where: filing.Archived, FiledBy: "b", Created: now, SignatureOpen: true}),
		requestMessage(request),
		jobMessage(signing.Job{ID: "i", Firm: "f", Number: 1, Client: "c", Subject: "s", SentBy: "b", Created: now, Documents: []string{"d"},
			Deliveries: []signing.Delivery{{Contact: "c", State: signing.Failed, Closed: now, Problem: "p"}}, Requests: []signing.Request{request}}),
	} {
		requireFull(t, message.ProtoReflect())
	}
}

func requireFull(t *testing.T, m protoreflect.Message) {
	t.Helper()
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		require.True(t, m.Has(f), "%s is empty", f.FullName())
		switch {
		case f.IsList() && f.Message() != nil:
			requireFull(t, m.Get(f).List().Get(0).Message())
		case f.Message() != nil && f.Message().FullName() != "google.protobuf.Timestamp":
			requireFull(t, m.Get(f).Message())
		}
	}
}

// Every word of the domain is a value of the contract, and the other way round.
func TestWordsAreTheContracts(t *testing.T) {
	for _, state := range []filing.FolderState{filing.Active, filing.Archived, filing.Deleted, filing.Removed} {
		require.NotZero(t, folderMessage(filing.Folder{State: state}).GetState(), state)
	}
	for value := range documentsv1.FolderKind_name {
		if value != 0 {
			require.Equal(t, documentsv1.FolderKind(value), folderMessage(filing.Folder{Kind: kindOf(documentsv1.FolderKind(value))}).GetKind())
		}
	}
	for value := range documentsv1.SignatureState_name {
		if value != 0 {
			require.Equal(t, documentsv1.SignatureState(value), requestMessage(signing.Request{State: stateOf(documentsv1.SignatureState(value))}).GetState())
		}
	}
	require.Empty(t, kindOf(0))
	require.Empty(t, stateOf(0))
}
