// Package violation says in words what is wrong with a field of a request.
package violation

import (
	"fmt"
	"regexp"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Words says what is wrong with a field, for whoever made the request: the field is the sentence's subject. The
// validator's own words speak of lists of numbers and of regular expressions. of is the request's type.
func Words(v *protovalidate.Violation, of protoreflect.MessageDescriptor) string {
	rule := v.Proto.GetRuleId()
	name := rule[strings.LastIndexByte(rule, '.')+1:]
	switch {
	case rule == "required":
		return "is required"
	case rule == "enum.not_in" || rule == "enum.defined_only":
		if f := v.FieldDescriptor; f != nil && f.Enum() != nil {
			return said(v, "one of "+strings.Join(values(f.Enum()), ", "))
		}
	case rule == "enum.in":
		if f := at(v.Proto.GetField(), of); f != nil && f.Enum() != nil {
			return said(v, "one of "+named(f.Enum(), v.RuleValue))
		}
	case rule == "string.in":
		return said(v, "one of "+list(v.RuleValue))
	case rule == "string.pattern":
		if shape, ok := shapeOf(v.RuleValue.String()); ok {
			return said(v, `a name like "`+shape+`", with UUIDs in lower case`)
		}
	case name == "min_items" && v.FieldValue.IsValid():
		return fmt.Sprintf("must hold at least %s", v.RuleValue)
	case name == "max_items" && v.FieldValue.IsValid():
		return fmt.Sprintf("must hold at most %s", v.RuleValue)
	}
	if empty(v) {
		return "is required"
	}
	return v.Proto.GetMessage()
}

// said puts what a field takes into a sentence, by whether there was anything.
func said(v *protovalidate.Violation, takes string) string {
	if empty(v) {
		return "is required; " + takes
	}
	return "must be " + takes
}

// empty tells whether the field was left out, as far as that can be seen.
func empty(v *protovalidate.Violation) bool {
	f := v.FieldDescriptor
	if f == nil || !v.FieldValue.IsValid() {
		return false
	}
	switch f.Kind() {
	case protoreflect.StringKind:
		s, ok := v.FieldValue.Interface().(string)
		return ok && s == ""
	case protoreflect.EnumKind:
		n, ok := v.FieldValue.Interface().(protoreflect.EnumNumber)
		return ok && n == 0
	}
	return false
}

// values are an enum's values that say something: all but the one for "not set".
func values(e protoreflect.EnumDescriptor) (names []string) {
	for i := range e.Values().Len() {
		if v := e.Values().Get(i); v.Number() != 0 {
			names = append(names, string(v.Name()))
		}
	}
	return names
}

// at is the field that a path leads to, or nil. The validator names the field of what stands alone, and none of what
// stands in a list.
func at(path *validate.FieldPath, of protoreflect.MessageDescriptor) (field protoreflect.FieldDescriptor) {
	for _, e := range path.GetElements() {
		if of == nil {
			return nil
		}
		if field = of.Fields().ByNumber(protoreflect.FieldNumber(e.GetFieldNumber())); field == nil {
			return nil
		}
		of = field.Message()
	}
	return field
}

// named are the names of the values of an enum that a rule lists by number.
func named(e protoreflect.EnumDescriptor, rule protoreflect.Value) string {
	all, ok := rule.Interface().(protoreflect.List)
	if !ok {
		return rule.String()
	}
	var names []string
	for i := range all.Len() {
		number := protoreflect.EnumNumber(all.Get(i).Int())
		if v := e.Values().ByNumber(number); v != nil {
			names = append(names, string(v.Name()))
		}
	}
	return strings.Join(names, ", ")
}

func list(v protoreflect.Value) string {
	all, ok := v.Interface().(protoreflect.List)
	if !ok {
		return v.String()
	}
	var items []string
	for i := range all.Len() {
		items = append(items, all.Get(i).String())
	}
	return strings.Join(items, ", ")
}

// identifier is how the contract writes an id in the pattern of a name.
const identifier = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"

// segment is a collection and one of its members in the pattern of a name.
var segment = regexp.MustCompile(`([a-zA-Z]+)/` + regexp.QuoteMeta(identifier))

// either is a choice of collections in the pattern of a name.
var either = regexp.MustCompile(`\(([a-zA-Z]+)\|([a-zA-Z]+)\)`)

// shapeOf writes the pattern of a resource name as people read it: "firms/{firm}/clients/{client}".
func shapeOf(pattern string) (string, bool) {
	body := strings.TrimPrefix(strings.TrimSuffix(pattern, "$"), "^")
	if !strings.Contains(body, identifier) {
		return "", false
	}
	if either.MatchString(body) {
		one, ok := shapeOf(either.ReplaceAllString(body, "$1"))
		other, too := shapeOf(either.ReplaceAllString(body, "$2"))
		return one + `" or "` + other, ok && too
	}
	body = segment.ReplaceAllStringFunc(body, func(pair string) string {
		collection, _, _ := strings.Cut(pair, "/")
		return collection + "/{" + singular(collection) + "}"
	})
	return body, !strings.ContainsAny(body, `[]()\^$?*+|`)
}

func singular(collection string) string {
	if stem, ok := strings.CutSuffix(collection, "ies"); ok {
		return stem + "y"
	}
	return strings.TrimSuffix(collection, "s")
}
