package main

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestNameParameters(t *testing.T) {
	for path, want := range map[string]string{
		"/v1/firms/{name}":                                "/v1/firms/{firm}",
		"/v1/firms/{name}/clients/{name_1}:archive":       "/v1/firms/{firm}/clients/{client}:archive",
		"/v1/firms/{client.name}/clients/{client.name_1}": "/v1/firms/{firm}/clients/{client}",
		"/v1/firms/{parent}/emailJobs":                    "/v1/firms/{firm}/emailJobs",
		"/v1/firms/{name}/emailJobs/{name_1}":             "/v1/firms/{firm}/emailJobs/{email_job}",
		"/v1/firms/{name}/auditEntries/{name_1}":          "/v1/firms/{firm}/auditEntries/{audit_entry}",
		"/v1/sign-in/challenges/{challenge}:verify":       "/v1/sign-in/challenges/{challenge}:verify",
		"/v1/firms/{firm}/documents/{document}/content":   "/v1/firms/{firm}/documents/{document}/content",
		"/v1/firms/{policy.name}/securityPolicy":          "/v1/firms/{firm}/securityPolicy",
	} {
		if got, _ := nameParameters(path); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
}

// finished runs the command's work on the operations, each given as "METHOD PATH ID".
func finished(t *testing.T, rules map[string]rule, operations ...string) (document, error) {
	t.Helper()
	doc := document{Paths: map[string]pathItem{}}
	for _, operation := range operations {
		words := strings.Fields(operation)
		item := doc.Paths[words[1]]
		if item == nil {
			item = pathItem{}
			doc.Paths[words[1]] = item
		}
		var parameters []any
		for _, name := range []string{"name", "name_1", "client.name", "client.name_1"} {
			if strings.Contains(words[1], "{"+name+"}") {
				parameters = append(parameters, object{"in": "path", "name": name})
			}
		}
		item[words[0]] = object{
			"operationId": words[2], "parameters": parameters,
			"responses": object{"200": object{"content": object{"application/json": object{}}}},
		}
	}
	err := doc.finish(rules)
	return doc, err
}

func TestTwoRPCsOnOneResourceShareAPath(t *testing.T) {
	rules := map[string]rule{"Get": {Permission: "client.get"}, "Update": {Permission: "client.update", StepUp: true}}
	doc, err := finished(t, rules, "get /v1/firms/{name}/clients/{name_1} Get", "patch /v1/firms/{client.name}/clients/{client.name_1} Update")
	if err != nil {
		t.Fatal(err)
	}
	item := doc.Paths["/v1/firms/{firm}/clients/{client}"]
	if len(doc.Paths) != 1 || len(item) != 2 {
		t.Fatal(doc.Paths)
	}
	text, err := json.Marshal(item["patch"])
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"name":"firm"`, `"name":"client"`, `"x-concord-permission":"client.update"`, `"x-concord-step-up":true`, `#/components/responses/Problem`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s lacks %s", text, want)
		}
	}
}

func TestCollisionsAndMissingRulesAreErrors(t *testing.T) {
	rules := map[string]rule{"A": {}, "B": {}}
	if _, err := finished(t, rules, "get /v1/firms/{name} A", "get /v1/firms/{client.name} B"); err == nil {
		t.Error("two RPCs on one method and path were accepted")
	}
	if _, err := finished(t, rules, "get /v1/firms/{name} Unknown"); err == nil {
		t.Error("an operation without an RPC was accepted")
	}
}

func TestAnonymousCallsNeedNoSessionAndStreamsAreEvents(t *testing.T) {
	doc, err := finished(t, map[string]rule{"A": {Allow: []string{"anonymous"}}, "B": {Stream: true, Allow: []string{"staff"}}}, "get /a A", "get /b B")
	if err != nil {
		t.Fatal(err)
	}
	if security, ok := doc.Paths["/a"]["get"]["security"].([]any); !ok || len(security) != 0 {
		t.Error("an anonymous call asks for a session")
	}
	text, _ := json.Marshal(doc.Paths["/b"]["get"]["responses"])
	if !strings.Contains(string(text), "text/event-stream") || strings.Contains(string(text), "application/json\"") {
		t.Errorf("a stream is answered as %s", text)
	}
}
