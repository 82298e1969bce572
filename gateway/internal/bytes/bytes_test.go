package bytes

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A large upload is answered when a bucket has done with it, however long that takes; what is small or read is not waited for.
func TestTheAnswerToALargeUploadMayTakeItsTime(t *testing.T) {
	arrived, done := make(chan struct{}), make(chan struct{})
	documents := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil || n <= large {
			<-r.Context().Done() // says nothing
			return
		}
		close(arrived)
		<-done
		w.WriteHeader(http.StatusOK)
	}))
	defer documents.Close()
	host, err := url.Parse(documents.URL)
	require.NoError(t, err)
	proxy := New(nil, &http.Transport{ResponseHeaderTimeout: 200 * time.Millisecond}, host.Host, slog.New(slog.DiscardHandler))
	ask := func(method string, size int) int {
		w := httptest.NewRecorder()
		proxy.ServeHTTP(w, httptest.NewRequest(method, "/v1/bytes/ticket", strings.NewReader(strings.Repeat("x", size))))
		return w.Code
	}
	answer := make(chan int, 1)
	go func() { answer <- ask(http.MethodPut, large+1) }()
	<-arrived
	require.Equal(t, http.StatusBadGateway, ask(http.MethodGet, 0))
	require.Equal(t, http.StatusBadGateway, ask(http.MethodPut, 1))
	close(done) // both waited for longer than the transport does
	require.Equal(t, http.StatusOK, <-answer)
}
