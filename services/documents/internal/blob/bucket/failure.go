package bucket

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/concord-suite/concord/services/documents/internal/blob"
)

// code is what S3 calls an error, "" when it was not S3 that spoke.
func code(err error) string {
	var e smithy.APIError
	if errors.As(err, &e) {
		return e.ErrorCode()
	}
	return ""
}

// message is what S3 says about an error, on one line. It is about the request: names are not repeated in it.
func message(err error) string {
	var e smithy.APIError
	if !errors.As(err, &e) {
		return ""
	}
	text := strings.Join(strings.Fields(e.ErrorMessage()), " ")
	return text[:min(len(text), 200)]
}

// status is the HTTP status of an error, 0 when there was no answer.
func status(err error) int {
	var e *smithyhttp.ResponseError
	if errors.As(err, &e) {
		return e.HTTPStatusCode()
	}
	return 0
}

// told are the errors of S3 that somebody can do something about, in words.
var told = map[string]string{
	"NoSuchBucket":                 "there is no such bucket: make it, or correct the bucket's name or region",
	"XAdminUserNotFound":           "the access key is not known to the bucket: correct access_key_id",
	"InvalidAccessKeyId":           "the access key is not known to the bucket: correct access_key_id",
	"SignatureDoesNotMatch":        "the secret of the access key is wrong: correct secret_access_key, or the region",
	"AuthorizationHeaderMalformed": "the bucket is in another region: correct the region",
	"PermanentRedirect":            "the bucket is in another region, or behind another endpoint: correct them",
	"ExpiredToken":                 "the credentials have expired, and the machine gave no new ones",
	"InvalidToken":                 "the credentials are not valid any more, and the machine gave no new ones",
	"AccessDenied":                 "the credentials may not do this: see what is needed in the documentation of the bucket",
	"Forbidden":                    "the credentials may not do this: see what is needed in the documentation of the bucket",
	"RequestTimeTooSkewed":         "the clock of this machine is not that of the bucket: set it",
	"SlowDown":                     "the bucket asks to slow down",
	"ServiceUnavailable":           "the bucket is not available at the moment",
	"InternalError":                "the bucket has an error of its own",
	"KMS.DisabledException":        "the key that encrypts the bucket is disabled",
	"KMS.NotFoundException":        "there is no such key to encrypt with: correct kms_key",
	"XAmzContentSHA256Mismatch":    "the bytes were changed on their way to the bucket",
	"NotImplemented":               "the endpoint does not know this part of S3",
}

// full are the codes with which makers of S3 say that there is no room.
var full = map[string]bool{"QuotaExceeded": true, "XMinioStorageFull": true, "XMinioAdminBucketQuotaExceeded": true, "StorageFull": true,
	"InsufficientStorage": true, "ServiceQuotaExceeded": true, "BucketQuotaExceeded": true}

// failure says what was being done and what is wrong, in words for people who run the suite. Names of objects are left out: they
// hold ids. It is nil for nil.
func (s *Store) failure(ctx context.Context, op string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("blob: %s: %w", op, ctx.Err())
	case full[code(err)], status(err) == http.StatusInsufficientStorage:
		return fmt.Errorf("%w (%s)", blob.ErrNoSpace, op)
	}
	return &silent{fmt.Sprintf("blob: bucket %s: %s: %s", s.o.Bucket, op, s.reason(err))}
}

// silent is an error of a bucket that is away, or does not let us in.
type silent struct{ text string }

// Error implements error.
func (e *silent) Error() string { return e.text }

// Unwrap makes it match blob.ErrUnavailable.
func (e *silent) Unwrap() error { return blob.ErrUnavailable }

func (s *Store) reason(err error) string {
	if text := told[code(err)]; text != "" {
		return text
	}
	if n := status(err); n != 0 {
		if text := byStatus(n); text != "" && (code(err) == "" || unnamed(code(err))) {
			return text
		}
		return strings.TrimSuffix(fmt.Sprintf("the bucket answers %d %s: %s", n, code(err), message(err)), ": ")
	}
	if errors.Is(err, errSilent) {
		return fmt.Sprintf("the bucket said nothing for %s", s.o.Silence)
	}
	return unreachable(err)
}

// unnamed tells whether a code is only the status again, as it is in answers without a body.
func unnamed(code string) bool {
	return code == "UnknownError" || strings.HasPrefix(code, "NotFound") || code == "BadRequest"
}

// byStatus is for answers without a body, to which S3 gives no code.
func byStatus(n int) string {
	switch n {
	case http.StatusNotFound:
		return told["NoSuchBucket"]
	case http.StatusBadRequest:
		return "the credentials or the region are wrong"
	case http.StatusForbidden:
		return told["AccessDenied"]
	case http.StatusMovedPermanently, http.StatusTemporaryRedirect:
		return told["PermanentRedirect"]
	case http.StatusServiceUnavailable:
		return told["ServiceUnavailable"]
	}
	return ""
}

// unreachable says why there was no answer at all.
func unreachable(err error) string {
	var dns *net.DNSError
	var op *net.OpError
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	switch {
	case errors.As(err, &dns):
		return "the name of the endpoint is not known: " + dns.Name
	case errors.As(err, &unknown):
		return "the endpoint's certificate is of an authority that is not known: set ca_file"
	case errors.As(err, &name):
		return "the endpoint's certificate is for another name"
	case errors.As(err, &op):
		return "the bucket can not be reached: " + op.Err.Error()
	}
	for cause := err; cause != nil; cause = errors.Unwrap(cause) {
		err = cause // the innermost one has no names of objects and no signatures in it
	}
	return "the bucket can not be reached: " + err.Error()
}
