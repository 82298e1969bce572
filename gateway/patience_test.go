package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// answered sends the beginning of a request and returns the status it is answered with, be it that the rest never comes.
func answered(t *testing.T, server *httptest.Server, request string, rest func(io.Writer)) int {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second))) // without patience nothing comes
	_, err = io.WriteString(conn, request)
	require.NoError(t, err)
	if rest != nil {
		rest(conn)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	return resp.StatusCode
}

const announced = " HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{"

func TestABodyThatDoesNotComeIsNotWaitedFor(t *testing.T) {
	reads := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	refuses := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) })
	const soon = 50 * time.Millisecond
	for name, c := range map[string]struct {
		path    string
		handler http.Handler
		want    int
	}{
		"JSON":    {"POST /v1/sign-in", reads, 400},
		"refused": {"POST /v1/sign-in", refuses, 429},
		"notice":  {"POST /webhooks/xero", reads, 400},
		"bytes":   {"PUT /v1/bytes/ticket", reads, 400},
		"upload":  {"POST /v1/firms/f/folders/x/documents:upload", reads, 400},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(patience(soon, soon, c.handler))
			defer server.Close()
			require.Equal(t, c.want, answered(t, server, c.path+announced, nil))
		})
	}
}

// An upload may last as long as it moves, and work on a body that is here as long as it takes.
func TestPatienceDoesNotEndWork(t *testing.T) {
	const pause = 300 * time.Millisecond
	worked := make(chan error, 2)
	server := httptest.NewServer(patience(pause, pause, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil || len(b) != 6 {
			worked <- fmt.Errorf("read %q: %w", b, err)
			return
		}
		select {
		case <-r.Context().Done():
			worked <- r.Context().Err()
		case <-time.After(3 * pause):
			worked <- nil
		}
	})))
	defer server.Close()

	resp, err := http.Post(server.URL+"/v1/sign-in", "", strings.NewReader("abcdef"))
	require.NoError(t, err)
	resp.Body.Close()
	require.NoError(t, <-worked)

	begin := time.Now()
	status := answered(t, server, "PUT /v1/bytes/ticket HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n", func(w io.Writer) {
		tick := time.NewTicker(pause / 3)
		defer tick.Stop()
		for _, c := range "abcdef" {
			<-tick.C
			_, err := fmt.Fprintf(w, "%c", c)
			require.NoError(t, err)
		}
	})
	require.NoError(t, <-worked)
	require.Equal(t, 200, status)
	require.Greater(t, time.Since(begin), pause, "longer than a silence may be")
}

// TestLargeBodiesHaveOnlySoMuchRoom: who sends many large bodies, slowly, takes no memory without end, and keeps nobody with
// a small one out.
func TestLargeBodiesHaveOnlySoMuchRoom(t *testing.T) {
	here, goOn := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(roomy(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.ContentLength < 0 || r.ContentLength >= large {
			here <- struct{}{}
			<-goOn
		}
	})))
	defer server.Close()
	post := func(path string, length int64) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+path, strings.NewReader(strings.Repeat("x", large)))
		require.NoError(t, err)
		req.ContentLength = length
		if length >= 0 {
			req.Body = io.NopCloser(io.LimitReader(req.Body, length))
		}
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		return resp.StatusCode
	}
	var answers sync.WaitGroup
	for i := range rooms {
		answers.Go(func() { post("/v1/sign-in", []int64{large, -1}[i%2]) })
	}
	for range rooms {
		<-here
	}
	require.Equal(t, 503, post("/v1/sign-in", large))
	require.Equal(t, 503, post("/webhooks/xero", -1), "of unknown length")
	require.Equal(t, 200, post("/v1/sign-in", large-1))
	require.Equal(t, 200, post("/webhooks/xero", 100))
	close(goOn)
	answers.Wait()
	go func() { <-here }()
	require.Equal(t, 200, post("/v1/sign-in", large), "there is room again")
}
