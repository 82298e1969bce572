// Package apidoc writes the table of published methods from the contract itself, so that the page can't say anything
// else than the servers do.
package apidoc

import (
	"fmt"
	"sort"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	optionsv1 "github.com/concord-suite/concord/proto/gen/concord/options/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
)

// Page renders docs/api/methods.md.
func Page() string {
	var b strings.Builder
	b.WriteString("# Published methods\n\n")
	b.WriteString("Made from the contract (`CONCORD_UPDATE=1 go test ./internal/apidoc` in `proto`); do not edit. The design behind it is [the API page](../api.md).\n")
	for _, pkg := range []struct {
		title string
		any   protoreflect.FileDescriptor
	}{
		{"auth", authv1.File_concord_auth_v1_auth_proto},
		{"connector", connectorv1.File_concord_connector_v1_connection_service_proto},
		{"sync", syncv1.File_concord_sync_v1_client_service_proto},
		{"documents", documentsv1.File_concord_documents_v1_folder_service_proto},
	} {
		fmt.Fprintf(&b, "\n## %s\n", pkg.title)
		for _, svc := range Services(pkg.any.Package()) {
			table(&b, svc)
		}
	}
	return b.String()
}

func table(b *strings.Builder, svc protoreflect.ServiceDescriptor) {
	fmt.Fprintf(b, "\n### %s\n\n", svc.FullName())
	b.WriteString("| method | REST | who may call | step-up | audit |\n|---|---|---|---|---|\n")
	for i := range svc.Methods().Len() {
		m := svc.Methods().Get(i)
		rule, _ := proto.GetExtension(m.Options(), optionsv1.E_Rule).(*optionsv1.Rule)
		name := string(m.Name())
		if m.IsStreamingServer() || m.IsStreamingClient() {
			name += " (stream)"
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", name, rest(m), callers(rule), yes(rule.GetStepUp()), audit(rule))
	}
}

// rest is every address of a method, the first one first.
func rest(m protoreflect.MethodDescriptor) string {
	http, _ := proto.GetExtension(m.Options(), annotations.E_Http).(*annotations.HttpRule)
	if http == nil {
		return "-"
	}
	addresses := []string{address(http)}
	for _, more := range http.GetAdditionalBindings() {
		addresses = append(addresses, address(more))
	}
	return strings.Join(addresses, "<br>")
}

func address(http *annotations.HttpRule) string {
	switch p := http.GetPattern().(type) {
	case *annotations.HttpRule_Get:
		return "`GET " + p.Get + "`"
	case *annotations.HttpRule_Post:
		return "`POST " + p.Post + "`"
	case *annotations.HttpRule_Patch:
		return "`PATCH " + p.Patch + "`"
	case *annotations.HttpRule_Put:
		return "`PUT " + p.Put + "`"
	case *annotations.HttpRule_Delete:
		return "`DELETE " + p.Delete + "`"
	}
	return "-"
}

func callers(rule *optionsv1.Rule) string {
	var out []string
	for _, k := range rule.GetAllow() {
		name := strings.ToLower(strings.TrimPrefix(k.String(), "PRINCIPAL_KIND_"))
		if k == optionsv1.PrincipalKind_PRINCIPAL_KIND_SERVICE {
			name += " (" + strings.Join(rule.GetServices(), ", ") + ")"
		}
		out = append(out, strings.ReplaceAll(name, "_", " "))
	}
	return strings.Join(out, ", ")
}

func audit(rule *optionsv1.Rule) string {
	return strings.ToLower(strings.TrimPrefix(rule.GetAudit().String(), "AUDIT_KIND_"))
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

// Services lists the services of a package, by name.
func Services(pkg protoreflect.FullName) []protoreflect.ServiceDescriptor {
	var out []protoreflect.ServiceDescriptor
	rangeFiles(pkg, func(f protoreflect.FileDescriptor) {
		for i := range f.Services().Len() {
			out = append(out, f.Services().Get(i))
		}
	})
	sort.Slice(out, func(i, j int) bool { return out[i].FullName() < out[j].FullName() })
	return out
}
