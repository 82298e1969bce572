package kube

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/tools/kube/manifest"
	"github.com/concord-suite/concord/tools/kube/rule"
)

func TestD2_OneJobPerReleaseBringsTheSchema(t *testing.T) {
	programs := open(t).programs
	migrations := func(s *manifest.Set) []string { return rule.Migrations(s, programs) }
	holds(t, migrations)
	job := jobOf(t, "auth")
	reports(t, migrations,
		mistake{job, nil, gone, "auth: 0 Jobs"},
		mistake{job, inMain("image"), "registry.example/auth@sha256:0", "runs another image"},
		mistake{job, inMain("args"), []string{"serve"}, "does not migrate"},
		mistake{job, at("spec", "backoffLimit"), gone, "backoffLimit"},
		mistake{job, at("spec", "activeDeadlineSeconds"), gone, "activeDeadlineSeconds"},
		mistake{job, at("spec", "ttlSecondsAfterFinished"), gone, "ttlSecondsAfterFinished"},
		mistake{job, inPod("restartPolicy"), "OnFailure", "restartPolicy"},
		mistake{job, at("spec", "template", "metadata", "labels", "app.kubernetes.io/name"), "auth", "are behind Service/auth"},
		mistake{job, inMain("env", -1), variable("CONCORD_AUTH_NATS_URL", "tls://other:4222"), "CONCORD_AUTH_NATS_URL is"},
		mistake{"Deployment/auth", inMain("env", -1), variable("CONCORD_AUTH_DATABASE_MIGRATE", "true"), "changes the schema itself"},
	)
}

// jobOf finds the Job of a part, whose name has the release in it.
func jobOf(t *testing.T, part string) string {
	t.Helper()
	for _, o := range open(t).sets[production].Of("Job") {
		if strings.HasPrefix(o.Name(), part+"-migrate") {
			return o.ID()
		}
	}
	require.Fail(t, "no Job of "+part)
	return ""
}

func TestD3_TheDatabaseKeepsWhatItConfirmedAndTakesAllConnections(t *testing.T) {
	programs := open(t).programs
	databases := func(s *manifest.Set) []string { return rule.Databases(s, programs) }
	holds(t, databases)
	synchronous := at("spec", "postgresql", "synchronous")
	reports(t, databases,
		mistake{"Cluster/postgres", synchronous, gone, "durable: false"},
		mistake{"Cluster/postgres", append(synchronous, "dataDurability"), "preferred", "durable: false"},
		mistake{"Cluster/postgres", at("spec", "instances"), 2, "2 instances"},
		mistake{"Cluster/postgres", at("spec", "enableSuperuserAccess"), true, "enableSuperuserAccess"},
		mistake{"Cluster/postgres", at("spec", "storage"), gone, "storage"},
		mistake{"Cluster/postgres", at("spec", "enablePDB"), false, "enablePDB"},
		mistake{"Cluster/postgres", at("spec", "monitoring", "enablePodMonitor"), true, "enablePodMonitor"},
		mistake{"Cluster/postgres", at("spec", "postgresql", "parameters", "max_connections"), "100", "max_connections"},
		mistake{"HorizontalPodAutoscaler/auth", at("spec", "maxReplicas"), 60, "max_connections"},
		mistake{"Database/auth", at("spec", "databaseReclaimPolicy"), "delete", "databaseReclaimPolicy"},
	)
	reportsIn(t, "overlays/small", databases, mistake{"Cluster/postgres", at("spec", "enablePDB"), gone, "lets a single one never go"})
}

// inFile changes a text of the bus's configuration.
func inFile(t *testing.T, file, from, to string) (id string, value any, path []any) {
	t.Helper()
	for _, o := range open(t).sets[production].Of("ConfigMap") {
		if text, found := o.At("data", file).(string); found && strings.HasPrefix(o.Name(), "nats") {
			require.Contains(t, text, from)
			return o.ID(), strings.Replace(text, from, to, 1), at("data", file)
		}
	}
	require.Fail(t, "no ConfigMap of nats has "+file)
	return "", nil, nil
}

func inBus(t *testing.T, file, from, to, report string) mistake {
	t.Helper()
	id, value, path := inFile(t, file, from, to)
	return mistake{id, path, value, report}
}

func TestP4_ServersOfTheBusSendTheirClientsAwayFirst(t *testing.T) {
	holds(t, rule.LameDuck)
	reports(t, rule.LameDuck,
		inBus(t, "nats.conf", "lame_duck_duration: 30s", "lame_duck_duration: 20s", "lame_duck_duration"),
		inBus(t, "nats.conf", "lame_duck_duration: 30s", "lame_duck_duration: 90s", "not above the 1m40s"),
		mistake{"StatefulSet/nats", inPod("terminationGracePeriodSeconds"), 40, "not above the 40s"},
		mistake{"StatefulSet/nats", inMain("lifecycle"), gone, "does not signal ldm"},
	)
}

func TestD4_TheBusKeepsWhatItConfirmed(t *testing.T) {
	programs := open(t).programs
	bus := func(s *manifest.Set) []string { return rule.Bus(s, programs) }
	holds(t, bus)
	claim := at("spec", "volumeClaimTemplates", 0, "spec", "resources", "requests", "storage")
	reports(t, bus,
		inBus(t, "nats.conf", "sync_interval: always", "sync_interval: 2m", "loses what it confirmed"),
		inBus(t, "nats.conf", "verify_and_map: true", "verify: true", "not known by their certificates"),
		inBus(t, "nats.conf", "jetstream {", "jetstreem {", "unknown field"),
		inBus(t, "nats.conf", "store_dir: /data", "store_dir: /tmp", "not on the volume"),
		inBus(t, "cluster.conf", "verify_cert_and_check_known_urls: true", "verify: true", "lets its owner join"),
		inBus(t, "cluster.conf", "nats-2.nats-peers", "nats-3.nats-peers", "no route to nats-2.nats-peers"),
		inBus(t, "cluster.conf", "no_advertise: true", "no_advertise: false", "advertise"),
		inBus(t, "accounts.conf", "system_account: SYS", "", "accounts"),
		mistake{"StatefulSet/nats", claim, "8Gi", "is not below the volume's"},
		mistake{"StatefulSet/nats", claim, "1Gi", "is not below the volume's"},
		mistake{"StatefulSet/nats", at("spec", "replicas"), 2, "no majority"},
		mistake{"StatefulSet/nats", at("spec", "replicas"), 5, "3 routes for 5 servers"},
		mistake{"Certificate/nats", at("spec", "dnsNames"), []string{"nats"}, "is in no certificate"},
		mistake{"Deployment/sync", inMain("env", -1), variable("CONCORD_SYNC_NATS_REPLICAS", "1"), "1 copies of each event on 3 servers"},
		mistake{"StatefulSet/nats", inMain("args"), []string{"--config", "/nowhere"}, "no ConfigMap has the file"},
	)
}

func TestD4_WhatUsersOfTheBusMayDoIsWhatTheProgramsDeclare(t *testing.T) {
	printed, err := open(t).programs["auth"].Print("bus", "permissions")
	require.NoError(t, err)
	accounts := func(s *manifest.Set) []string { return rule.Accounts(s, printed) }
	holds(t, accounts)
	reports(t, accounts, inBus(t, "accounts.conf", `"$JS.API.STREAM.CREATE.AUTH"`, `"$JS.API.>"`, "bus permissions"))
}

func TestD6_VolumesOutliveWhatMadeThem(t *testing.T) {
	holds(t, rule.Volumes)
	stray := map[string]any{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": map[string]any{"name": "x"}}
	reports(t, rule.Volumes,
		mistake{"StatefulSet/nats", at("spec", "persistentVolumeClaimRetentionPolicy"), gone, "persistentVolumeClaimRetentionPolicy"},
		mistake{"StatefulSet/nats", at("spec", "volumeClaimTemplates", 0, "spec", "resources"), gone, "has no size"},
		mistake{"PersistentVolumeClaim/x", nil, stray, "no pod has it"},
	)
}

func TestD3_EachPartHasADatabaseOfItsOwn(t *testing.T) { // broken in mutations
	programs := open(t).programs
	holds(t, func(s *manifest.Set) []string { return rule.Tenants(s, programs) })
}

func TestD5_TheLogAndCopiesGoToTheStore(t *testing.T) { // broken in mutations
	holds(t, rule.Backups)
	require.NotEmpty(t, open(t).sets[production].Of("ObjectStore"))
}
