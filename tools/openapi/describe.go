package main

import "strings"

// maxBody is the name under which the document says how many bytes a body may have.
const maxBody = "x-concord-max-bytes"

// describe adds what the contract says of fields and errors: which fields a request must have, which only answers hold,
// that a call can be made once, how large a body may be, and every reason of an error.
func (d *document) describe(c *contract) {
	schemas, _ := d.Components["schemas"].(object)
	for name, schema := range schemas {
		if m := c.messages[name]; m != nil {
			c.describeSchema(schema, name, false)
		}
	}
	for _, item := range d.Paths {
		for _, operation := range item {
			c.describeOperation(operation)
		}
	}
	describeReasons(schemas, c.reasons)
}

// describeSchema marks the fields of a message. A whole request has every field it needs in its schema, or in the path;
// a resource as a body has its name in the path.
func (c *contract) describeSchema(schema any, name string, request bool) {
	s, _ := schema.(object)
	properties, _ := s["properties"].(object)
	fields := c.messages[name].Fields()
	var required []any
	for i := range fields.Len() {
		f := fields.Get(i)
		property, ok := properties[f.JSONName()].(object)
		if !ok {
			continue
		}
		if c.outputOnly(f) {
			property["readOnly"] = true
		} else if c.required(f) && (request || f.Name() != "name") {
			required = append(required, f.JSONName())
		}
	}
	if required != nil {
		s["required"] = required
	}
}

func (c *contract) describeOperation(operation object) {
	id, _ := operation["operationId"].(string)
	if named, ok := operation["x-concord-rpc"].(string); ok {
		id = named
	}
	input := c.rules[id].Input
	if input == nil {
		return
	}
	body, _ := operation["requestBody"].(object)
	media, _ := body["content"].(object)
	if entity, ok := media["application/json"].(object); ok {
		schema, _ := entity["schema"].(object)
		if schema["$ref"] == nil {
			c.describeSchema(schema, string(input.FullName()), true)
		}
		body[maxBody] = jsonBytes
		responses, _ := operation["responses"].(object)
		responses["413"] = object{"$ref": "#/components/responses/BodyTooLarge"}
	}
	if strings.HasPrefix(id, "DocumentService_InitiateUpload") && media["application/octet-stream"] != nil {
		body[maxBody] = fileBytes
	}
	// The bytes themselves are sent under an id that was given before.
	ticket, _ := operation["x-concord-ticket"].(bool)
	if parameters, _ := operation["parameters"].([]any); requestID(input) && !ticket {
		operation["parameters"] = append(parameters, object{"$ref": "#/components/parameters/IdempotencyKey"})
	}
}

const (
	// jsonBytes is the most a JSON body may have; the gateway's own bound, which its tests compare with the document.
	jsonBytes = 1 << 20
	// fileBytes is the most a document may have, as InitiateUploadRequest.size says.
	fileBytes = 5 << 40
)

// describeReasons lists what the reason of a problem can be, beside those in the base document, which are the platform's
// and the gateway's. Programs must expect others: a later version may refuse for a reason of its own.
func describeReasons(schemas object, reasons map[string]string) {
	schema, _ := schemas["Reason"].(object)
	all, _ := schema["x-concord-reasons"].(object)
	if all == nil {
		return
	}
	for name, meaning := range reasons {
		if all[name] == nil {
			all[name] = meaning
		}
	}
	var names []any
	for _, name := range sorted(all) {
		names = append(names, name)
	}
	schema["anyOf"] = []any{object{"type": "string", "enum": names}, object{"type": "string"}}
}
