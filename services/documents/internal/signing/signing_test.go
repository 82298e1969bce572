package signing_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/services/documents/internal/signing"
)

func TestARequestIsClosedOnce(t *testing.T) {
	now := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	open := signing.Request{State: signing.Open, SHA256: "a", JobNumber: 42, DocumentName: "x.pdf"}
	signed, err := open.Close(signing.Signed, "a", now)
	require.NoError(t, err)
	require.Equal(t, now, signed.Closed)
	require.Equal(t, "email job 42: x.pdf: signed", signed.Summary())
	_, err = open.Close(signing.Signed, "b", now)
	require.ErrorIs(t, err, signing.ErrOtherContent)
	declined, err := open.Close(signing.Declined, "b", now)
	require.NoError(t, err, "declining needs no look at the bytes")
	open.Reason = "wrong year"
	withdrawn, err := open.Close(signing.Withdrawn, "", now)
	require.NoError(t, err)
	require.Equal(t, "email job 42: x.pdf: signature request withdrawn: wrong year", withdrawn.Summary())
	for _, closed := range []signing.Request{signed, declined, withdrawn} {
		for _, to := range []signing.State{signing.Signed, signing.Declined, signing.Withdrawn} {
			_, err := closed.Close(to, "a", now)
			require.ErrorIs(t, err, signing.ErrClosed)
		}
	}
}

func TestOpenDocumentsCountEachOnce(t *testing.T) {
	j := signing.Job{Requests: []signing.Request{
		{Document: "a", State: signing.Open}, {Document: "a", State: signing.Open}, {Document: "b", State: signing.Signed},
		{Document: "c", State: signing.Open},
	}}
	require.Equal(t, 2, j.OpenDocuments())
	require.Equal(t, "email job 7 holds 1 document for signature", signing.Holding{Number: 7, Documents: 1}.Sentence())
	require.Equal(t, "email job 7 holds 2 documents for signature", signing.Holding{Number: 7, Documents: 2}.Sentence())
}
