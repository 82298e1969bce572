// Command openapi finishes the OpenAPI document of the suite.
//
// usage: openapi -contract IMAGE < merged.json > openapi.json
//
// The generator knows the HTTP rules and the messages of the contract; this command adds what it cannot know, from the
// rule that stands on every RPC: which calls need a session, which permission they need, and that errors are problem
// documents; from the rules of fields, what a request must have and what only answers hold; and every reason of an error.
// It also names path parameters after their collection ("/firms/{firm}/clients/{client}") so that two RPCs
// on one resource share one path, as OpenAPI asks.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	contract := flag.String("contract", "", "the contract as a FileDescriptorSet")
	flag.Parse()
	if err := run(*contract, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "openapi:", err)
		os.Exit(1)
	}
}

func run(image string, in io.Reader, out io.Writer) error {
	c, err := readContract(image)
	if err != nil {
		return err
	}
	var doc document
	decoder := json.NewDecoder(in)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&doc); err != nil {
		return fmt.Errorf("merged document: %w", err)
	}
	if err := doc.finish(c.rules); err != nil {
		return err
	}
	doc.describe(c)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(doc)
}

// object is any JSON object below the document's first level.
type object = map[string]any

// document lists the first level of an OpenAPI document in the order in which people read it.
type document struct {
	OpenAPI    string              `json:"openapi"`
	Info       object              `json:"info"`
	Servers    []object            `json:"servers,omitempty"`
	Tags       []object            `json:"tags,omitempty"`
	Security   []map[string][]any  `json:"security,omitempty"`
	Paths      map[string]pathItem `json:"paths"`
	Components object              `json:"components"`
}

// pathItem maps an HTTP method in lower case to its operation.
type pathItem map[string]object

func (d *document) finish(rules map[string]rule) error {
	paths := make(map[string]pathItem, len(d.Paths))
	var errs []error
	for path, item := range d.Paths {
		named, renames := nameParameters(path)
		target := paths[named]
		if target == nil {
			target = pathItem{}
			paths[named] = target
		}
		for method, operation := range item {
			if _, taken := target[method]; taken {
				errs = append(errs, fmt.Errorf("two RPCs answer %s %s", method, named))
			}
			renameParameters(operation, renames)
			if err := applyRule(operation, rules); err != nil {
				errs = append(errs, fmt.Errorf("%s %s: %w", method, path, err))
			}
			target[method] = operation
		}
	}
	d.Paths = paths
	d.Security = []map[string][]any{{"session": {}}, {"bearer": {}}}
	return errors.Join(errs...)
}

// applyRule writes what the RPC's rule says into its operation. A hand-written operation names the RPC it stands for in
// x-concord-rpc.
func applyRule(operation object, rules map[string]rule) error {
	addProblem(operation)
	id, named := operation["x-concord-rpc"].(string)
	if !named {
		id, _ = operation["operationId"].(string)
	}
	r, ok := rules[id]
	if !ok {
		return fmt.Errorf("operation %q has no RPC with a rule", id)
	}
	operation["x-concord-permission"] = r.Permission
	operation["x-concord-allow"] = r.Allow
	if r.StepUp {
		operation["x-concord-step-up"] = true
	}
	if r.anonymous() {
		operation["security"] = []any{}
	}
	if r.Stream {
		asEvents(operation)
	}
	return nil
}

// asEvents says that the gateway answers a streaming RPC with server-sent events, one message each.
func asEvents(operation object) {
	responses, _ := operation["responses"].(object)
	ok, _ := responses["200"].(object)
	content, _ := ok["content"].(object)
	if media, found := content["application/json"]; found {
		ok["content"] = object{"text/event-stream": media}
	}
}

// addProblem makes the problem document the answer for every status that is not listed.
func addProblem(operation object) {
	responses, ok := operation["responses"].(object)
	if !ok {
		responses = object{}
		operation["responses"] = responses
	}
	responses["default"] = object{"$ref": "#/components/responses/Problem"}
}
