package rest

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/concord-suite/concord/gateway/internal/problem"
	"github.com/concord-suite/concord/gateway/internal/request"
)

var (
	// badParameter is how the translation says that a query parameter has the wrong form, repeated how it says that there
	// are too many of one.
	badParameter = regexp.MustCompile(`^parsing (?:field|list) "([^"]+)"`)
	repeated     = regexp.MustCompile(`^(?:too many values for|duplicate) field "([^"]+)"`)
	// badEnum and unknownField are how protojson says what a body must not hold. It names fields as JSON does.
	badEnum      = regexp.MustCompile(`invalid value for enum field (\w+):`)
	unknownField = regexp.MustCompile(`unknown field "requestId"|unknown field "request_id"`)
)

// unreadable is the problem of a request that could not be translated into a call, in words that name no library.
func unreadable(route *request.Route, message string) *problem.Problem {
	if limit, ok := strings.CutPrefix(message, saysLarge); ok {
		return tooLarge(limit)
	}
	if m := badParameter.FindStringSubmatch(message); m != nil {
		detail := "has a value of the wrong form"
		if route != nil && route.Field(m[1]) != nil {
			detail = request.Wanted(route.Field(m[1]))
		}
		return problem.Invalid(problem.Field{Field: problem.JSONName(m[1]), Detail: detail})
	}
	if m := repeated.FindStringSubmatch(message); m != nil {
		return problem.Invalid(problem.Field{Field: problem.JSONName(m[1]), Rule: "once", Detail: "is given more than once"})
	}
	return unreadableBody(route, message)
}

func tooLarge(limit string) *problem.Problem {
	p := problem.New(http.StatusRequestEntityTooLarge, "BODY_TOO_LARGE",
		"the body is larger than any request of this API, which has at most "+limit+" bytes")
	p.Metadata = map[string]string{"limit_bytes": limit}
	return p
}

func unreadableBody(route *request.Route, message string) *problem.Problem {
	p := problem.Invalid()
	p.Detail = "the body is not the JSON of this request"
	for _, says := range []string{saysSyntax, "body: ", "proto:"} { // protojson's prefix has a space that differs by build
		if what, ok := strings.CutPrefix(message, says); ok {
			p.Detail += ": " + strings.TrimLeft(what, " \u00a0")
			break
		}
	}
	if route == nil {
		return p
	}
	if unknownField.MatchString(message) {
		p.Detail += "; " + whereRequestID(route)
	}
	if m := badEnum.FindStringSubmatch(message); m != nil {
		if f := enumNamed(route.Method.Input(), m[1], 3); f != nil {
			p.Fields = []problem.Field{{Field: m[1], Rule: "enum.defined_only", Detail: request.Wanted(f)}}
			p.Detail = fmt.Sprintf("the request is not valid: %s %s", strconv.Quote(m[1]), request.Wanted(f))
		}
	}
	return p
}

// whereRequestID says how a call is made once, for those who looked for that in the wrong place.
func whereRequestID(route *request.Route) string {
	if route.RequestID() == "" {
		return "this call has none: making it twice does no more than making it once, or means two of it"
	}
	return "this call takes it as the query parameter requestId, or as the header " + request.KeyHeader
}

// enumNamed finds the field of a message, or of one some levels inside, that has this JSON name and takes an enum.
func enumNamed(m protoreflect.MessageDescriptor, name string, depth int) protoreflect.FieldDescriptor {
	if f := m.Fields().ByJSONName(name); f != nil && f.Enum() != nil {
		return f
	}
	for i := 0; i < m.Fields().Len() && depth > 0; i++ {
		if below := m.Fields().Get(i).Message(); below != nil {
			if f := enumNamed(below, name, depth-1); f != nil {
				return f
			}
		}
	}
	return nil
}
