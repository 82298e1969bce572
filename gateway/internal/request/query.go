package request

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/concord-suite/concord/gateway/internal/problem"
)

// shown bounds how much of a caller's own word is said back.
const shown = 100

// Query is the part of the address after "?" of a hand-written route, when it holds nothing but the parameters allowed,
// in either spelling ("displayName", "display_name") and once each; otherwise the problem to answer. Keys are in camelCase.
func Query(r *http.Request, allowed ...string) (map[string]string, *problem.Problem) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, unreadable()
	}
	query := map[string]string{}
	var fields []problem.Field
	for _, key := range slices.Sorted(maps.Keys(values)) {
		name := problem.JSONName(key)
		_, again := query[name]
		switch {
		case !slices.Contains(allowed, name):
			fields = append(fields, unknown(key, "", allowed))
		case again || len(values[key]) > 1:
			fields = append(fields, problem.Field{Field: name, Rule: "once", Detail: "is given more than once"})
		default:
			query[name] = values.Get(key)
		}
	}
	if fields != nil {
		return nil, problem.Invalid(fields...)
	}
	return query, nil
}

// CheckQuery is the problem of an address with query parameters that the route does not take, nil when it takes all: a
// mistyped filter must not be answered with everything.
func (r *Route) CheckQuery(u *url.URL) *problem.Problem {
	if u.RawQuery == "" {
		return nil
	}
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return unreadable()
	}
	var fields []problem.Field
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if r.takes(key) {
			continue
		}
		hint := ""
		if r.Body == "*" && r.Field(key) != nil {
			hint = "; it stands in the body"
		}
		fields = append(fields, unknown(key, hint, r.parameters()))
	}
	if fields == nil {
		return nil
	}
	return problem.Invalid(fields...)
}

// takes says whether key is a query parameter of the route.
func (r *Route) takes(key string) bool {
	if r.Body == "*" || r.Field(key) == nil {
		return false
	}
	path := problem.JSONName(key)
	return !slices.ContainsFunc(r.taken, func(taken string) bool {
		taken = problem.JSONName(taken)
		return path == taken || strings.HasPrefix(path, taken+".")
	})
}

// parameters are the query parameters of the route.
func (r *Route) parameters() (names []string) {
	fields := r.Method.Input().Fields()
	for i := range fields.Len() {
		if name := fields.Get(i).JSONName(); r.takes(name) {
			names = append(names, name)
		}
	}
	return names
}

func unknown(key, hint string, allowed []string) problem.Field {
	if runes := []rune(key); len(runes) > shown {
		key = string(runes[:shown]) + "…"
	}
	takes := "none"
	if len(allowed) > 0 {
		takes = strings.Join(allowed, ", ")
	}
	return problem.Field{Field: key, Rule: "unknown_parameter",
		Detail: fmt.Sprintf("is no query parameter of this call, which takes %s%s", takes, hint)}
}

func unreadable() *problem.Problem {
	p := problem.Invalid()
	p.Detail = "the part of the address after the question mark can not be read"
	return p
}

// Wanted says in words what a field takes, for a value that could not be read as one.
func Wanted(f protoreflect.FieldDescriptor) string {
	switch f.Kind() {
	case protoreflect.EnumKind:
		return "must be one of " + strings.Join(Values(f.Enum()), ", ")
	case protoreflect.BoolKind:
		return "must be true or false"
	case protoreflect.Int32Kind, protoreflect.Int64Kind, protoreflect.Sint32Kind, protoreflect.Sint64Kind,
		protoreflect.Uint32Kind, protoreflect.Uint64Kind:
		return "must be a whole number"
	case protoreflect.MessageKind:
		if f.Message().FullName() == "google.protobuf.Timestamp" {
			return "must be a moment like 2026-01-31T09:30:00Z"
		}
	}
	return "has a value of the wrong form"
}

// Values are the names of an enum's values that say something: all but the one for "not set".
func Values(e protoreflect.EnumDescriptor) (names []string) {
	for i := range e.Values().Len() {
		if v := e.Values().Get(i); v.Number() != 0 {
			names = append(names, string(v.Name()))
		}
	}
	return names
}
