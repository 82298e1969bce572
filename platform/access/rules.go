package access

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	optionsv1 "github.com/concord-suite/concord/proto/gen/concord/options/v1"
)

// exempt are the services every server has for its operators: they show nothing of a firm and need no identity.
var exempt = []protoreflect.FullName{
	"grpc.health.v1.Health",
	"grpc.reflection.v1.ServerReflection",
	"grpc.reflection.v1alpha.ServerReflection",
}

// Exempt tells whether a gRPC service needs no rules: health and reflection.
func Exempt(service string) bool { return slices.Contains(exempt, protoreflect.FullName(service)) }

var permissionPattern = regexp.MustCompile(`^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$`)

// Rule is what one RPC admits, ready to be enforced.
type Rule struct {
	// Method is the full method name as gRPC writes it, "/concord.sync.v1.ClientService/GetClient".
	Method string
	// Permission is "resource.verb".
	Permission string
	// Allow are the kinds admitted.
	Allow []Kind
	// Services are the services admitted when Allow holds Service.
	Services []string
	// StepUp is true when the session must be strong and freshly confirmed.
	StepUp bool
	// FirmField is the dotted path of the request field that names the firm; empty outside firms.
	FirmField string
	// Self is true when the call is about the caller itself; the firm is then the caller's.
	Self bool
	// Audit is how the call enters the audit ledger.
	Audit optionsv1.AuditKind
	// ClientStream and ServerStream tell which sides stream.
	ClientStream, ServerStream bool

	input, output protoreflect.MessageDescriptor
}

// Admits tells whether the rule names the kind.
func (r *Rule) Admits(k Kind) bool { return slices.Contains(r.Allow, k) }

// Input is the descriptor of the request message.
func (r *Rule) Input() protoreflect.MessageDescriptor { return r.input }

// Output is the descriptor of the answer.
func (r *Rule) Output() protoreflect.MessageDescriptor { return r.output }

// RuleSet holds the rules of all RPCs of a server, by full method name.
type RuleSet struct {
	rules map[string]*Rule
}

// Rules reads the rules of services from the contract. Every mistake is named in one joined error: an RPC without a rule
// or without an audit kind, firm-scoped kinds without a field that names the firm, a field that is not there, SERVICE
// admitted without saying which. Health and reflection are left out.
func Rules(services ...protoreflect.ServiceDescriptor) (*RuleSet, error) {
	set := &RuleSet{rules: map[string]*Rule{}}
	var mistakes []error
	for _, s := range services {
		if Exempt(string(s.FullName())) {
			continue
		}
		methods := s.Methods()
		for i := range methods.Len() {
			r, err := ruleOf(methods.Get(i))
			if err != nil {
				mistakes = append(mistakes, err)
				continue
			}
			set.rules[r.Method] = r
		}
	}
	if len(mistakes) > 0 {
		return nil, errors.Join(mistakes...)
	}
	return set, nil
}

// Rule returns the rule of a full method name, or nil.
func (s *RuleSet) Rule(method string) *Rule { return s.rules[method] }

// All returns the rules in the order of their method names.
func (s *RuleSet) All() []*Rule {
	out := make([]*Rule, 0, len(s.rules))
	for _, r := range s.rules {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b *Rule) int { return strings.Compare(a.Method, b.Method) })
	return out
}

func ruleOf(m protoreflect.MethodDescriptor) (*Rule, error) {
	method := fmt.Sprintf("/%s/%s", m.Parent().FullName(), m.Name())
	if !proto.HasExtension(m.Options(), optionsv1.E_Rule) {
		return nil, fmt.Errorf("access: %s has no rule", method)
	}
	o, ok := proto.GetExtension(m.Options(), optionsv1.E_Rule).(*optionsv1.Rule)
	if !ok {
		return nil, fmt.Errorf("access: the rule of %s cannot be read", method)
	}
	r := &Rule{
		Method: method, Permission: o.GetPermission(), Allow: o.GetAllow(), Services: o.GetServices(),
		StepUp: o.GetStepUp(), FirmField: o.GetFirmField(), Self: o.GetSelf(), Audit: o.GetAudit(),
		ClientStream: m.IsStreamingClient(), ServerStream: m.IsStreamingServer(), input: m.Input(), output: m.Output(),
	}
	var mistakes []error
	for _, what := range r.mistakes() {
		mistakes = append(mistakes, fmt.Errorf("access: the rule of %s %s", method, what))
	}
	return r, errors.Join(mistakes...)
}

// mistakes says what is wrong with a rule, in words that follow "the rule of X".
func (r *Rule) mistakes() []string {
	var out []string
	bad := func(when bool, format string, args ...any) {
		if when {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	bad(!permissionPattern.MatchString(r.Permission), "has the permission %q, not resource.verb", r.Permission)
	bad(r.Audit == optionsv1.AuditKind_AUDIT_KIND_UNSPECIFIED, "has no audit kind")
	bad(len(r.Allow) == 0, "admits nobody")
	seen := map[Kind]bool{}
	public := slices.Contains(r.Allow, Anonymous) // what everybody may see belongs to no firm
	for _, k := range r.Allow {
		bad(!slices.Contains(Kinds(), k), "admits the unknown kind %d", k)
		bad(seen[k], "admits %s twice", KindName(k))
		seen[k] = true
		bad(FirmScoped(k) && r.FirmField == "" && !r.Self && !public, "admits %s without a firm_field", KindName(k))
	}
	bad(seen[Service] && len(r.Services) == 0, "admits SERVICE but no services")
	bad(!seen[Service] && len(r.Services) > 0, "names services but does not admit SERVICE")
	bad(slices.Contains(r.Services, ""), "names a service without a name")
	bad(seen[Anonymous] && r.StepUp, "asks nobody for a step-up")
	bad(seen[Anonymous] && r.Self, "is about the caller and admits nobody")
	bad(r.Self && r.FirmField != "", "is about the caller and names a firm_field")
	if r.FirmField != "" {
		if _, err := fieldPath(r.input, r.FirmField); err != nil {
			out = append(out, err.Error())
		}
	}
	return out
}

// fieldPath resolves a dotted path to the descriptors of its fields; the last must be one string, the others messages.
func fieldPath(m protoreflect.MessageDescriptor, path string) ([]protoreflect.FieldDescriptor, error) {
	var out []protoreflect.FieldDescriptor
	names := strings.Split(path, ".")
	for i, name := range names {
		f := m.Fields().ByName(protoreflect.Name(name))
		last := i == len(names)-1
		switch {
		case f == nil:
			return nil, fmt.Errorf("has the firm_field %q, which %s does not have", path, m.FullName())
		case f.Cardinality() == protoreflect.Repeated,
			last && f.Kind() != protoreflect.StringKind,
			!last && f.Kind() != protoreflect.MessageKind:
			return nil, fmt.Errorf("has the firm_field %q, which is not one string", path)
		}
		out = append(out, f)
		m = f.Message()
	}
	return out, nil
}

// Resource returns what the request is about: the value of the firm field, or of the field "name" or "parent" when the
// rule has none. It is "" when the request names nothing.
func (r *Rule) Resource(req proto.Message) string {
	for _, path := range []string{r.FirmField, "name", "parent"} {
		if path == "" {
			continue
		}
		if s, ok := valueAt(req, path); ok && s != "" {
			return s
		}
	}
	return ""
}

// valueAt reads a string field by its dotted path. It works on the message's own descriptor, since a request may be a
// dynamic message.
func valueAt(req proto.Message, path string) (string, bool) {
	m := req.ProtoReflect()
	fields, err := fieldPath(m.Descriptor(), path)
	if err != nil {
		return "", false
	}
	for _, f := range fields[:len(fields)-1] {
		m = m.Get(f).Message()
	}
	return m.Get(fields[len(fields)-1]).String(), true
}
