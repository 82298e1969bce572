package kube

import (
	"testing"

	"github.com/concord-suite/concord/tools/kube/manifest"
	"github.com/concord-suite/concord/tools/kube/rule"
)

func TestN2_PartsBalanceOverPodsThemselves(t *testing.T) {
	programs := open(t).programs
	balancing := func(s *manifest.Set) []string { return rule.Balancing(s, programs) }
	holds(t, balancing)
	reports(t, balancing,
		mistake{"Service/auth", at("spec", "clusterIP"), gone, "auth has one address for all its pods"},
		mistake{"Service/auth", at("spec", "ports", 0, "port"), 9091, "auth is at dns:///auth:9090, where no Service is"},
		mistake{"Deployment/sync", inMain("env", -1), variable("CONCORD_SYNC_PEERS", "auth=auth:9090"), "not resolved by gRPC"},
		mistake{"Deployment/sync", inMain("env", -1), variable("CONCORD_SYNC_MAX_CONNECTION_AGE", "24h"), "pods that are new get no calls"},
	)
}

func TestN6_ProgramsListenWhereTheirPortsAreAndFindOthersWhereTheyAre(t *testing.T) { // broken in mutations as well
	programs := open(t).programs
	wiring := func(s *manifest.Set) []string { return rule.Wiring(s, programs) }
	holds(t, wiring)
	reportsIn(t, "tests/external", wiring,
		mistake{"Deployment/sync", inMain("env", -1), variable("CONCORD_SYNC_NATS_URL", "nats://bus-0.example.net:4222"), "no bus speaks TLS"})
}

func TestN4_TheGatewayAloneIsReachedFromOutside(t *testing.T) {
	holds(t, rule.Edge)
	reports(t, rule.Edge,
		mistake{"HTTPRoute/gateway", at("spec", "rules", 0, "backendRefs", 0, "name"), "auth", "leads to auth"},
		mistake{"HTTPRoute/gateway", at("spec", "rules", 0, "backendRefs", 0, "port"), 80, "no Service gateway with port 80"},
		mistake{"HTTPRoute/gateway", nil, gone, "nobody reaches the gateway"},
		mistake{"Service/gateway", at("spec", "ports", 0, "appProtocol"), gone, "appProtocol"},
		mistake{"Service/gateway", at("spec", "type"), "LoadBalancer", "is a LoadBalancer"},
	)
	reportsIn(t, "overlays/small", rule.Edge,
		mistake{"Ingress/gateway", at("spec", "tls"), gone, "without TLS"},
		mistake{"Ingress/gateway", at("spec", "rules", 0, "http", "paths", 0, "backend", "service", "port", "name"), "x", "no Service gateway with port 0"},
	)
}

func TestN5_EveryPartHasOneShortLivedIdentity(t *testing.T) {
	programs := open(t).programs
	certificates := func(s *manifest.Set) []string { return rule.Certificates(s, programs) }
	holds(t, certificates)
	reports(t, certificates,
		mistake{"Certificate/auth", at("spec", "uris"), []string{"spiffe://concord/sync"}, "want spiffe://concord/auth alone"},
		mistake{"Certificate/auth", at("spec", "uris", -1), "spiffe://concord/sync", "want spiffe://concord/auth alone"},
		mistake{"Certificate/auth", at("spec", "dnsNames"), []string{"auth"}, "dnsNames lack auth.concord.svc"},
		mistake{"Certificate/auth", at("spec", "dnsNames", -1), "sync.concord", "has the name of another"},
		mistake{"Certificate/auth", at("spec", "secretName"), "x", "no Certificate makes Secret auth-tls"},
		mistake{"Certificate/auth", at("spec", "privateKey", "rotationPolicy"), "Never", "keeps its key"},
		mistake{"Certificate/auth", at("spec", "duration"), "8760h", "duration and renewBefore"},
		mistake{"Certificate/auth", at("spec", "renewBefore"), gone, "duration and renewBefore"},
		mistake{"Certificate/auth", at("spec", "usages"), []string{"server auth"}, "usages lack client auth"},
		mistake{"Certificate/auth", at("spec", "issuerRef", "name"), "x", "there is no Issuer/x"},
		mistake{"Deployment/auth", inMain("env", -1), variable("CONCORD_AUTH_TLS_TRUST_DOMAIN", "ours"), "want spiffe://ours/auth alone"},
	)
}

func TestN6_ServicesLeadToNamedPortsOfOneWorkload(t *testing.T) {
	holds(t, rule.Services)
	reports(t, rule.Services,
		mistake{"Service/auth", at("spec", "selector"), map[string]any{"app.kubernetes.io/part-of": "concord"}, "workloads are behind it"},
		mistake{"Service/auth", at("spec", "selector", "app.kubernetes.io/name"), "x", "0 workloads are behind it"},
		mistake{"Service/auth", at("spec", "ports", 0, "targetPort"), "x", "has no port x"},
		mistake{"Service/auth", at("spec", "ports", 0, "targetPort"), 9090, "its target has none"},
		mistake{"Service/auth", at("spec", "publishNotReadyAddresses"), true, "publishNotReadyAddresses"},
		mistake{"Deployment/auth", at("spec", "selector", "matchLabels"), map[string]any{"app.kubernetes.io/part-of": "concord"}, "Deployment/auth: selects pods of Deployment/sync: true"},
	)
}
