package bucket_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/services/documents/internal/blob"
	"github.com/concord-suite/concord/services/documents/internal/blob/blobtest"
	"github.com/concord-suite/concord/services/documents/internal/blob/bucket"
	"github.com/concord-suite/concord/services/documents/internal/blob/bucket/buckettest"
)

// MiB is a mebibyte. S3 wants parts of five at least.
const MiB = 1 << 20

func TestBucket(t *testing.T) {
	server := buckettest.Start(t)
	n := 0
	blobtest.Run(t, func(*testing.T) blob.Store {
		n++
		return server.Open(func(o *bucket.Options) { o.Prefix = fmt.Sprintf("store-%d/", n) })
	}, blobtest.ManyFirsts)
}

// content is so many bytes that look like nothing, the same ones each time.
func content(seed byte, size int) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// inParts is a store whose blobs of more than 5 MiB go up in parts.
func inParts(server *buckettest.Server, copyPart int64, change ...func(*bucket.Options)) *bucket.Store {
	s := server.Open(change...)
	s.SetSizes(5*MiB, copyPart)
	return s
}

// uploads counts those that were begun and neither completed nor ended.
func uploads(t *testing.T, server *buckettest.Server) int {
	t.Helper()
	out, err := server.Client().ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: aws.String(buckettest.Bucket)})
	require.NoError(t, err)
	return len(out.Uploads)
}

// noUploads waits until the server has none: it may still be at work on a request that was cut.
func noUploads(t *testing.T, server *buckettest.Server) {
	t.Helper()
	require.Eventually(t, func() bool { return uploads(t, server) == 0 }, time.Minute, 10*time.Millisecond)
}

// put stages and commits, and says what went wrong.
func put(ctx context.Context, s blob.Store, body []byte) error {
	staged, err := s.Stage(ctx, int64(len(body)))
	if err != nil {
		return err
	}
	defer staged.Discard()
	if _, err := io.Copy(staged, bytes.NewReader(body)); err != nil {
		return err
	}
	_, err = staged.Commit(ctx, blobtest.KeyOf(blobtest.FirmA, body))
	return err
}

func to(method, inQuery string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.Method == method && strings.Contains(r.URL.RawQuery, inQuery) }
}

func TestLargeBlobsGoUpInParts(t *testing.T) {
	server := buckettest.Start(t)
	body := content(1, 13*MiB)
	for name, copyPart := range map[string]int64{"copied at once": 100 * MiB, "copied in parts": 5 * MiB} {
		for what, size := range map[string]int64{"size unknown": blob.Unknown, "size said": int64(len(body)), "more than said": 1 * MiB} {
			t.Run(name+", "+what, func(t *testing.T) {
				s := inParts(server, copyPart)
				staged, err := s.Stage(t.Context(), size)
				require.NoError(t, err)
				_, err = io.CopyBuffer(struct{ io.Writer }{staged}, struct{ io.Reader }{bytes.NewReader(body)}, make([]byte, 300_000))
				require.NoError(t, err)
				require.Empty(t, blobtest.Keys(t, s, ""), "not before it is committed")
				key := blobtest.KeyOf(blobtest.FirmA, body)
				for generation := range int64(2) {
					key.Generation = generation + 1
					created, err := staged.Commit(t.Context(), key)
					require.NoError(t, err)
					require.True(t, created)
				}
				created, err := staged.Commit(t.Context(), key)
				require.NoError(t, err)
				require.False(t, created)
				staged.Discard()
				require.True(t, bytes.Equal(body, blobtest.Get(t, s, key)))
				require.Len(t, server.Files(), 2, "what was staged is gone")
				noUploads(t, server)
				require.True(t, s.Room(), "the spool is free again")
				key.Generation = 1
				require.NoError(t, s.Delete(t.Context(), key))
				key.Generation = 2
				require.NoError(t, s.Delete(t.Context(), key))
			})
		}
	}
}

func TestWhatIsNotCommittedLeavesNothing(t *testing.T) {
	server := buckettest.Start(t)
	s := inParts(server, 100*MiB)
	body := content(2, 11*MiB)
	staged, err := s.Stage(t.Context(), int64(len(body)))
	require.NoError(t, err)
	_, err = staged.Write(body)
	require.NoError(t, err)
	_, err = staged.Commit(t.Context(), blobtest.KeyOf(blobtest.FirmA, []byte("other bytes")))
	require.ErrorIs(t, err, blob.ErrMismatch)
	require.Equal(t, 1, uploads(t, server))
	staged.Discard()
	noUploads(t, server)
	require.Empty(t, server.Files())
	require.True(t, s.Room())
}

// Every body goes with its SHA-256 in the signature, over TLS as well, and with nothing that other makers of S3 do not know.
func TestRequestsAreUnderstoodByAll(t *testing.T) {
	server := buckettest.StartTLS(t)
	var bodies atomic.Int32
	server.Set(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		for name := range r.Header {
			if strings.Contains(strings.ToLower(name), "checksum") || strings.EqualFold(name, "x-amz-trailer") {
				t.Errorf("%s %s has %s", r.Method, r.URL.RawQuery, name)
			}
		}
		if r.Method != http.MethodPut || r.Header.Get("X-Amz-Copy-Source") != "" {
			return false
		}
		body, err := io.ReadAll(r.Body)
		sum := sha256.Sum256(body)
		if err != nil || r.Header.Get("X-Amz-Content-Sha256") != blob.Sum(sum[:]) || r.Header.Get("Content-Encoding") != "" {
			t.Errorf("%s: hash %s, encoding %q", r.URL, r.Header.Get("X-Amz-Content-Sha256"), r.Header.Get("Content-Encoding"))
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		bodies.Add(1)
		return false
	})
	s := inParts(server, 100*MiB)
	require.NoError(t, put(t.Context(), s, content(3, 6*MiB)))
	require.NoError(t, put(t.Context(), s, content(4, 1000)))
	require.EqualValues(t, 3, bodies.Load())
}

func TestBucketInTheHostName(t *testing.T) {
	server := buckettest.Start(t)
	server.Kill()
	server.Run("-domain", "s3.test")
	front, err := url.Parse(server.URL)
	require.NoError(t, err)
	hosts := map[string]bool{}
	server.Set(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		hosts[r.Host] = true
		return false
	})
	s := server.Open(func(o *bucket.Options) {
		o.PathStyle, o.Endpoint = false, &url.URL{Scheme: "http", Host: "s3.test"}
		o.SetDial(func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, front.Host)
		})
	})
	require.NoError(t, s.Ready(t.Context()))
	key, _ := blobtest.Put(t, s, blobtest.FirmA, []byte("found by name"))
	require.Equal(t, []byte("found by name"), blobtest.Get(t, s, key))
	require.Equal(t, map[string]bool{"documents.s3.test": true}, hosts)
}

// Credentials that the machine has are used when the settings have none.
func TestAmbientCredentials(t *testing.T) {
	server := buckettest.Start(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test-secret")
	s := server.Open(func(o *bucket.Options) { o.AccessKeyID, o.SecretAccessKey = "", "" })
	require.NoError(t, s.Ready(t.Context()))
}

// In a cluster the pod's own service account is exchanged for credentials, which then are used.
func TestWebIdentity(t *testing.T) {
	server := buckettest.Start(t)
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte("of the service account"), 0o600))
	exchange := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("Action") != "AssumeRoleWithWebIdentity" || r.FormValue("WebIdentityToken") != "of the service account" {
			t.Errorf("asked for %v", r.Form)
		}
		fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>
			<Credentials><AccessKeyId>test</AccessKeyId><SecretAccessKey>test-secret</SecretAccessKey><SessionToken>session</SessionToken>
			<Expiration>%s</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`,
			time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}))
	defer exchange.Close()
	t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/concord")
	t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", token)
	t.Setenv("AWS_ENDPOINT_URL_STS", exchange.URL)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	var with atomic.Int32
	server.Set(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if r.Header.Get("X-Amz-Security-Token") == "session" && strings.Contains(r.Header.Get("Authorization"), "Credential=test/") {
			with.Add(1) // the server itself knows no sessions
		}
		return true
	})
	s := server.Open(func(o *bucket.Options) { o.AccessKeyID, o.SecretAccessKey = "", "" })
	require.NoError(t, s.Ready(t.Context()))
	require.EqualValues(t, 2, with.Load(), "an object put and removed")
}

func TestEncryptionIsAskedFor(t *testing.T) {
	server := buckettest.Start(t)
	seen := map[string]int{}
	server.Set(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if kind := r.Header.Get("X-Amz-Server-Side-Encryption"); kind != "" {
			seen[kind+" "+r.Header.Get("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id")]++
			r.Header.Del("X-Amz-Server-Side-Encryption")
		}
		return buckettest.Answer(1, http.StatusForbidden, "KMS.DisabledException", to(http.MethodPut, ""))(nil, &http.Request{}, nil)
	})
	s := server.Open(func(o *bucket.Options) { o.Encryption, o.KMSKey = "aws:kms", "alias/concord" })
	_ = put(t.Context(), s, []byte("small"))
	s.SetSizes(5*MiB, 100*MiB)
	_ = put(t.Context(), s, content(5, 6*MiB))
	require.Equal(t, 1, len(seen))
	require.Positive(t, seen["aws:kms alias/concord"])
}

// Readers of ranges ask for little; who reads on asks for more each time.
func TestRangesAskForWindows(t *testing.T) {
	server := buckettest.Start(t)
	s := server.Open()
	body := content(6, 12*MiB)
	key, _ := blobtest.Put(t, s, blobtest.FirmA, body)
	var asked []string
	server.Set(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if r.Method == http.MethodGet {
			asked = append(asked, r.Header.Get("Range"))
		}
		return false
	})
	o, err := s.Open(t.Context(), key)
	require.NoError(t, err)
	defer o.Close()
	_, err = o.Seek(-2*MiB, io.SeekEnd)
	require.NoError(t, err)
	require.Empty(t, asked, "nothing is asked for before something is read")
	got, err := io.ReadAll(o)
	require.NoError(t, err)
	require.True(t, bytes.Equal(body[10*MiB:], got))
	require.Equal(t, []string{"bytes=10485760-11534335", "bytes=11534336-12582911"}, asked)
	at, err := o.Seek(5, io.SeekStart)
	require.NoError(t, err)
	at2, err := o.Seek(5, io.SeekCurrent)
	require.NoError(t, err)
	require.Equal(t, at+5, at2)
	_, err = o.Seek(-1, io.SeekStart)
	require.Error(t, err)
	three := make([]byte, 3)
	_, err = io.ReadFull(o, three)
	require.NoError(t, err)
	require.Equal(t, body[10:13], three)
	asked = nil
	for _, at := range []int64{3 * MiB, MiB, 7 * MiB} {
		_, err = o.Seek(at, io.SeekStart)
		require.NoError(t, err)
		_, err = io.ReadFull(o, three)
		require.NoError(t, err)
	}
	require.Equal(t, []string{"bytes=3145728-4194303", "bytes=1048576-2097151", "bytes=7340032-8388607"}, asked, "who goes elsewhere does not read on")
	asked = nil
	require.True(t, bytes.Equal(body, blobtest.Get(t, s, key)))
	require.Equal(t, []string{""}, asked, "all of it in one go")
}

// Many uploads share the spool: who finds no room waits, and gets it when another is done, or ends with its context.
func TestTheSpoolIsShared(t *testing.T) {
	server := buckettest.Start(t)
	s := inParts(server, 100*MiB, func(o *bucket.Options) { o.Spool = 6 * MiB })
	first, err := s.Stage(t.Context(), blob.Unknown)
	require.NoError(t, err)
	_, err = first.Write([]byte("holds a part's room"))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	waits := make(chan error, 1)
	go func() { waits <- put(t.Context(), s, content(8, 13*MiB)) }()
	require.ErrorIs(t, put(ctx, s, content(7, 2*MiB)), context.DeadlineExceeded, "there is no room for it all the time")
	first.Discard()
	require.NoError(t, <-waits, "an upload larger than the spool goes through it in parts")
	require.True(t, s.Room())
	_, err = s.Stage(t.Context(), 13*MiB*10_000)
	require.NoError(t, err)
	require.ErrorContains(t, put(t.Context(), hugeOf{s}, []byte("x")), "larger than the spool")
}

// hugeOf says of each blob that it is going to be huge.
type hugeOf struct{ *bucket.Store }

func (h hugeOf) Stage(ctx context.Context, _ int64) (blob.Staged, error) {
	return h.Store.Stage(ctx, 7*MiB*10_000)
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	o := bucket.Options{Bucket: "b", Region: "r", AccessKeyID: "a", SecretAccessKey: "s", Silence: time.Second, Spool: MiB, SpoolDir: t.TempDir() + "/missing"}
	_, err := bucket.Open(t.Context(), o)
	require.ErrorContains(t, err, "can not be written")
	o.SpoolDir, o.Authorities = t.TempDir(), "/missing"
	_, err = bucket.Open(t.Context(), o)
	require.ErrorContains(t, err, "the file of authorities can not be read")
	o.Authorities = "/dev/null"
	_, err = bucket.Open(t.Context(), o)
	require.ErrorContains(t, err, "no certificate is in /dev/null")
}

// Memory does not grow with a blob: its parts are on disk.
func TestMemoryIsFlat(t *testing.T) {
	server := buckettest.Start(t)
	s := server.Open()
	var most uint64
	next := 0
	watch := func(n int) {
		if n >= next {
			next = n + 8*MiB
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
		}
	}
	watch(0)
	before := most
	next = 0
	const size = 96 * MiB
	staged, err := s.Stage(t.Context(), size)
	require.NoError(t, err)
	defer staged.Discard()
	piece := content(13, 256<<10)
	for n := len(piece); n <= size; n += len(piece) {
		_, err := staged.Write(piece)
		require.NoError(t, err)
		watch(n)
	}
	key := blob.Key{Firm: blobtest.FirmA, SHA256: staged.Sum(), Generation: 1}
	_, err = staged.Commit(t.Context(), key)
	require.NoError(t, err)
	o, err := s.Open(t.Context(), key)
	require.NoError(t, err)
	defer o.Close()
	next = 0
	for n := 0; ; {
		m, err := o.Read(piece)
		n += m
		watch(n)
		if err == io.EOF {
			require.Equal(t, size, n)
			break
		}
		require.NoError(t, err)
	}
	require.Less(t, most-before, uint64(16*MiB), "less than one part")
}

func BenchmarkPut(b *testing.B) {
	server := buckettest.Start(b)
	s := server.Open()
	for _, size := range []int{100 << 10, 64 * MiB} {
		body := content(14, size)
		b.Run(fmt.Sprintf("%d KiB", size>>10), func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				require.NoError(b, put(b.Context(), s, body))
			}
		})
	}
}
