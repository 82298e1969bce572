package kube

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/tools/kube/manifest"
	"github.com/concord-suite/concord/tools/kube/rule"
)

// policy is a NetworkPolicy for the pods of one name.
func policy(name, of string, spec map[string]any) mistake {
	spec["podSelector"] = map[string]any{"matchLabels": map[string]any{"app.kubernetes.io/name": of}}
	return mistake{object: "NetworkPolicy/" + name, value: map[string]any{
		"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": map[string]any{"name": name, "namespace": "concord"}, "spec": spec,
	}}
}

// pods are the peers of one name, in the same namespace.
func pods(name string) []any {
	return []any{map[string]any{"podSelector": map[string]any{"matchLabels": map[string]any{"app.kubernetes.io/name": name}}}}
}

func (m mistake) reported(as string) mistake {
	m.report = as
	return m
}

// holdsWherePoliciesAre leaves out the combinations without the component "network-policies". The overlays have it.
func holdsWherePoliciesAre(t *testing.T, r rule.Rule) {
	t.Helper()
	for name, set := range open(t).sets {
		require.True(t, len(set.Policies) > 0 || !strings.HasPrefix(name, "overlays/"), name)
	}
	holds(t, func(s *manifest.Set) []string {
		if len(s.Policies) == 0 {
			return nil
		}
		return r(s)
	})
}

func TestN1_EverythingIsClosedAndOpenToSomebodyNamed(t *testing.T) {
	holdsWherePoliciesAre(t, rule.Isolation)
	port := []any{map[string]any{"port": 9090}}
	all := []any{map[string]any{"namespaceSelector": map[string]any{}}}
	internet := []any{map[string]any{"ipBlock": map[string]any{"cidr": "0.0.0.0/0"}}}
	egress := func(to, ports []any) mistake {
		return policy("x", "auth", map[string]any{"policyTypes": []any{"Egress"}, "egress": []any{map[string]any{"to": to, "ports": ports}}})
	}
	reports(t, rule.Isolation,
		egress(nil, port).reported("NetworkPolicy/x: opens Egress for everybody"),
		egress(pods("sync"), nil).reported("NetworkPolicy/x: opens every port of Egress"),
		egress(all, port).reported("all pods of the cluster"),
		egress(internet, port).reported("includes private addresses"),
		egress(internet, []any{map[string]any{"port": 465}, map[string]any{"port": 443}}).reported("includes private addresses"),
		policy("x", "nobody", map[string]any{}).reported("NetworkPolicy/x: selects no pod"),
	)
	none, err := open(t).sets[production].Edit("Namespace/concord", "concord", "metadata", "name")
	require.NoError(t, err)
	none.Policies = nil
	require.Contains(t, rule.Isolation(none), "auth: Ingress is not closed")
	require.Contains(t, rule.Isolation(none), "no policy closes whatever else starts in the namespace")
}

func TestN1_PairsAreOpenOnBothSidesAndAreTheCallsOfThePrograms(t *testing.T) {
	w := open(t)
	calls, err := rule.Calls(w.programs)
	require.NoError(t, err)
	require.Contains(t, calls, rule.Flow{From: "gateway", To: "documents", Port: "bytes"})
	pairs := func(s *manifest.Set) []string { return rule.Pairs(s, rule.Wanted(s, w.programs, calls)) }
	holdsWherePoliciesAre(t, pairs)
	grpc := []any{map[string]any{"port": 9090}}
	in := func(of, from string) mistake {
		return policy("x", of, map[string]any{"policyTypes": []any{"Ingress"}, "ingress": []any{map[string]any{"from": pods(from), "ports": grpc}}})
	}
	out := func(of, to string) mistake {
		return policy("x", of, map[string]any{"policyTypes": []any{"Egress"}, "egress": []any{map[string]any{"to": pods(to), "ports": grpc}}})
	}
	reports(t, pairs,
		in("connector", "documents").reported("documents -> connector:grpc: ingress open: true, wanted: false"),
		out("documents", "connector").reported("documents -> connector:grpc: egress open: true, wanted: false"),
		mistake{"Deployment/sync", at("spec", "template", "metadata", "labels", "app.kubernetes.io/name"), "x", "auth -> sync:grpc: egress open: false"},
	)
	changed, err := w.sets[production].Edit("Namespace/concord", "concord", "metadata", "name")
	require.NoError(t, err)
	fewer := rule.Pairs(changed, append(rule.Wanted(changed, w.programs, calls), rule.Flow{From: "auth", To: "documents", Port: "grpc"}))
	require.Contains(t, fewer, "auth -> documents:grpc: egress open: false, wanted: true")
	require.Contains(t, fewer, "auth -> documents:grpc: ingress open: false, wanted: true")
}

func TestN1_OnlyWhoHasToReachesOutOrIsReached(t *testing.T) {
	programs := open(t).programs
	outside := func(s *manifest.Set) []string { return rule.Outside(s, programs) }
	holdsWherePoliciesAre(t, outside)
	other := []any{map[string]any{"namespaceSelector": map[string]any{"matchLabels": map[string]any{"kubernetes.io/metadata.name": "other"}}}}
	reports(t, outside,
		policy("x", "sync", map[string]any{"policyTypes": []any{"Egress"}, "egress": []any{
			map[string]any{"to": other, "ports": []any{map[string]any{"port": 443}}},
		}}).reported("sync: Egress 443/TCP namespaces is open to the outside"),
		policy("x", "auth", map[string]any{"policyTypes": []any{"Ingress"}, "ingress": []any{
			map[string]any{"from": other, "ports": []any{map[string]any{"port": "grpc"}}},
		}}).reported("auth: Ingress grpc/TCP namespaces is open to the outside"),
		mistake{"NetworkPolicy/dns", nil, gone, "gateway: Egress 53/UDP the cluster's DNS is closed to the outside"},
		mistake{"NetworkPolicy/gateway-from-ingress", nil, gone, "gateway: Ingress 8080/TCP namespaces is closed to the outside"},
	)
}

// callers is how a program says whose calls it takes.
var callers = regexp.MustCompile(`boot\.Callers\(([^)]*)\)`)

func TestN5_ServersTakeTheCallsThatAreMadeAndNoOthers(t *testing.T) {
	calls, err := rule.Calls(open(t).programs)
	require.NoError(t, err)
	made := map[string][]string{}
	for _, call := range calls {
		if !slices.Contains(made[call.To], call.From) {
			made[call.To] = append(made[call.To], call.From)
		}
	}
	require.Len(t, made, 4, "all but the gateway are called")
	for name, from := range made {
		source, err := os.ReadFile(filepath.Join(repository, "services", name, "cmd", name, "main.go"))
		require.NoError(t, err)
		found := callers.FindSubmatch(source)
		require.NotNil(t, found, name)
		var taken []string
		for quoted := range strings.SplitSeq(string(found[1]), ",") {
			taken = append(taken, strings.Trim(strings.TrimSpace(quoted), `"`))
		}
		require.ElementsMatch(t, from, taken, "callers of "+name)
	}
}
