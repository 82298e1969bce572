// Package bytes passes document bytes between people and the documents service without holding them.
//
// The address with the token in it is the authority, made by the documents service for one object and one direction.
// Two shortcuts make it one call for a frontend: the content of a document, and a folder's upload.
package bytes

import (
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/concord-suite/concord/gateway/internal/problem"
	"github.com/concord-suite/concord/gateway/internal/request"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
)

var (
	contentPath = regexp.MustCompile(`^/v1/(firms/[^/]+/documents/[^/:]+)/content$`)
	uploadPath  = regexp.MustCompile(`^/v1/((firms/[^/]+)/folders/[^/:]+)/documents:upload$`)
)

// large is from what size on an upload may be worked on after its last byte: a bucket puts it together of parts and copies it.
// What is smaller, and whatever is read, is answered soon or not at all.
const large = 16 << 20

// answerWait is how long the answer to a large upload may take: a bucket copies a gigabyte in some ten seconds, a slow one in a
// minute. What stands before the gateway waits as long (deploy/k8s).
const answerWait = time.Hour

// patient lets the answers to large uploads take their time.
type patient struct{ soon, late http.RoundTripper }

func newPatient(soon http.RoundTripper) http.RoundTripper {
	t, ok := soon.(*http.Transport)
	if !ok {
		return soon
	}
	late := t.Clone()
	late.ResponseHeaderTimeout = answerWait
	late.DisableKeepAlives = true // the one who made the transport closes its connections, and not the copy's
	return patient{soon, late}
}

// RoundTrip implements http.RoundTripper.
func (p patient) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPut && (r.ContentLength < 0 || r.ContentLength > large) {
		return p.late.RoundTrip(r)
	}
	return p.soon.RoundTrip(r)
}

// Proxy passes bytes.
type Proxy struct {
	documents documentsv1.DocumentServiceClient
	proxy     *httputil.ReverseProxy
}

// New makes the proxy; the client carries the caller's own token, the transport reaches the documents service's byte
// listener at host.
func New(documents documentsv1.DocumentServiceClient, transport http.RoundTripper, host string, logger *slog.Logger) *Proxy {
	return &Proxy{documents: documents, proxy: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: host})
			// The token in the path is the only authority: nothing else of the person goes along.
			for _, h := range []string{"Authorization", "Cookie", "X-Concord-Csrf"} {
				r.Out.Header.Del(h)
			}
		},
		Transport:     newPatient(transport),
		FlushInterval: -1,
		ModifyResponse: func(resp *http.Response) error {
			for _, h := range []string{"X-Content-Type-Options", "Cache-Control"} {
				resp.Header.Del(h) // the gateway says them on every answer
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil {
				logger.WarnContext(r.Context(), "bytes could not be passed on", "error", err)
			}
			problem.Write(w, r, problem.New(http.StatusBadGateway, "STORAGE_UNAVAILABLE",
				"the document storage did not answer; nothing was kept"))
		},
	}}
}

// ServeHTTP passes a request for an answered path.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPut:
		if _, refused := request.Query(r); refused != nil {
			problem.Write(w, r, refused)
			return
		}
		// The documents service answers with its own, stricter headers for foreign content.
		w.Header().Del("Content-Security-Policy")
		p.proxy.ServeHTTP(w, r)
	default:
		problem.Write(w, r, problem.New(http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED", "bytes are read by GET and sent by PUT"))
	}
}

// IsUpload says whether a request carries a document's bytes.
func IsUpload(r *http.Request) bool {
	return r.Method == http.MethodPost && uploadPath.MatchString(r.URL.Path)
}

// Match says whether a request is for a shortcut.
func (p *Proxy) Match(r *http.Request) bool {
	return IsUpload(r) || ((r.Method == http.MethodGet || r.Method == http.MethodHead) && contentPath.MatchString(r.URL.Path))
}

// ServeShortcut answers a shortcut: it asks for the path as the caller, then passes the bytes.
func (p *Proxy) ServeShortcut(w http.ResponseWriter, r *http.Request) {
	if m := contentPath.FindStringSubmatch(r.URL.Path); m != nil {
		p.download(w, r, m[1])
		return
	}
	m := uploadPath.FindStringSubmatch(r.URL.Path)
	p.upload(w, r, m[2], m[1])
}

func (p *Proxy) download(w http.ResponseWriter, r *http.Request, document string) {
	if _, refused := request.Query(r); refused != nil {
		problem.Write(w, r, refused)
		return
	}
	resp, err := p.documents.InitiateDownload(r.Context(), &documentsv1.InitiateDownloadRequest{Name: document})
	if err != nil {
		problem.WriteError(w, r, err)
		return
	}
	p.pass(w, r, r.Method, resp.GetDownloadPath())
}

// upload takes the file as the body, its name and optional hash from the query.
func (p *Proxy) upload(w http.ResponseWriter, r *http.Request, firm, folder string) {
	if r.ContentLength < 0 {
		problem.Write(w, r, problem.New(http.StatusLengthRequired, "LENGTH_REQUIRED", "send Content-Length with the file"))
		return
	}
	q, refused := request.Query(r, "displayName", "sha256", "requestId")
	if refused != nil {
		problem.Write(w, r, refused)
		return
	}
	media := r.Header.Get("Content-Type")
	if strings.HasPrefix(media, "application/x-www-form-urlencoded") {
		media = "" // what programs send when nobody chose: let the bytes decide
	}
	resp, err := p.documents.InitiateUpload(r.Context(), &documentsv1.InitiateUploadRequest{
		Parent: firm, Folder: folder, DisplayName: q["displayName"], MediaType: media,
		Size: &r.ContentLength, Sha256: strings.ToLower(q["sha256"]), RequestId: q["requestId"],
	})
	if err != nil {
		problem.WriteError(w, r, err)
		return
	}
	p.pass(w, r, http.MethodPut, resp.GetUploadPath())
}

// pass sends the request on under the answered path.
func (p *Proxy) pass(w http.ResponseWriter, r *http.Request, method, path string) {
	out := r.Clone(r.Context())
	out.Method, out.URL = method, &url.URL{Path: path}
	w.Header().Del("Content-Security-Policy")
	p.proxy.ServeHTTP(w, out)
}
