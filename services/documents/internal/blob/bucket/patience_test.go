package bucket_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/services/documents/internal/blob"
	"github.com/concord-suite/concord/services/documents/internal/blob/blobtest"
	"github.com/concord-suite/concord/services/documents/internal/blob/bucket"
	"github.com/concord-suite/concord/services/documents/internal/blob/bucket/buckettest"
)

// A server of HTTP reads several ranges beside the request, and closes the blob when the reader is gone: also in the middle
// of a read.
func TestClosedWhileItIsRead(t *testing.T) {
	server := buckettest.Start(t)
	s := server.Open(func(o *bucket.Options) { o.Silence = time.Hour })
	key, _ := blobtest.Put(t, s, blobtest.FirmA, content(1, 1000))
	asked, answer := make(chan struct{}), make(chan struct{})
	defer close(answer)
	server.Set(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if r.Method == http.MethodGet {
			close(asked)
			<-answer
		}
		return false
	})
	o, err := s.Open(t.Context(), key)
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() {
		_, err := o.Read(make([]byte, 10))
		ended <- err
	}()
	<-asked
	require.NoError(t, o.Close())
	select {
	case err := <-ended:
		require.Error(t, err)
	case <-time.After(time.Minute):
		t.Fatal("the read goes on")
	}
	_, err = o.Read(make([]byte, 10))
	require.Error(t, err)
	require.NoError(t, o.Close())
}

// However often the connection breaks, a range goes on where it stopped.
func TestARangeThatBreaksManyTimes(t *testing.T) {
	server := buckettest.Start(t)
	s := server.Open()
	body := content(2, 3*MiB)
	key, _ := blobtest.Put(t, s, blobtest.FirmA, body)
	server.Set(buckettest.CutDownload(1<<30, 120_000, to("GET", "")))
	o, err := s.Open(t.Context(), key)
	require.NoError(t, err)
	defer o.Close()
	_, err = o.Seek(1, io.SeekStart)
	require.NoError(t, err)
	got, err := io.ReadAll(o)
	require.NoError(t, err)
	require.True(t, bytes.Equal(body[1:], got))
}

// Answers that only look well are not taken for it.
func TestEmptyAnswers(t *testing.T) {
	server := buckettest.Start(t)
	large := content(3, 11*MiB)
	for name, c := range map[string]struct {
		copyPart int64
		status   int
		match    func(*http.Request) bool
		says     string
	}{
		"to the copy of a part": {5 * MiB, 200, func(r *http.Request) bool { return r.Header.Get("X-Amz-Copy-Source-Range") != "" }, "the answer is empty"},
		"to the copy":           {100 * MiB, 200, func(r *http.Request) bool { return r.Header.Get("X-Amz-Copy-Source") != "" }, "what it made is not there"},
		"to the last word":      {100 * MiB, 200, to("POST", "uploadId"), "what it made is not there"},
		"to the beginning":      {100 * MiB, 200, to("POST", "uploads"), "begin an upload: the answer is empty"},
		"to a part":             {100 * MiB, 200, to("PUT", "partNumber=2"), "complete an upload"},
	} {
		t.Run(name, func(t *testing.T) {
			s := inParts(server, c.copyPart)
			server.Set(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
				if c.match(r) {
					_, _ = io.Copy(io.Discard, r.Body)
					w.WriteHeader(c.status)
				}
				return c.match(r)
			})
			err := put(t.Context(), s, large)
			require.ErrorContains(t, err, c.says)
			require.ErrorIs(t, err, blob.ErrUnavailable)
			require.NotErrorIs(t, err, blob.ErrNotFound, "nobody looked for a blob")
			server.Set(nil)
			require.Empty(t, server.Files())
			require.True(t, s.Room())
			require.NoError(t, s.Reclaim(t.Context(), time.Now().Add(time.Hour))) // an upload whose name was not told
			noUploads(t, server)
		})
	}
}

// Credentials of a service that says nothing are not waited for without end, and asked for again.
func TestCredentialsThatAreNotGiven(t *testing.T) {
	server := buckettest.Start(t)
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte("of the service account"), 0o600))
	var silent atomic.Bool
	silent.Store(true)
	exchange := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		if silent.Load() {
			<-r.Context().Done()
			return
		}
		fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>
			<Credentials><AccessKeyId>test</AccessKeyId><SecretAccessKey>test-secret</SecretAccessKey><SessionToken>session</SessionToken>
			<Expiration>%s</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`,
			time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}))
	defer exchange.Close()
	defer exchange.CloseClientConnections()
	t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/concord")
	t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", token)
	t.Setenv("AWS_ENDPOINT_URL_STS", exchange.URL)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	server.Set(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		return strings.Contains(r.Header.Get("Authorization"), "Credential=test/") // the server itself knows no sessions
	})
	s := server.Open(func(o *bucket.Options) { o.AccessKeyID, o.SecretAccessKey, o.Silence = "", "", time.Second/2 })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	require.Error(t, s.Ready(ctx))
	silent.Store(false)
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		return s.Ready(ctx) == nil
	}, time.Minute, 100*time.Millisecond)
}

// A bucket lists a thousand at once.
func TestListingsOfManyPages(t *testing.T) {
	server := buckettest.Start(t)
	s := server.Open()
	var keys []string
	for i := range 2300 {
		key := blobtest.KeyOf(blobtest.FirmA, fmt.Append(nil, i)).String()
		file := filepath.Join(server.Folder, buckettest.Bucket, filepath.FromSlash(key))
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
		require.NoError(t, os.WriteFile(file, nil, 0o600))
		keys = append(keys, key)
	}
	slices.Sort(keys)
	pages := 0
	server.Set(func(http.ResponseWriter, *http.Request, http.Handler) bool {
		pages++
		return false
	})
	require.Equal(t, keys, blobtest.Keys(t, s, ""))
	require.Equal(t, 3, pages)
	server.Set(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		kind := "ListBucketResult"
		if r.URL.Query().Has("uploads") {
			kind = "ListMultipartUploadsResult"
		}
		fmt.Fprintf(w, "<%s><IsTruncated>true</IsTruncated></%s>", kind, kind)
		return true
	})
	none := func(blob.Info) error { return nil }
	require.ErrorContains(t, s.List(t.Context(), "", none), "does not say where it goes on", "who gets nil has seen every blob")
	require.ErrorContains(t, s.Reclaim(t.Context(), time.Now()), "does not say where it goes on")
}
