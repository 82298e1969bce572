package gateway_test

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The audit ledger is a file to save; one that could not be sent to its end shows as a broken download.
func TestTheAuditLedgerIsADownload(t *testing.T) {
	s := start(t, nil)
	resp, body := s.do(t, "GET", "/v1/"+firm+"/auditEntries:export?first_sequence=1", "", "Authorization", "Bearer "+token)
	require.Equal(t, 200, resp.StatusCode, body)
	require.Equal(t, "application/jsonl", resp.Header.Get("Content-Type"))
	require.Equal(t, `attachment; filename="Audit ledger `+time.Now().UTC().Format(time.DateOnly)+`.jsonl"`, resp.Header.Get("Content-Disposition"))
	require.Equal(t, "{\"first\":true}\n{\"from\":1}\n", body)

	resp, body = s.do(t, "GET", "/v1/"+firm+"/auditEntries:export?firstSequence=x", "", "Authorization", "Bearer "+token)
	require.Equal(t, 400, resp.StatusCode, body)
	resp, _ = s.do(t, "GET", "/v1/"+firm+"/auditEntries:export?firstSequence=3", "", "Authorization", "Bearer "+token)
	require.Equal(t, 400, resp.StatusCode)

	req, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/v1/"+firm+"/auditEntries:export?firstSequence=2", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	broken, err := http.DefaultClient.Do(req)
	if err == nil {
		defer broken.Body.Close()
		_, err = io.ReadAll(broken.Body)
	}
	require.Error(t, err)
}
