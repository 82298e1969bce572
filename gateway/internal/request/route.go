// Package request holds what the gateway knows of a request before it becomes a call: which RPC its address stands for,
// which query parameters that takes, and the key under which the call is made once.
//
// All of it is read from the contract, so that a new RPC needs nothing here.
package request

import (
	"context"
	"regexp"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// Route is one address of the REST surface and what it stands for.
type Route struct {
	// Method is the RPC.
	Method protoreflect.MethodDescriptor
	// Verb is the HTTP method.
	Verb string
	// Body is the field of the request that the body is, "*" for the whole request, empty when there is none.
	Body string

	taken []string // the fields that stand in the path or the body, dotted
}

// Routes are the addresses by Key.
type Routes map[string]*Route

// Key is how Routes finds an address: the HTTP method and the template as grpc-gateway prints it.
func Key(verb, template string) string { return verb + " " + template }

// bare is a placeholder without a pattern, which stands for one segment.
var bare = regexp.MustCompile(`\{([a-z0-9_.]+)\}`)

// placeholder finds the field a part of the path is bound to.
var placeholder = regexp.MustCompile(`\{([a-z0-9_.]+)=`)

// Contract reads the routes of every service whose package begins with prefix.
func Contract(prefix string) Routes {
	all := Routes{}
	protoregistry.GlobalFiles.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		if !strings.HasPrefix(string(f.Package()), prefix) {
			return true
		}
		for i := range f.Services().Len() {
			methods := f.Services().Get(i).Methods()
			for j := range methods.Len() {
				all.add(methods.Get(j))
			}
		}
		return true
	})
	return all
}

func (all Routes) add(m protoreflect.MethodDescriptor) {
	rule, _ := proto.GetExtension(m.Options(), annotations.E_Http).(*annotations.HttpRule)
	if rule == nil {
		return
	}
	for _, binding := range append([]*annotations.HttpRule{rule}, rule.GetAdditionalBindings()...) {
		verb, template := address(binding)
		template = bare.ReplaceAllString(template, "{$1=*}")
		r := &Route{Method: m, Verb: verb, Body: binding.GetBody()}
		for _, found := range placeholder.FindAllStringSubmatch(template, -1) {
			r.taken = append(r.taken, found[1])
		}
		if r.Body != "" && r.Body != "*" {
			r.taken = append(r.taken, r.Body)
		}
		all[Key(verb, template)] = r
	}
}

func address(rule *annotations.HttpRule) (verb, template string) {
	switch p := rule.GetPattern().(type) {
	case *annotations.HttpRule_Get:
		return "GET", p.Get
	case *annotations.HttpRule_Post:
		return "POST", p.Post
	case *annotations.HttpRule_Put:
		return "PUT", p.Put
	case *annotations.HttpRule_Patch:
		return "PATCH", p.Patch
	case *annotations.HttpRule_Delete:
		return "DELETE", p.Delete
	}
	return rule.GetCustom().GetKind(), rule.GetCustom().GetPath()
}

// Field finds a field of the request by either of its names, dotted when it is nested; nil when there is none.
func (r *Route) Field(path string) protoreflect.FieldDescriptor {
	return fieldAt(r.Method.Input(), path)
}

func fieldAt(m protoreflect.MessageDescriptor, path string) protoreflect.FieldDescriptor {
	head, rest, nested := strings.Cut(path, ".")
	f := m.Fields().ByTextName(head)
	if f == nil {
		f = m.Fields().ByJSONName(head)
	}
	if f == nil || !nested {
		return f
	}
	if f.Message() == nil || f.Cardinality() == protoreflect.Repeated {
		return nil
	}
	return fieldAt(f.Message(), rest)
}

// RequestID says where the call takes its request id: "body", "query", or nowhere, which is empty.
func (r *Route) RequestID() string {
	switch {
	case r.Field("request_id") == nil:
		return ""
	case r.Body == "*":
		return "body"
	}
	return "query"
}

type routeKey struct{}

// WithRoute remembers the route of a request.
func WithRoute(ctx context.Context, r *Route) context.Context {
	return context.WithValue(ctx, routeKey{}, r)
}

// RouteOf is the route of a request, nil outside the translated surface.
func RouteOf(ctx context.Context) *Route {
	r, _ := ctx.Value(routeKey{}).(*Route)
	return r
}
