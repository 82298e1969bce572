package gauges

import (
	"io"
	"net/http"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// methods are told apart; anybody may send others.
var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions}

// Requests measures how long the requests to handler take, by method and status. Paths are not told: they hold names.
func Requests(meter metric.Meter, handler http.Handler, now func() time.Time) (http.Handler, error) {
	took, err := meter.Float64Histogram("http.server.request.duration", metric.WithUnit("s"),
		metric.WithDescription("Duration of HTTP server requests."),
		metric.WithExplicitBucketBoundaries(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10))
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := now()
		answer := &answer{ResponseWriter: w}
		defer func() {
			method := r.Method
			if !slices.Contains(methods, method) {
				method = "_OTHER"
			}
			took.Record(r.Context(), now().Sub(began).Seconds(), metric.WithAttributes(
				attribute.String("http.request.method", method), attribute.Int("http.response.status_code", answer.code())))
		}()
		handler.ServeHTTP(answer, r)
	}), nil
}

// answer remembers the status of a response.
type answer struct {
	http.ResponseWriter
	status int
}

func (a *answer) code() int {
	if a.status == 0 {
		return http.StatusOK
	}
	return a.status
}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if a.status < http.StatusOK { // 1xx may come before
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach what is below.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// Flush implements http.Flusher.
func (a *answer) Flush() {
	if f, ok := a.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}

// ReadFrom implements io.ReaderFrom: a file goes to the network without passing through this process.
func (a *answer) ReadFrom(r io.Reader) (int64, error) { return io.Copy(a.ResponseWriter, r) }
