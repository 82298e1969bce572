package rest

import (
	"net/http"
	"regexp"
	"strings"

	"github.com/concord-suite/concord/gateway/internal/problem"
)

var (
	// tooLarge is how net/http says that a body is longer than it may be.
	tooLarge = "http: request body too large"
	// badParameter is how the translation says that a query parameter has the wrong form.
	badParameter = regexp.MustCompile(`^parsing (?:field|list) "([^"]+)"`)
)

// unreadable is the problem of a request that could not be translated into a call, in words that name no library.
func unreadable(message string) *problem.Problem {
	if strings.Contains(message, tooLarge) {
		return problem.New(http.StatusRequestEntityTooLarge, "BODY_TOO_LARGE", "the body is larger than any request of this API")
	}
	p := problem.New(http.StatusBadRequest, "INVALID_REQUEST", "the body is not the JSON of this request")
	p.Code = "INVALID_ARGUMENT"
	if m := badParameter.FindStringSubmatch(message); m != nil {
		p.Detail = "the request is not valid"
		p.Fields = []problem.Field{{Field: m[1], Detail: "has a value of the wrong form"}}
		return p
	}
	// protojson says where and what, after a prefix whose space differs by build.
	if what, ok := strings.CutPrefix(message, "proto:"); ok {
		p.Detail += ": " + strings.TrimLeft(what, " \u00a0")
	}
	return p
}
