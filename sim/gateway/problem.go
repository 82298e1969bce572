package gateway

import (
	"encoding/json"
	"net/http"

	"github.com/concord-suite/concord/sim/world"
)

// Details of the errors the gateway answers before an API is asked.
const (
	DetailAuthentication = "AuthenticationUnsuccessful"
	DetailAuthorization  = "AuthorizationUnsuccessful"
)

// correlationHeader names the request in every answer and in the Instance of an error.
const correlationHeader = "Xero-Correlation-Id"

// problem is the gateway's error body. The order of the members and the null are as recorded.
type problem struct {
	Type       *string
	Title      string
	Status     int
	Detail     string
	Instance   string
	Extensions struct{}
}

// Problem answers with the gateway's JSON error.
func Problem(w http.ResponseWriter, status int, detail string) {
	instance := w.Header().Get(correlationHeader)
	if instance == "" {
		instance = Correlate(w)
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer error=invalid_token")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	body, err := json.Marshal(problem{
		Title: http.StatusText(status), Status: status, Detail: detail, Instance: instance,
	})
	if err == nil {
		_, _ = w.Write(body) // an error here means the caller has gone: nobody is left to tell
	}
}

// Correlate gives the answer a correlation id and the cache header every answer carries.
func Correlate(w http.ResponseWriter) string {
	id := world.NewID()
	w.Header().Set(correlationHeader, id)
	w.Header().Set("Cache-Control", "max-age=0, no-cache, no-store")
	return id
}
