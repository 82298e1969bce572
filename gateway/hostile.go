package gateway

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/concord-suite/concord/gateway/internal/bytes"
	"github.com/concord-suite/concord/gateway/internal/problem"
	"github.com/concord-suite/concord/gateway/internal/webhook"
)

// bytesPath is where the documents service's tickets are taken.
const bytesPath = "/v1/bytes/"

const (
	// jsonWait bounds the whole body of a request in JSON: a megabyte over the slowest line in use takes half of it.
	jsonWait = 20 * time.Second
	// bytesWait bounds a silence within an upload. It is more than what the documents service bears, whose answer says
	// what is wrong.
	bytesWait = time.Minute
)

// patience ends the wait for a body that does not come. Without it whoever announces a body and sends none holds a
// connection for ever, also one whose request was refused: the server waits for the rest of the body before it goes on.
func patience(json, silence time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == nil || r.Body == http.NoBody {
			next.ServeHTTP(w, r)
			return
		}
		b := &awaited{ReadCloser: r.Body, control: http.NewResponseController(w)}
		switch {
		case carriesBytes(r):
			b.silence = silence
			b.await(silence)
		case webhook.Is(r.URL.Path):
			b.await(min(json, webhook.Wait))
		default:
			b.await(json)
		}
		r.Body = b
		next.ServeHTTP(w, r)
	})
}

const (
	// large is from which length a body needs room: almost no request of a frontend and no notice comes near it.
	large = 64 << 10
	// rooms is how many large bodies are here at once. Each is a mebibyte at most, and two or three while it is read.
	rooms = 64
)

// roomy bounds the memory that strangers can take by sending large bodies slowly, which have to be here before anybody can
// know whether they are worth it. Small ones are not concerned, so that who takes all rooms stops neither sign-ins nor notices.
func roomy(next http.Handler) http.Handler {
	taken := make(chan struct{}, rooms)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if small := r.ContentLength >= 0 && r.ContentLength < large; small || carriesBytes(r) {
			next.ServeHTTP(w, r)
			return
		}
		select {
		case taken <- struct{}{}:
			defer func() { <-taken }()
			next.ServeHTTP(w, r)
		default:
			w.Header().Set("Retry-After", "1")
			if webhook.Is(r.URL.Path) {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			problem.Write(w, r, problem.New(http.StatusServiceUnavailable, "BUSY", "too many large requests are under way; try again"))
		}
	})
}

// awaited is a body that is waited for until a moment.
type awaited struct {
	io.ReadCloser
	control *http.ResponseController
	silence time.Duration // each read may last as long; 0 when the whole body has one moment
}

// Read implements io.Reader. Once the body is here, what is done with it may take its time: a deadline that passed then
// would end the request.
func (b *awaited) Read(p []byte) (int, error) {
	if b.silence > 0 {
		b.await(b.silence)
	}
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// await sets the moment by the wall clock, as connections do. A connection without deadlines needs none.
func (b *awaited) await(d time.Duration) { _ = b.control.SetReadDeadline(time.Now().Add(d)) }

// carriesBytes says whether a request brings a document, which may take hours.
func carriesBytes(r *http.Request) bool {
	return bytes.IsUpload(r) || strings.HasPrefix(r.URL.Path, bytesPath)
}

// clean refuses an address that is not text, which no message of the contract could carry, and takes away what would
// let a stranger decide how long services work on a call.
func clean(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query, err := url.QueryUnescape(r.URL.RawQuery)
		if err != nil || !utf8.ValidString(query) || !utf8.ValidString(r.URL.Path) {
			p := problem.New(http.StatusBadRequest, "INVALID_REQUEST", "the address is not in UTF-8")
			p.Code = "INVALID_ARGUMENT"
			problem.Write(w, r, p)
			return
		}
		r.Header.Del("Grpc-Timeout")
		next.ServeHTTP(w, r)
	})
}

// straight answers an address with empty or dotted parts, or one that only lacks its last slash, as what it is: nothing.
// The mux would send the caller elsewhere, by a page for people.
func straight(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := r.URL.Path
		tidy := path.Clean(p)
		if strings.HasSuffix(p, "/") && tidy != "/" {
			tidy += "/"
		}
		if p != tidy || p == "/v1" || p+"/" == bytesPath {
			serveNothing(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}
