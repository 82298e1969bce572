package main

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// ruleOption is the method option that holds the permission of an RPC.
const ruleOption = "concord.options.v1.rule"

// rule is what the document says about the permission of one RPC.
type rule struct {
	Permission string
	Allow      []string // kinds of principal in lower case: "administrator", "read_only_staff"
	StepUp     bool
	Stream     bool // the RPC answers with a stream
	Input      protoreflect.MessageDescriptor
}

func (r rule) anonymous() bool { return slices.Contains(r.Allow, "anonymous") }

// readServices keeps the rule of every RPC of a file by the operation id the generator gives it, "<Service>_<Method>" (a
// second HTTP binding has "_1" appended).
func (c *contract) readServices(f protoreflect.FileDescriptor) {
	for i := range f.Services().Len() {
		methods := f.Services().Get(i).Methods()
		for j := range methods.Len() {
			m := methods.Get(j)
			if r, ok := readRule(m, c.resolver); ok {
				r.Stream, r.Input = m.IsStreamingServer(), m.Input()
				addRule(c.rules, string(m.Parent().Name())+"_"+string(m.Name()), r)
			}
		}
	}
}

// addRule files the rule under the ids of the first binding and of up to eight additional ones.
func addRule(rules map[string]rule, id string, r rule) {
	rules[id] = r
	for i := 1; i <= 8; i++ {
		rules[fmt.Sprintf("%s_%d", id, i)] = r
	}
}

// readRule finds the rule among the options of one RPC.
func readRule(m protoreflect.MethodDescriptor, resolver *dynamicpb.Types) (r rule, found bool) {
	raw, err := proto.Marshal(m.Options())
	if err != nil {
		return rule{}, false
	}
	var options descriptorpb.MethodOptions
	if err := (proto.UnmarshalOptions{Resolver: resolver}).Unmarshal(raw, &options); err != nil {
		return rule{}, false
	}
	options.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if field.FullName() == ruleOption {
			r, found = ruleOf(value.Message()), true
		}
		return !found
	})
	return r, found
}

func ruleOf(message protoreflect.Message) rule {
	fields := message.Descriptor().Fields()
	r := rule{
		Permission: message.Get(fields.ByName("permission")).String(),
		StepUp:     message.Get(fields.ByName("step_up")).Bool(),
	}
	kinds := message.Get(fields.ByName("allow")).List()
	for i := range kinds.Len() {
		kind := fields.ByName("allow").Enum().Values().ByNumber(kinds.Get(i).Enum())
		r.Allow = append(r.Allow, strings.ToLower(strings.TrimPrefix(string(kind.Name()), "PRINCIPAL_KIND_")))
	}
	return r
}
