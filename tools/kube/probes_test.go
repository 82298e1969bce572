package kube

import (
	"testing"

	"github.com/concord-suite/concord/tools/kube/manifest"
	"github.com/concord-suite/concord/tools/kube/rule"
)

func TestP1_HealthIsAskedInPlainHTTPOnItsOwnPort(t *testing.T) {
	holds(t, rule.Health)
	reports(t, rule.Health,
		mistake{"Deployment/gateway", inMain("readinessProbe", "httpGet", "port"), "http", "readiness probe is not plain HTTP"},
		mistake{"Deployment/gateway", inMain("readinessProbe", "httpGet", "scheme"), "HTTPS", "readiness probe is not plain HTTP"},
		mistake{"Deployment/auth", inMain("livenessProbe"), map[string]any{"grpc": map[string]any{"port": 9090}}, "liveness probe is not plain HTTP"},
		mistake{"Deployment/gateway", inMain("ports"), []any{map[string]any{"containerPort": 8080}}, "has no name"},
		mistake{"Deployment/gateway", inMain("ports"), gone, "no port health"},
	)
}

func TestP2_ProbesAskWhatTheyAreFor(t *testing.T) {
	holds(t, rule.Probes)
	reports(t, rule.Probes,
		mistake{"Deployment/auth", inMain("startupProbe"), gone, "no startup probe"},
		mistake{"Deployment/auth", inMain("livenessProbe", "httpGet", "path"), "/readyz", "liveness probe asks /readyz"},
		mistake{"Deployment/auth", inMain("readinessProbe", "timeoutSeconds"), gone, "readiness probe: timeoutSeconds"},
		mistake{"Deployment/auth", inMain("readinessProbe", "periodSeconds"), 30, "to notice"},
		mistake{"Deployment/auth", inMain("livenessProbe", "failureThreshold"), 1, "liveness probe kills"},
		mistake{"Deployment/auth", inMain("startupProbe", "failureThreshold"), 2, "startup probe gives up"},
		mistake{"Deployment/auth", inMain("livenessProbe", "terminationGracePeriodSeconds"), 1, "liveness probe: terminationGracePeriodSeconds"},
		mistake{"StatefulSet/nats", inMain("livenessProbe", "httpGet", "path"), "/healthz", "liveness probe asks /healthz"},
	)
}

func TestP3_TheKubeletWaitsForTheShutdown(t *testing.T) {
	programs := open(t).programs
	grace := func(s *manifest.Set) []string { return rule.Grace(s, programs) }
	holds(t, grace)
	env := func(name, value string) map[string]any { return map[string]any{"name": name, "value": value} }
	sleep := map[string]any{"preStop": map[string]any{"sleep": map[string]any{"seconds": 80}}}
	reports(t, grace,
		mistake{"Deployment/gateway", inPod("terminationGracePeriodSeconds"), gone, "is not above"},
		mistake{"Deployment/gateway", inPod("terminationGracePeriodSeconds"), 30, "is not above"},
		mistake{"Deployment/gateway", inMain("lifecycle"), sleep, "is not above"},
		mistake{"Deployment/gateway", inMain("env", -1), env("CONCORD_GATEWAY_GRACE", "4m"), "is not above"},
		mistake{"Deployment/gateway", inMain("env", -1), env("CONCORD_GATEWAY_GRACE", "long"), "is not known"},
		mistake{"Deployment/gateway", inMain("env", -1), env("CONCORD_GATEWAY_DRAIN_DELAY", "1s"), "seen to be not ready"},
	)
}
