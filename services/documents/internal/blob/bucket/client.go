package bucket

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"
)

const (
	// attempts bounds how often a request is sent in all.
	attempts = 4
	// dialTime bounds connecting, and the TLS handshake after it.
	dialTime = 5 * time.Second
	// connections is how many are kept open to the bucket: one for each transfer of a busy pod.
	connections = 100
	// pace is what a bucket copies or puts together in a second at least, in bytes.
	pace = 16 << 20
)

// connect makes the client. It asks nobody.
func connect(ctx context.Context, o Options) (*s3.Client, error) {
	settings := aws.Config{Region: o.Region}
	if o.AccessKeyID != "" {
		settings.Credentials = credentials.NewStaticCredentialsProvider(o.AccessKeyID, o.SecretAccessKey, "")
	} else {
		// Who gives credentials is given up when it says nothing, too: all requests wait for the one that asks it.
		asks := awshttp.NewBuildableClient().WithTimeout(o.Silence)
		ambient, err := config.LoadDefaultConfig(ctx, config.WithRegion(o.Region), config.WithLogger(logging.Nop{}), config.WithHTTPClient(asks))
		if err != nil {
			return nil, fmt.Errorf("blob: the machine's AWS settings can not be read: %w", err)
		}
		settings.Credentials = ambient.Credentials
	}
	transport, err := transportOf(o)
	if err != nil {
		return nil, err
	}
	return s3.NewFromConfig(settings, func(s *s3.Options) {
		s.HTTPClient = &watched{client: &http.Client{Transport: transport, CheckRedirect: noRedirect}, silence: o.Silence}
		s.UsePathStyle = o.PathStyle
		if o.Endpoint != nil {
			s.BaseEndpoint = aws.String(o.Endpoint.String())
		}
		s.Retryer = retry.NewStandard(func(r *retry.StandardOptions) { r.MaxAttempts, r.MaxBackoff = attempts, o.Pause })
		// Checksums of AWS's newer kind, which come behind the body, are refused or misread by other makers of S3. The hash
		// in the signature, which all of them know, says the same; see hashed.
		s.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		s.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		s.Logger = logging.Nop{}
	}), nil
}

// soon is for requests of which the answer matters more than success: it is sent twice at most, with little in between.
func soon(o *s3.Options) {
	o.Retryer = retry.NewStandard(func(r *retry.StandardOptions) { r.MaxAttempts, r.MaxBackoff = 2, 500*time.Millisecond })
}

// noRedirect lets the client see a redirect, which is an answer of S3 that says where a bucket is.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func transportOf(o Options) (*http.Transport, error) {
	t := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: o.dial, TLSHandshakeTimeout: dialTime,
		MaxIdleConns: connections, MaxIdleConnsPerHost: connections, IdleConnTimeout: time.Minute, DisableCompression: true,
		WriteBufferSize: 64 << 10, ReadBufferSize: 64 << 10, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
	}
	if o.Authorities == "" {
		return t, nil
	}
	pem, err := os.ReadFile(o.Authorities)
	if err != nil {
		return nil, fmt.Errorf("blob: the file of authorities can not be read: %w", err)
	}
	t.TLSClientConfig.RootCAs = x509.NewCertPool()
	if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("blob: no certificate is in %s", o.Authorities)
	}
	return t, nil
}

// hashed signs a request with the SHA-256 of its body, which the bucket then holds against what it received. Left to
// itself the client would leave the hash out where TLS is used.
func hashed(sum string) func(*s3.Options) {
	return s3.WithAPIOptions(func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("ConcordPayloadHash",
			func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
				return next.HandleInitialize(v4.SetPayloadHash(ctx, sum), in)
			}), middleware.Before)
	})
}

// errSilent ends a request during which no byte moved for too long.
var errSilent = errors.New("no byte moved for too long")

type patienceKey struct{}

// patiently allows a request the time that a bucket needs to move size bytes by itself before it says anything.
func patiently(ctx context.Context, size int64) context.Context {
	return context.WithValue(ctx, patienceKey{}, time.Duration(size)*time.Second/pace)
}

// watched ends requests that stand still. How long one takes depends on its size and on the line; that bytes move does not.
type watched struct {
	client  *http.Client
	silence time.Duration
}

// Do implements aws.HTTPClient.
func (w *watched) Do(r *http.Request) (*http.Response, error) {
	more, _ := r.Context().Value(patienceKey{}).(time.Duration)
	ctx, cancel := context.WithCancelCause(r.Context())
	dog := &watchdog{cancel: cancel, timer: time.AfterFunc(w.silence+more, func() { cancel(errSilent) })}
	dog.limit.Store(int64(w.silence + more))
	r = r.WithContext(ctx)
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &moving{ReadCloser: r.Body, dog: dog}
	}
	resp, err := w.client.Do(r)
	if err != nil {
		dog.stop()
		if cause := context.Cause(ctx); errors.Is(cause, errSilent) {
			err = cause
		}
		return nil, err
	}
	dog.limit.Store(int64(w.silence))
	dog.moved()
	resp.Body = &moving{ReadCloser: resp.Body, dog: dog, last: true, ctx: ctx}
	return resp, nil
}

// watchdog ends a request when it is not moved within its limit.
type watchdog struct {
	timer  *time.Timer
	limit  atomic.Int64 // nanoseconds
	cancel context.CancelCauseFunc
	once   sync.Once
}

func (d *watchdog) moved() { d.timer.Reset(time.Duration(d.limit.Load())) }

func (d *watchdog) stop() {
	d.once.Do(func() {
		d.timer.Stop()
		d.cancel(nil)
	})
}

// moving is a body that tells the dog of each byte.
type moving struct {
	io.ReadCloser
	dog  *watchdog
	last bool            // the request is over with it
	ctx  context.Context // of the answer
}

// Read implements io.Reader.
func (m *moving) Read(b []byte) (int, error) {
	n, err := m.ReadCloser.Read(b)
	if n > 0 {
		m.dog.moved()
	}
	if m.last && err != nil && errors.Is(context.Cause(m.ctx), errSilent) {
		err = errSilent
	}
	return n, err
}

// Close implements io.Closer.
func (m *moving) Close() error {
	err := m.ReadCloser.Close()
	if m.last {
		m.dog.stop()
	}
	return err
}
