package kube

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/tools/kube/manifest"
	"github.com/concord-suite/concord/tools/kube/rule"
)

func TestO1_PodsSayWhichTheyAreToOneCollector(t *testing.T) {
	programs := open(t).programs
	telemetry := func(s *manifest.Set) []string { return rule.Telemetry(s, programs) }
	holds(t, telemetry)
	env := inMain("env", -1)
	reports(t, telemetry,
		mistake{"Deployment/auth", env, variable("OTEL_RESOURCE_ATTRIBUTES", "a=b"), "lacks service.instance.id"},
		mistake{"Deployment/auth", env, variable("OTEL_RESOURCE_ATTRIBUTES", "k8s.pod.name=$(LATER)"), "what stands behind it"},
		mistake{"Deployment/auth", env, variable("CONCORD_AUTH_OTLP_ENDPOINT", "http://other:4317"), "different collectors"},
	)
}

func TestO2_LogsAreJSON(t *testing.T) {
	programs := open(t).programs
	logs := func(s *manifest.Set) []string { return rule.Logs(s, programs) }
	holds(t, logs)
	reports(t, logs, mistake{"Deployment/auth", inMain("env", -1), variable("CONCORD_AUTH_LOG_FORMAT", "text"), `as "text"`})
}

func TestO1_MonitorsAskPortsThatPodsHave(t *testing.T) {
	holds(t, rule.Monitors)
	require.NotEmpty(t, open(t).sets[production].Of("PodMonitor"))
	monitor := func(name, port string) map[string]any {
		return map[string]any{"apiVersion": "monitoring.coreos.com/v1", "kind": "PodMonitor", "metadata": map[string]any{"name": "x"}, "spec": map[string]any{
			"selector":            map[string]any{"matchLabels": map[string]any{"app.kubernetes.io/name": name}},
			"podMetricsEndpoints": []any{map[string]any{"port": port}},
		}}
	}
	reports(t, rule.Monitors,
		mistake{"PodMonitor/x", nil, monitor("auth", "metrics"), "auth has no port metrics"},
		mistake{"PodMonitor/x", nil, monitor("x", "health"), "selects no pod"},
	)
}

func TestX5_AlertsUseKnownMetricsAndLinkRunbooks(t *testing.T) {
	metrics, err := os.ReadFile(repository + "/docs/metrics.md")
	require.NoError(t, err)
	notInAnchors := regexp.MustCompile(`[^a-z0-9 _-]`)
	there := func(page, anchor string) bool {
		text, err := os.ReadFile(filepath.Join(repository, page))
		for line := range strings.Lines(string(text)) {
			heading, is := strings.CutPrefix(strings.TrimLeft(line, "#"), " ")
			if is && strings.HasPrefix(line, "#") && strings.ReplaceAll(notInAnchors.ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), ""), " ", "-") == anchor {
				return true
			}
		}
		return err == nil && anchor == ""
	}
	alerts := func(s *manifest.Set) []string { return rule.Alerts(s, string(metrics), there) }
	holds(t, alerts)
	require.NotEmpty(t, open(t).sets[production].Of("PrometheusRule"))
	alert := func(expression, severity, page string) map[string]any {
		return map[string]any{"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": map[string]any{"name": "x"}, "spec": map[string]any{
			"groups": []any{map[string]any{"rules": []any{map[string]any{
				"alert": "A", "expr": expression, "labels": map[string]any{"severity": severity}, "annotations": map[string]any{"runbook_url": page},
			}}}},
		}}
	}
	asks := func(expression, report string) mistake {
		return mistake{"PrometheusRule/x", nil, alert(expression, "page", ""), report}
	}
	reports(t, alerts,
		asks(`histogram_quantile(1, sum by (known_label) (unheard_of_count{a="known_text"})) > 1`, "does not know unheard_of_count"),
		asks(`sum(concord_ready == `, "is no PromQL"),
		asks(`concord_ready{namespace="concord"} == 0 for 5m`, "is no PromQL"),
		asks(`kube_job_failed{reason!=""} > 0`, "knows no label reason of kube_job_failed"),
		asks(`rate(rpc_server_call_duration_seconds_count{rpc_grpc_status_code="2"}[5m]) > 1`, "knows no label rpc_grpc_status_code of rpc_server_call_duration_seconds_count"),
		asks(`concord_events_aside{state="PARKT"} > 0`, `knows no state "PARKT" of concord_events_aside`),
		asks(`max by (firm) (concord_events_aside) > 0`, "groups by firm, which is not there"),
		mistake{"PrometheusRule/x", nil, alert("1", "", ""), "severity"},
		mistake{"PrometheusRule/x", nil, alert("1", "pager", ""), "severity"},
		mistake{"PrometheusRule/x", nil, alert("1", "page", ""), "summary"},
		mistake{"PrometheusRule/x", nil, alert("1", "page", "https://example.com/docs/runbooks/none.md#x"), "no runbook at"},
		mistake{"PrometheusRule/x", nil, alert("1", "page", "https://example.com/docs/runbooks/keys.md#no-such-heading"), "no runbook at"},
		mistake{"PrometheusRule/concord", at("spec", "groups", 0, "rules", 0, "annotations", "summary"), "{{ $labels.pod_name }} is away", "says pod_name, which its result has not"},
	)
}

// TestX5_WhatKeepsPeopleFromWorkingIsAlertedOn lists what nobody sees from outside until it is too late, or that says of a failure
// where it is.
func TestX5_WhatKeepsPeopleFromWorkingIsAlertedOn(t *testing.T) {
	holds(t, rule.Instances)
	watched := func(s *manifest.Set) []string {
		return rule.Watched(s,
			"kube_deployment_status_replicas_ready", "concord_ready", "concord_ready_part", "kube_job_failed",
			"kube_deployment_status_replicas_available", "kube_deployment_status_condition",
			"concord_certificate_expiry_seconds", "concord_events_bus_connected", "concord_events_outbox_oldest_seconds", "concord_events_aside",
			"rpc_server_call_duration_seconds_count", "http_server_request_duration_seconds_count", "concord_auth_mails_waiting",
			"kubelet_volume_stats_available_bytes", "barman_cloud_cloudnative_pg_io_last_available_backup_timestamp",
			"cnpg_pg_stat_archiver_last_failed_time", "cnpg_pg_stat_archiver_last_archived_time",
			"kube_statefulset_status_replicas_ready", "certmanager_certificate_expiration_timestamp_seconds", "cnpg_collector_up",
		)
	}
	require.Empty(t, watched(open(t).sets[production]))
	reports(t, watched,
		mistake{"PrometheusRule/concord", at("spec", "groups", 0, "rules", 0), gone, "no alert asks for kube_deployment_status_replicas_ready"},
		mistake{"PrometheusRule/postgres", nil, gone, "no alert asks for barman_cloud_cloudnative_pg_io_last_available_backup_timestamp"},
		mistake{"PrometheusRule/postgres", nil, gone, "no alert asks for cnpg_collector_up"},
		mistake{"PrometheusRule/concord", at("spec", "groups", 1), gone, "no alert asks for kube_statefulset_status_replicas_ready"},
		mistake{"PrometheusRule/concord", at("spec", "groups", 0), gone, "no alert asks for certmanager_certificate_expiration_timestamp_seconds"},
	)
}
