package gateway

import (
	"net/http"

	"github.com/concord-suite/concord/gateway/internal/bytes"
	"github.com/concord-suite/concord/gateway/internal/connect"
	"github.com/concord-suite/concord/gateway/internal/problem"
	"github.com/concord-suite/concord/gateway/internal/request"
	"github.com/concord-suite/concord/gateway/internal/session"
	"github.com/concord-suite/concord/gateway/internal/stream"
	"github.com/concord-suite/concord/gateway/internal/webhook"
	"github.com/concord-suite/concord/proto/gen/openapi"
)

// maxJSON bounds a JSON body: the largest request of the contract, a thousand resource names, is under 200 KiB.
const maxJSON = 1 << 20

// routes lays the special paths over the translated API. What the mux does not know is the API's to answer.
func (s *Service) routes(
	api http.Handler, proxy *bytes.Proxy, events *stream.Handlers, callback *connect.Callback, notices *webhook.Handler,
	texts *webhook.Texts, cookies session.Cookies,
) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/v1/", clean(limitBody(request.Once(custom(api, proxy, events)))))
	mux.Handle(bytesPath, proxy)
	mux.HandleFunc("GET /openapi.json", serveOpenAPI)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("GET /readyz", s.serveReady)
	mux.Handle("GET /oauth/callback", callback)
	mux.HandleFunc("GET /connect/done.html", connect.ServeDone)
	s.pages.Register(mux)
	s.oauth.Register(mux)
	mux.HandleFunc("/", serveNothing)
	people := s.limits.Wrap(session.Middleware(cookies, straight(mux)))
	return recoverer(s.deps.Logger, patience(jsonWait, bytesWait, secure(cookies.Secure(), roomy(notices.Before(texts.Before(people))))))
}

func serveNothing(w http.ResponseWriter, r *http.Request) {
	problem.Write(w, r, problem.New(http.StatusNotFound, "NOT_FOUND", "there is nothing at this address"))
}

// custom sends the calls that JSON can't carry to their own handlers: uploads, downloads, exports and progress.
func custom(api http.Handler, proxy *bytes.Proxy, events *stream.Handlers) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case proxy.Match(r):
			proxy.ServeShortcut(w, r)
		case events.Match(r):
			events.ServeHTTP(w, r)
		default:
			api.ServeHTTP(w, r)
		}
	})
}

func (s *Service) serveReady(w http.ResponseWriter, r *http.Request) {
	if err := s.Ready(r.Context()); err != nil {
		problem.Write(w, r, problem.New(http.StatusServiceUnavailable, "NOT_READY", "the auth service does not answer"))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func serveOpenAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	_, _ = w.Write(openapi.Document)
}

// limitBody bounds JSON bodies. Uploads don't come this way in one piece: they have their own handlers.
func limitBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !bytes.IsUpload(r) {
			r.Body = http.MaxBytesReader(w, r.Body, maxJSON)
		}
		next.ServeHTTP(w, r)
	})
}
