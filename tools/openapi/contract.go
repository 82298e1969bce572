package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// The field options that the document speaks of.
const (
	validateOption = "buf.validate.field"
	outputOption   = "concord.options.v1.output_only"
)

// contract is what the document takes from the contract beside the HTTP rules.
type contract struct {
	rules    map[string]rule                           // by operation id
	messages map[string]protoreflect.MessageDescriptor // by full name, which is also the schema's
	reasons  map[string]string                         // what the values of every ErrorReason mean, without their prefix

	resolver *dynamicpb.Types
}

// readContract reads a FileDescriptorSet. Options are read through its own description of them, so that this tool does
// not depend on the code generated from the contract.
func readContract(image string) (*contract, error) {
	data, err := os.ReadFile(image)
	if err != nil {
		return nil, err
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(data, &set); err != nil {
		return nil, fmt.Errorf("%s: %w", image, err)
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", image, err)
	}
	c := &contract{
		rules: map[string]rule{}, messages: map[string]protoreflect.MessageDescriptor{}, reasons: map[string]string{},
		resolver: dynamicpb.NewTypes(files),
	}
	files.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		c.readServices(f)
		for i := range f.Messages().Len() {
			m := f.Messages().Get(i)
			c.messages[string(m.FullName())] = m
		}
		if e := f.Enums().ByName("ErrorReason"); e != nil {
			c.readReasons(e)
		}
		return true
	})
	return c, nil
}

func (c *contract) readReasons(e protoreflect.EnumDescriptor) {
	for i := range e.Values().Len() {
		v := e.Values().Get(i)
		name := strings.TrimPrefix(string(v.Name()), "ERROR_REASON_")
		meaning := strings.TrimSpace(e.ParentFile().SourceLocations().ByDescriptor(v).LeadingComments)
		// Files come in no order; where two packages say it in different words, the same one counts each time.
		if known := c.reasons[name]; v.Number() != 0 && (known == "" || meaning < known) {
			c.reasons[name] = meaning
		}
	}
}

// option reads an option of a field.
func (c *contract) option(f protoreflect.FieldDescriptor, name protoreflect.FullName) (value protoreflect.Value, found bool) {
	raw, err := proto.Marshal(f.Options())
	if err != nil {
		return value, false
	}
	var options descriptorpb.FieldOptions
	if err := (proto.UnmarshalOptions{Resolver: c.resolver}).Unmarshal(raw, &options); err != nil {
		return value, false
	}
	options.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if field.FullName() == name {
			value, found = v, true
		}
		return !found
	})
	return value, found
}

// outputOnly says whether only answers hold a field.
func (c *contract) outputOnly(f protoreflect.FieldDescriptor) bool {
	v, found := c.option(f, outputOption)
	return found && v.Bool()
}

// required says whether the validation refuses a request without the field.
func (c *contract) required(f protoreflect.FieldDescriptor) bool {
	v, found := c.option(f, validateOption)
	if one := f.ContainingOneof(); !found || one != nil && !one.IsSynthetic() {
		return false // of several fields one is needed, and no single one
	}
	rules := v.Message()
	if at(rules, "required").Bool() {
		return true
	}
	if at(rules, "ignore").Enum() != 0 {
		return false // absent is as good
	}
	switch {
	case f.IsList():
		return at(rules, "repeated", "min_items").Uint() > 0
	case f.Kind() == protoreflect.StringKind:
		return needsText(at(rules, "string").Message())
	case f.Kind() == protoreflect.EnumKind:
		return holds(at(rules, "enum", "not_in").List(), 0)
	}
	return false
}

// needsText says whether rules of a text refuse an empty one.
func needsText(rules protoreflect.Message) bool {
	if at(rules, "min_len").Uint() > 0 || at(rules, "uuid").Bool() || at(rules, "email").Bool() || at(rules, "in").List().Len() > 0 {
		return true
	}
	pattern := at(rules, "pattern").String()
	matches, err := regexp.MatchString(pattern, "")
	return err == nil && !matches
}

func holds(all protoreflect.List, n int64) bool {
	for i := range all.Len() {
		if all.Get(i).Int() == n {
			return true
		}
	}
	return false
}

// at reads a field inside a message by its path; what is not set has its default.
func at(m protoreflect.Message, path ...protoreflect.Name) (v protoreflect.Value) {
	for _, name := range path {
		v = m.Get(m.Descriptor().Fields().ByName(name))
		if name != path[len(path)-1] {
			m = v.Message()
		}
	}
	return v
}

// requestID says whether a message carries the id under which a call is made once.
func requestID(m protoreflect.MessageDescriptor) bool {
	return m != nil && m.Fields().ByName("request_id") != nil
}

// sorted is the keys of a map in their order.
func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
