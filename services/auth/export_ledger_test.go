package auth_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/rpcerr"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	auditeventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/audit/v1"
	"github.com/concord-suite/concord/services/auth"
)

// export reads the transcript of a firm.
func (s *suite) export(p *person, req *authv1.ExportAuditEntriesRequest) ([]byte, error) {
	s.t.Helper()
	stream, err := s.ledger.ExportAuditEntries(s.as(p.token), req)
	require.NoError(s.t, err)
	var file bytes.Buffer
	for {
		piece, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return file.Bytes(), nil
		}
		if err != nil {
			return nil, err
		}
		require.True(s.t, bytes.HasSuffix(piece.GetContent(), []byte("\n")), "whole lines")
		file.Write(piece.GetContent())
	}
}

// An administrator takes the firm's ledger out and checks it without the suite. What was done to the file shows.
func TestS17_TheLedgerIsProducedAndCheckedOffline(t *testing.T) {
	eachOnBus(t, func(t *testing.T, s *suite, js jetstream.JetStream) {
		operator := s.operator()
		admin := s.newFirm(operator, "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		firm := strings.TrimPrefix(admin.firm, "firms/")
		documents := newPeer(t, js, "documents")
		const many = 1500 // more than a page, more than a message
		for range many / 100 {
			recorded := &auditeventsv1.AuditRecorded{}
			for range 100 {
				recorded.Entries = append(recorded.Entries, entryOf(firm, uuid.NewString(), "documents.test"))
			}
			documents.emit(firm, "", 0, recorded)
		}
		eventstest.Until(t, "they are in the ledger", func() bool {
			verified, err := s.ledger.VerifyLedger(s.as(admin.token), &authv1.VerifyLedgerRequest{Parent: admin.firm})
			return err == nil && verified.GetEntries() >= many
		})
		file, err := s.export(admin, &authv1.ExportAuditEntriesRequest{Parent: admin.firm})
		require.NoError(t, err)
		var told strings.Builder
		well, err := auth.CheckTranscript(bytes.NewReader(file), auth.TranscriptCheck{Firm: firm}, &told)
		require.NoError(t, err)
		require.True(t, well, told.String())
		require.Contains(t, told.String(), "whole: ")

		part, err := s.export(admin, &authv1.ExportAuditEntriesRequest{Parent: admin.firm, FirstSequence: 1200})
		require.NoError(t, err)
		told.Reset()
		well, err = auth.CheckTranscript(bytes.NewReader(part), auth.TranscriptCheck{}, &told)
		require.NoError(t, err)
		require.True(t, well, told.String())
		require.Contains(t, told.String(), "entries 1200 to ")

		told.Reset()
		well, err = auth.CheckTranscript(bytes.NewReader(bytes.Replace(file, []byte(`"documents.test"`), []byte(`"documents.tess"`), 1)),
			auth.TranscriptCheck{}, &told)
		require.NoError(t, err)
		require.False(t, well)
		require.Contains(t, told.String(), "changed")

		_, err = s.export(admin, &authv1.ExportAuditEntriesRequest{Parent: admin.firm, FirstSequence: 1_000_000})
		require.Equal(t, codes.InvalidArgument, status.Code(err))
		require.Equal(t, "first_sequence", rpcerr.From(err).Violations()[0].Field)
		stranger := s.newFirm(operator, "Bridge Audit", "bo@bridge.example", newMobile())
		s.stepUp(stranger)
		_, err = s.export(stranger, &authv1.ExportAuditEntriesRequest{Parent: admin.firm})
		require.Equal(t, codes.NotFound, status.Code(err))
		eventstest.Until(t, "the export itself is in the ledger", func() bool {
			return len(s.entries(admin, &authv1.ListAuditEntriesRequest{Action: "/concord.auth.v1.LedgerService/ExportAuditEntries"})) >= 2
		})
	})
}
