package kube

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/tools/kube/manifest"
	"github.com/concord-suite/concord/tools/kube/rule"
)

// variable is one of a container's.
func variable(name, value string) map[string]any { return map[string]any{"name": name, "value": value} }

func TestD1_SettingsAreKnownCompleteAndRightAndSecretsAreFiles(t *testing.T) {
	programs := open(t).programs
	settings := func(s *manifest.Set) []string { return rule.Settings(s, programs) }
	holds(t, settings)
	env := inMain("env", -1)
	fromSecret := map[string]any{"name": "X", "valueFrom": map[string]any{"secretKeyRef": map[string]any{"name": "s", "key": "k"}}}
	reports(t, settings,
		mistake{"Deployment/sync", env, variable("CONCORD_SYNC_GRAZE", "20s"), "CONCORD_SYNC_GRAZE is no setting of sync"},
		mistake{"Deployment/sync", env, variable("CONCORD_AUTH_GRACE", "20s"), "CONCORD_AUTH_GRACE is no setting of sync"},
		mistake{"Deployment/sync", env, variable("CONCORD_SYNC_GRACE", "soon"), "CONCORD_SYNC_GRACE"},
		mistake{"Deployment/sync", env, variable("CONCORD_SYNC_PEERS", "auth=dns:///auth:9090"), "lacks connector=address"},
		mistake{"Deployment/sync", env, variable("CONCORD_SYNC_DATABASE_URL", "postgres://a:b@c/d"), "is a secret: name a file"},
		mistake{"Deployment/sync", env, variable("CONCORD_SYNC_TRUST_FILE", "/nowhere/trust.json"), "where nothing is mounted"},
		mistake{"Deployment/sync", env, variable("CONCORD_SYNC_DATABASE_URL_FILE", "/etc/concord/trust/trust.json"), "is a secret and comes from ConfigMap"},
		mistake{"Deployment/sync", env, fromSecret, "X comes from Secret s by the environment"},
		mistake{"Deployment/sync", inMain("envFrom"), gone, "CONCORD_SYNC_NATS_URL): is required"},
		mistake{"Deployment/sync", inMain("envFrom", 0, "configMapRef", "name"), "x", "there is no ConfigMap x"},
		mistake{"Deployment/sync", inMain("volumeMounts"), gone, "where nothing is mounted"},
		mistake{jobOf(t, "sync"), env, variable("CONCORD_SYNC_GRAZE", "20s"), jobOf(t, "sync")},
	)
}

func TestD1_NoSecretStandsInTheManifests(t *testing.T) {
	holds(t, rule.Secrets)
	secret := map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "x"}, "stringData": map[string]any{"password": "word"}}
	key := map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "x"}, "data": map[string]any{"k": "-----BEGIN PRIVATE KEY-----"}}
	reports(t, rule.Secrets,
		mistake{"Secret/x", nil, secret, "its values stand in the manifests"},
		mistake{"ConfigMap/x", nil, key, "private key"},
	)
}

func TestD1_WhatPodsReferToIsThereOrAPrerequisite(t *testing.T) {
	// What people make is said where an installation begins; what they make for some days, in a runbook.
	runbook, err := os.ReadFile(repository + "/docs/runbooks/certificates.md")
	require.NoError(t, err)
	refers := func(s *manifest.Set) []string { return rule.References(s, page(t)+string(runbook)) }
	holds(t, refers)
	secret := map[string]any{"name": "x", "secret": map[string]any{"secretName": "unheard-of"}}
	claim := map[string]any{"name": "x", "persistentVolumeClaim": map[string]any{"claimName": "unheard-of"}}
	config := map[string]any{"name": "x", "projected": map[string]any{"sources": []any{map[string]any{"configMap": map[string]any{"name": "unheard-of"}}}}}
	reports(t, refers,
		mistake{"Deployment/auth", inPod("volumes", -1), secret, "there is no Secret unheard-of"},
		mistake{"Deployment/auth", inPod("volumes", -1), claim, "there is no PersistentVolumeClaim unheard-of"},
		mistake{"Deployment/auth", inPod("volumes", -1), config, "there is no ConfigMap unheard-of"},
	)
}

func TestD1_ASecretIsReadByItsPartAlone(t *testing.T) { // broken in mutations
	holds(t, rule.Mounts)
	holds(t, rule.Stores)
}
