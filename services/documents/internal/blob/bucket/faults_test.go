package bucket_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
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

func object(r *http.Request) bool { return len(r.URL.Path) > len("/"+buckettest.Bucket+"/") }

// What passes is lived through: the blob is there afterwards, whole.
func TestWhatPasses(t *testing.T) {
	server := buckettest.Start(t)
	small, large := content(1, 100_000), content(2, 11*MiB)
	for name, c := range map[string]struct {
		rule buckettest.Rule
		body []byte
	}{
		"asked to slow down":           {buckettest.Answer(2, 503, "SlowDown", to("PUT", "")), small},
		"asked to slow down, in parts": {buckettest.Answer(2, 503, "SlowDown", to("PUT", "partNumber")), large},
		"slow down at the end":         {buckettest.Answer(2, 503, "SlowDown", to("POST", "uploadId")), large},
		"slow down at the copy":        {buckettest.Answer(2, 503, "SlowDown", func(r *http.Request) bool { return r.Header.Get("X-Amz-Copy-Source") != "" }), large},
		"an error of its own":          {buckettest.Answer(2, 500, "InternalError", to("HEAD", "")), small},
		"a copy that fails late":       {buckettest.Answer(1, 200, "InternalError", func(r *http.Request) bool { return r.Header.Get("X-Amz-Copy-Source") != "" }), large},
		"cut in the middle":            {buckettest.CutUpload(2, 50_000, to("PUT", "")), small},
		"cut in the middle of a part":  {buckettest.CutUpload(2, 50_000, to("PUT", "partNumber")), large},
		"answer lost":                  {buckettest.LoseAnswer(1, to("PUT", "")), small},
		"answer to a part lost":        {buckettest.LoseAnswer(1, to("PUT", "partNumber")), large},
		"answer to the last word lost": {buckettest.LoseAnswer(1, to("POST", "uploadId")), large},
	} {
		t.Run(name, func(t *testing.T) {
			s := inParts(server, 100*MiB)
			server.Set(c.rule)
			require.NoError(t, put(t.Context(), s, c.body))
			server.Set(nil)
			key := blobtest.KeyOf(blobtest.FirmA, c.body)
			require.True(t, bytes.Equal(c.body, blobtest.Get(t, s, key)))
			require.Equal(t, []string{key.String()}, server.Files())
			noUploads(t, server)
			require.True(t, s.Room())
			require.NoError(t, s.Delete(t.Context(), key))
		})
	}
}

// What does not pass is said, and nothing is there afterwards.
func TestWhatDoesNotPass(t *testing.T) {
	server := buckettest.Start(t)
	small, large := content(3, 100_000), content(4, 11*MiB)
	const always = 1 << 30
	for name, c := range map[string]struct {
		rule buckettest.Rule
		body []byte
		says string
	}{
		"slow down":            {buckettest.Answer(always, 503, "SlowDown", to("PUT", "")), small, "the bucket asks to slow down"},
		"slow down, in parts":  {buckettest.Answer(always, 503, "SlowDown", to("PUT", "partNumber=2")), large, "the bucket asks to slow down"},
		"a clock that is off":  {buckettest.Answer(always, 403, "RequestTimeTooSkewed", object), small, "clock"},
		"cut in the middle":    {buckettest.CutUpload(always, 50_000, to("PUT", "")), small, "can not be reached"},
		"cut, in parts":        {buckettest.CutUpload(always, 50_000, to("PUT", "partNumber=2")), large, "can not be reached"},
		"an empty answer":      {buckettest.Answer(always, 418, "", to("PUT", "")), small, "answers 418"},
		"an endpoint too old":  {buckettest.Answer(always, 501, "NotImplemented", to("POST", "uploads")), large, "does not know this part of S3"},
		"no permission":        {buckettest.Answer(always, 403, "AccessDenied", to("PUT", "partNumber=1")), large, "may not do this"},
		"the copy not allowed": {buckettest.Answer(always, 403, "AccessDenied", func(r *http.Request) bool { return r.Header.Get("X-Amz-Copy-Source") != "" }), large, "copy: the credentials may not do this"},
	} {
		t.Run(name, func(t *testing.T) {
			s := inParts(server, 100*MiB)
			server.Set(c.rule)
			err := put(t.Context(), s, c.body)
			require.ErrorContains(t, err, c.says)
			require.NotContains(t, err.Error(), blobtest.KeyOf(blobtest.FirmA, c.body).SHA256[:8], "names of objects stay out of errors")
			server.Set(nil)
			require.Empty(t, server.Files())
			noUploads(t, server)
			require.True(t, s.Room())
		})
	}
}

func TestABucketThatIsFull(t *testing.T) {
	server := buckettest.Start(t)
	s := server.Open()
	for _, c := range []struct {
		status int
		code   string
	}{{403, "QuotaExceeded"}, {507, "XMinioStorageFull"}, {507, "Whatever"}, {409, "ServiceQuotaExceeded"}} {
		server.Set(buckettest.Answer(1<<30, c.status, c.code, to("PUT", "")))
		require.ErrorIs(t, put(t.Context(), s, []byte("does not fit")), blob.ErrNoSpace, c.code)
	}
	server.Set(nil)
	require.Empty(t, blobtest.Keys(t, s, ""))
}

// Bytes that change on the way are found out in both directions.
func TestBytesThatChangeOnTheWay(t *testing.T) {
	server := buckettest.Start(t)
	s := inParts(server, 100*MiB)
	for _, body := range [][]byte{content(5, 70_000), content(6, 6*MiB)} {
		server.Set(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
			if r.Method == http.MethodPut {
				r.Body = io.NopCloser(io.TeeReader(flipping{r.Body}, io.Discard))
			}
			return false
		})
		require.ErrorContains(t, put(t.Context(), s, body), "changed on their way")
		server.Set(nil)
		require.Empty(t, server.Files())

		key, _ := blobtest.Put(t, s, blobtest.FirmA, body)
		server.Set(buckettest.Change(to("GET", ""), func(b []byte) { b[0] ^= 1 }))
		o, err := s.Open(t.Context(), key)
		require.NoError(t, err)
		got, err := io.ReadAll(o)
		require.ErrorIs(t, err, blob.ErrDamaged)
		require.Less(t, len(got), len(body), "the last bytes are not given out, so that nobody takes it for the document")
		require.NoError(t, o.Close())
		server.Set(nil)
		require.NoError(t, s.Delete(t.Context(), key))
	}
}

type flipping struct{ io.Reader }

func (f flipping) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if n > 0 {
		p[0] ^= 1
	}
	return n, err
}

func TestReadersLiveThroughABrokenConnection(t *testing.T) {
	server := buckettest.Start(t)
	s := server.Open()
	body := content(7, 3*MiB)
	key, _ := blobtest.Put(t, s, blobtest.FirmA, body)
	server.Set(buckettest.CutDownload(5, 500_000, to("GET", "")))
	require.True(t, bytes.Equal(body, blobtest.Get(t, s, key)), "it goes on where it stopped, as long as bytes come")
	server.Set(buckettest.CutDownload(1<<30, 0, to("GET", "")))
	o, err := s.Open(t.Context(), key)
	require.NoError(t, err)
	defer o.Close()
	_, err = io.ReadAll(o)
	require.ErrorContains(t, err, "can not be reached", "an end that comes too early is no end")
	server.Set(nil)
	o, err = s.Open(t.Context(), key)
	require.NoError(t, err)
	defer o.Close()
	require.NoError(t, s.Delete(t.Context(), key))
	_, err = o.Read(make([]byte, 1))
	require.ErrorIs(t, err, blob.ErrNotFound, "removed before the first byte was read")
}

// A server that holds connections open and says nothing is given up, in a bounded time, and served again when it goes on.
func TestAFrozenServer(t *testing.T) {
	server := buckettest.Start(t)
	patient := inParts(server, 100*MiB)
	hasty := inParts(server, 100*MiB, func(o *bucket.Options) { o.Silence = 50 * time.Millisecond })
	small, large := content(8, 1000), content(9, 11*MiB)
	key, _ := blobtest.Put(t, patient, blobtest.FirmA, small)
	staged, err := hasty.Stage(t.Context(), int64(len(large)))
	require.NoError(t, err)

	server.Freeze()
	require.ErrorContains(t, put(t.Context(), hasty, content(10, 1000)), "said nothing for 50ms")
	require.ErrorContains(t, hasty.Ready(t.Context()), "said nothing for 50ms")
	_, err = hasty.Open(t.Context(), key)
	require.ErrorContains(t, err, "said nothing for 50ms")
	_, err = staged.Write(large)
	require.ErrorContains(t, err, "said nothing for 50ms")
	_, err = staged.Commit(t.Context(), blobtest.KeyOf(blobtest.FirmA, large))
	require.Error(t, err, "what was not sent can not be committed")
	staged.Discard()
	require.True(t, hasty.Room())

	server.Thaw()
	require.Equal(t, small, blobtest.Get(t, patient, key))
	require.NoError(t, put(t.Context(), patient, large), "it can be sent again")
}

// parts counts those that the only upload has.
func parts(t *testing.T, server *buckettest.Server) int {
	t.Helper()
	all, err := server.Client().ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: aws.String(buckettest.Bucket)})
	require.NoError(t, err)
	require.Len(t, all.Uploads, 1)
	there, err := server.Client().ListParts(t.Context(), &s3.ListPartsInput{Bucket: aws.String(buckettest.Bucket),
		Key: all.Uploads[0].Key, UploadId: all.Uploads[0].UploadId})
	require.NoError(t, err)
	return len(there.Parts)
}

// Whoever gives an upload up does not wait for the part that is on its way to a server which says nothing.
func TestAnUploadIsGivenUpWithItsPart(t *testing.T) {
	server := buckettest.Start(t)
	s := inParts(server, 100*MiB, func(o *bucket.Options) { o.Silence = time.Hour })
	large := content(12, 11*MiB)
	staged, err := s.Stage(t.Context(), int64(len(large)))
	require.NoError(t, err)
	_, err = staged.Write(large[:6*MiB])
	require.NoError(t, err)
	require.Eventually(t, func() bool { return parts(t, server) == 1 }, time.Minute, 10*time.Millisecond)
	server.Freeze()
	_, err = staged.Write(large[6*MiB:])
	require.NoError(t, err, "the second part is on its way")
	gone := make(chan struct{})
	go func() {
		staged.Discard()
		close(gone)
	}()
	select {
	case <-gone:
	case <-time.After(time.Minute):
		t.Fatal("the upload is not given up")
	}
	require.True(t, s.Room())
	server.Thaw()
}

// A server that dies in the middle of a large upload has nothing to show of it afterwards; what it kept is swept.
func TestAServerThatDiesDuringAnUpload(t *testing.T) {
	server := buckettest.Start(t)
	s := inParts(server, 100*MiB)
	kept, _ := blobtest.Put(t, s, blobtest.FirmA, []byte("kept"))
	large := content(11, 17*MiB)
	staged, err := s.Stage(t.Context(), int64(len(large)))
	require.NoError(t, err)
	_, err = staged.Write(large[:12*MiB])
	require.NoError(t, err)
	server.Kill()
	_, err = staged.Write(large[12*MiB:])
	if err == nil {
		_, err = staged.Commit(t.Context(), blobtest.KeyOf(blobtest.FirmA, large))
	}
	require.ErrorContains(t, err, "can not be reached")
	staged.Discard()

	server.Run()
	require.Equal(t, []string{kept.String()}, blobtest.Keys(t, s, ""))
	require.Equal(t, 1, uploads(t, server), "nobody could end it")
	require.NoError(t, s.Reclaim(t.Context(), time.Now().Add(-time.Hour)))
	require.Equal(t, 1, uploads(t, server), "too young")
	require.NoError(t, s.Reclaim(t.Context(), time.Now().Add(time.Hour)))
	noUploads(t, server)
	require.Equal(t, []byte("kept"), blobtest.Get(t, s, kept))
	require.NoError(t, put(t.Context(), s, large), "it can be sent again")
}

// Uploads and objects of others, who share the bucket, are not touched.
func TestReclaimTakesOnlyWhatIsOurs(t *testing.T) {
	server := buckettest.Start(t)
	s := inParts(server, 100*MiB, func(o *bucket.Options) { o.Prefix = "concord/" })
	other := inParts(server, 100*MiB, func(o *bucket.Options) { o.Prefix = "other/" })
	for _, each := range []*bucket.Store{s, other} {
		staged, err := each.Stage(t.Context(), blob.Unknown)
		require.NoError(t, err)
		t.Cleanup(staged.Discard)
		_, err = staged.Write(content(12, 6*MiB))
		require.NoError(t, err)
	}
	require.Equal(t, 2, uploads(t, server))
	require.NoError(t, s.Reclaim(t.Context(), time.Now().Add(time.Hour)))
	require.Equal(t, 1, uploads(t, server))
}

// Each mistake has a line that says what to do.
func TestReadySaysWhatIsWrong(t *testing.T) {
	server := buckettest.Start(t)
	tls := buckettest.StartTLS(t)
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	gone := &url.URL{Scheme: "http", Host: nobody.Addr().String()}
	require.NoError(t, nobody.Close())
	for says, change := range map[string]func(*bucket.Options){
		"the access key is not known to the bucket":                  func(o *bucket.Options) { o.AccessKeyID = "nobody" },
		"the secret of the access key is wrong":                      func(o *bucket.Options) { o.SecretAccessKey = "guessed" },
		"there is no such bucket":                                    func(o *bucket.Options) { o.Bucket = "elsewhere" },
		"the bucket can not be reached":                              func(o *bucket.Options) { o.Endpoint = gone },
		"certificate is of an authority that is not known":           func(o *bucket.Options) { o.Endpoint, _ = url.Parse(tls.URL) },
		"the bucket is in another region: correct the region":        func(o *bucket.Options) { o.Region = "elsewhere" },
		"the name of the endpoint is not known: nowhere.invalid":     func(o *bucket.Options) { o.Endpoint, _ = url.Parse("http://nowhere.invalid") },
		"the credentials may not do this: see what is needed in the": nil,
	} {
		t.Run(says, func(t *testing.T) {
			if change == nil {
				server.Kill()
				server.Run("-read-only")
				change = func(*bucket.Options) {}
			}
			err := server.Open(change).Ready(t.Context())
			require.ErrorContains(t, err, says)
			require.NotContains(t, fmt.Sprint(err), "\n")
			require.NotContains(t, fmt.Sprint(err), "test-secret")
		})
	}
}

// Ready puts an object once, and only looks from then on; after a failure it puts one again.
func TestReadyLeavesFewTraces(t *testing.T) {
	server := buckettest.Start(t)
	s := server.Open()
	puts := 0
	server.Set(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if r.Method == http.MethodPut {
			puts++
		}
		return false
	})
	require.NoError(t, s.Ready(t.Context()))
	require.NoError(t, s.Ready(t.Context()))
	require.Equal(t, 1, puts)
	require.Empty(t, server.Files())
	server.Set(buckettest.Answer(2, 503, "SlowDown", to("HEAD", "")))
	require.Error(t, s.Ready(t.Context()))
	server.Set(nil)
	require.NoError(t, s.Ready(t.Context()))
}
