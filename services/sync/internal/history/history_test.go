package history_test

import (
	"bytes"
	"encoding/csv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/history"
)

var at = time.Date(2026, 5, 1, 9, 30, 0, 123456000, time.UTC)

func TestCSV(t *testing.T) {
	var buf bytes.Buffer
	c, err := history.NewCSV(&buf)
	require.NoError(t, err)
	for i, summary := range []string{
		"plain", `a "quoted" word, and a comma`, "two\r\nlines", "=1+1", "+61 2 9999 0000", "-1", "@cmd", "\t=1", "＝1+1", "",
	} {
		require.NoError(t, c.Write(history.Entry{Seq: int64(i + 1), At: at, Kind: "FIELD_CHANGED", Actor: "system", Summary: summary}))
	}
	require.NoError(t, c.Flush())
	text := buf.String()
	require.True(t, strings.HasPrefix(text, "sequence,time,kind,actor,summary,resource\r\n1,2026-05-01T09:30:00.123456Z,FIELD_CHANGED,system,plain,\r\n"))
	require.NotContains(t, text, "\r\r\n")

	rows, err := csv.NewReader(&buf).ReadAll()
	require.NoError(t, err)
	var got []string
	for _, r := range rows[1:] {
		require.Len(t, r, 6)
		got = append(got, r[4])
	}
	require.Equal(t, []string{
		"plain", `a "quoted" word, and a comma`, "two\nlines", "'=1+1", "'+61 2 9999 0000", "'-1", "'@cmd", "'\t=1", "'＝1+1", "",
	}, got)
}

func TestFileName(t *testing.T) {
	require.Equal(t, "Client history Smith Sons 2026-05-01.csv", history.FileName(`Smith / "Sons" `, at))
	require.Equal(t, "Client history client 2026-05-01.csv", history.FileName("../..", at))
	require.LessOrEqual(t, len(history.FileName(strings.Repeat("𝔄", 500), at)), 255)
}

func TestFieldsSummary(t *testing.T) {
	a := client.Fields{Name: "Acme", Code: "A1", TaxNumber: "1", Email: "a@x.au"}
	b := client.Fields{Name: "Acme Pty Ltd", Phone: "1", TaxNumber: "2", Email: "a@x.au"}
	require.Equal(t, `name changed from "Acme" to "Acme Pty Ltd"; code "A1" removed; phone set to "1"; tax number changed`,
		history.FieldsSummary(b.Diff(a)))
	require.Empty(t, a.Diff(a))
	require.NotContains(t, history.FieldsSummary(b.Diff(a)), "2\"", "tax numbers stay out of the trail")
}
