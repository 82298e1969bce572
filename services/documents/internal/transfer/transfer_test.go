package transfer

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/vault"
	"github.com/concord-suite/concord/services/documents/internal/blob"
	"github.com/concord-suite/concord/services/documents/internal/filing"
	"github.com/concord-suite/concord/services/documents/internal/store/cabinet"
)

func TestWhatErrorsMean(t *testing.T) {
	for err, want := range map[error]int{
		fmt.Errorf("while storing: %w", blob.ErrNoSpace): http.StatusInsufficientStorage,
		filing.ErrNotFound:                 http.StatusNotFound,
		filing.ErrNotReceiving:             http.StatusGone,
		cabinet.ErrUploadEnded:             http.StatusGone,
		errors.New("driver: secret words"): http.StatusServiceUnavailable,
		short:                              http.StatusUnprocessableEntity,
	} {
		p := problemOf(err)
		require.Equal(t, want, p.Status, "%v", err)
		require.NotContains(t, p.Detail, "secret")
	}
}

func TestTicketsAreBoundToDirectionIDAndKey(t *testing.T) {
	ring, err := vault.OpenOrCreate(filepath.Join(t.TempDir(), "keyring.json"))
	require.NoError(t, err)
	other, err := vault.OpenOrCreate(filepath.Join(t.TempDir(), "keyring.json"))
	require.NoError(t, err)
	tickets := NewTickets(ring)
	const id = "0198a000-0000-7000-8000-00000000000a"
	ticket, err := tickets.Upload(id)
	require.NoError(t, err)
	again, err := tickets.Upload(id)
	require.NoError(t, err)
	require.Equal(t, ticket, again)
	got, ok := tickets.read(up, ticket)
	require.True(t, ok)
	require.Equal(t, id, got)
	_, ok = tickets.read(down, ticket)
	require.False(t, ok)
	_, ok = NewTickets(other).read(up, ticket)
	require.False(t, ok, "another installation's")
	down, err := tickets.Download(id)
	require.NoError(t, err)
	require.NotEqual(t, ticket, down)
	for i := range len(ticket) {
		changed := []byte(ticket)
		changed[i] ^= 4
		if got, ok := tickets.read(up, string(changed)); ok {
			require.Equal(t, id, got, "position %d", i) // bits of the last character that mean nothing
		}
	}
	for _, junk := range []string{"", "u", "%", ticket[:10], ticket + "A"} {
		_, ok := tickets.read(up, junk)
		require.False(t, ok, junk)
	}
	_, err = tickets.Upload("not an id")
	require.Error(t, err)
}

func TestMediaTypes(t *testing.T) {
	zip := []byte("PK\x03\x04 and more")
	for _, c := range []struct {
		head []byte
		name string
		want string
	}{
		{[]byte("%PDF-1.7"), "a.pdf", "application/pdf"},
		{zip, "Accounts.XLSX", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
		{zip, "a.zip", "application/zip"},
		{[]byte("<html>"), "a.docx", "text/html; charset=utf-8"}, // the bytes win over the name
		{[]byte{0, 1, 2}, "mail.msg", "application/vnd.ms-outlook"},
		{nil, "empty", "text/plain; charset=utf-8"},
	} {
		require.Equal(t, c.want, mediaTypeOf(c.head, c.name), c.name)
	}
	require.Equal(t, "application/octet-stream", contentType("no type at all"))
	require.Equal(t, "application/octet-stream", contentType(""))
	require.Equal(t, "text/csv", contentType("text/csv"))
	require.Equal(t, "attachment; filename=\"a b.txt\"", disposition("a b.txt"))
}
