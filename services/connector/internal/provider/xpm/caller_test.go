package xpm

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/services/connector/internal/provider"
)

// served calls a server of this process the way calls are made, without tokens and limits. tries is how often a call that
// broke off is made in all.
type served struct {
	base  *url.URL
	tries int
	calls int
}

// serve starts a server that answers for the provider.
func serve(t testing.TB, answer http.HandlerFunc) *served {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	base, err := url.Parse(server.URL + "/api/")
	require.NoError(t, err)
	return &served{base: base, tries: 1}
}

// body answers everything with one document.
func body(doc, contentType string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, doc)
	}
}

// Call implements provider.Caller.
func (s *served) Call(ctx context.Context, r provider.Request, read func(provider.Answer) error) (err error) {
	base := s.base
	if r.Base != nil {
		base = r.Base
	}
	at := base.JoinPath(r.Path)
	at.RawQuery = r.Query.Encode()
	for range s.tries {
		s.calls++
		if err = get(ctx, at.String(), read); !errors.Is(err, provider.ErrUnavailable) {
			return err
		}
	}
	return err
}

func get(ctx context.Context, at string, read func(provider.Answer) error) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return read(provider.Answer{Body: resp.Body, ContentType: resp.Header.Get("Content-Type"), ServerTime: time.Unix(1, 0)})
}

// all reads a listing to its end, or up to the first error.
func all(t testing.TB, pages provider.Pages) ([]provider.Page, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var read []provider.Page
	for {
		page, err := pages.Next(ctx)
		if err != nil {
			return read, err
		}
		read = append(read, page)
		if page.Next == "" {
			return read, nil
		}
	}
}
