package rule

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/concord-suite/concord/tools/kube/manifest"
	"github.com/concord-suite/concord/tools/kube/program"
)

// Migrations (D2): every part with a database has one Job, which runs the part's own image, with the same settings as to where
// things are, tries again and gives up; and the part's pods leave the schema alone.
func Migrations(s *manifest.Set, programs map[string]*program.Program) []string {
	var r report
	for _, name := range program.Parts {
		p := programs[name]
		var pods, jobs []manifest.Workload
		for _, w := range s.Workloads {
			switch {
			case manifest.Program(w.Pod().Containers[0]) != name:
			case w.Job != nil:
				jobs = append(jobs, w)
			default:
				pods = append(pods, w)
			}
		}
		_, stores := p.Settings[p.Variable("DATABASE_URL")]
		r.want(len(pods) == 1, "%s: runs in %d workloads", name, len(pods))
		r.want(len(jobs) == 1 == stores, "%s: %d Jobs migrate its database: %t", name, len(jobs), stores)
		for _, job := range jobs {
			r.migration(s, job, p)
			for _, w := range pods {
				r.want(job.Pod().Containers[0].Image == w.Pod().Containers[0].Image, "%s: runs another image than %s", job.ID(), w.ID())
				r.same(s, job, w, p)
			}
		}
	}
	return r
}

// Bounds of how long a migration has, from when its Job is made: its pod waits for Secrets meanwhile, then for a database that is set
// up, and fills columns. Pods of the release before go on, so that there is no haste; but nobody should wait a day for a mistake.
const leastMigration, mostMigration = 30 * time.Minute, 4 * time.Hour

func (r *report) migration(s *manifest.Set, job manifest.Workload, p *program.Program) {
	spec := job.Job.Spec
	// A Job that has run can't be changed: the next release needs another name.
	version := job.Meta.Labels["app.kubernetes.io/version"]
	named := p.Name + "-migrate-" + strings.ToLower(notInNames.ReplaceAllString(version, "-"))
	r.want(version != "" && job.Meta.Name == named, "%s: is not called %s", job.ID(), named)
	r.want(spec.Suspend == nil && spec.Completions == nil && spec.Parallelism == nil, "%s: does not run once", job.ID())
	givesUp := spec.PodFailurePolicy != nil && slices.ContainsFunc(spec.PodFailurePolicy.Rules, func(rule batchv1.PodFailurePolicyRule) bool {
		return rule.Action == batchv1.PodFailurePolicyActionFailJob && rule.OnExitCodes != nil && slices.Equal(rule.OnExitCodes.Values, []int32{2})
	})
	drained := spec.PodFailurePolicy != nil && slices.ContainsFunc(spec.PodFailurePolicy.Rules, func(rule batchv1.PodFailurePolicyRule) bool {
		return rule.Action == batchv1.PodFailurePolicyActionIgnore && slices.ContainsFunc(rule.OnPodConditions, func(c batchv1.PodFailurePolicyOnPodConditionsPattern) bool {
			return c.Type == corev1.DisruptionTarget
		})
	})
	r.want(drained, "%s: takes a drained node for its failure", job.ID())
	r.want(givesUp, "%s: tries again with settings that are wrong (exit code 2)", job.ID())
	r.want(slices.Equal(job.Pod().Containers[0].Args, []string{"migrate"}), "%s: does not migrate", job.ID())
	r.want(spec.BackoffLimit != nil && *spec.BackoffLimit > 0, "%s: backoffLimit", job.ID())
	deadline := spec.ActiveDeadlineSeconds
	r.want(deadline != nil && *deadline >= int64(leastMigration.Seconds()) && *deadline <= int64(mostMigration.Seconds()),
		"%s: activeDeadlineSeconds is not between %s and %s", job.ID(), leastMigration, mostMigration)
	r.want(spec.TTLSecondsAfterFinished != nil, "%s: ttlSecondsAfterFinished", job.ID())
	r.want(job.Pod().RestartPolicy == corev1.RestartPolicyNever, "%s: restartPolicy", job.ID())
	for _, service := range s.Services {
		behind := len(service.Spec.Selector) > 0
		for key, value := range service.Spec.Selector {
			behind = behind && job.Template.Labels[key] == value
		}
		r.want(!behind, "%s: its pods are behind Service/%s", job.ID(), service.Name)
	}
}

// notInNames are what versions have and names of objects have not.
var notInNames = regexp.MustCompile(`[^0-9A-Za-z]+`)

// same compares where a Job and a workload of one program find the database and the bus, and who they are.
func (r *report) same(s *manifest.Set, job, w manifest.Workload, p *program.Program) {
	migrate := s.Env(w.Pod().Containers[0]).Values[p.Variable("DATABASE_MIGRATE")]
	r.want(migrate == "false", "%s: changes the schema itself: every pod of a release at once", w.ID())
	for _, setting := range []string{"DATABASE_URL_FILE", "NATS_URL", "NATS_CA_FILE", "NATS_REPLICAS", "TLS_CERT_FILE"} {
		variable := p.Variable(setting)
		one, other := s.Env(job.Pod().Containers[0]).Values[variable], s.Env(w.Pod().Containers[0]).Values[variable]
		r.want(one == other, "%s: %s is %q, in %s %q", job.ID(), variable, one, w.ID(), other)
		if strings.HasSuffix(variable, "_FILE") && one != "" {
			from, as := s.File(job, job.Pod().Containers[0], one), s.File(w, w.Pod().Containers[0], other)
			r.want(from == as, "%s: %s is of %s, in %s of %s", job.ID(), one, from.Name, w.ID(), as.Name)
		}
	}
}

// Databases (D3): the cluster that an operator makes keeps what it confirmed, on two machines where there is more than one,
// and takes all the connections that the pods may open.
func Databases(s *manifest.Set, programs map[string]*program.Program) []string {
	var r report
	for _, o := range s.Of("Cluster") {
		instances, _ := o.At("spec", "instances").(float64)
		standbys, _ := o.At("spec", "postgresql", "synchronous", "number").(float64)
		durable := o.At("spec", "postgresql", "synchronous", "dataDurability") == "required" && o.At("spec", "postgresql", "synchronous", "method") == "any" && standbys >= 1
		r.want(instances == 1 || instances >= 3 && durable, "%s: %v instances, durable: %t", o.ID(), instances, durable)
		r.want((o.At("spec", "enablePDB") == false) == (instances == 1), "%s: enablePDB: the operator's budget keeps the primary of several from being evicted, and lets a single one never go", o.ID())
		r.want(o.At("spec", "enableSuperuserAccess") == false, "%s: enableSuperuserAccess", o.ID())
		r.want(o.At("spec", "storage", "size") != nil, "%s: storage", o.ID())
		_, deprecated := o.At("spec", "monitoring", "enablePodMonitor").(bool)
		r.want(!deprecated, "%s: enablePodMonitor goes with a coming version", o.ID())
		text, _ := o.At("spec", "postgresql", "parameters", "max_connections").(string)
		allowed, err := strconv.Atoi(text)
		needed := Connections(s, programs)
		parameters, _ := o.At("spec", "postgresql", "parameters").(map[string]any)
		for _, name := range loses {
			_, set := parameters[name]
			r.want(!set, "%s: %s is the operator's and the release's: another value may lose what was confirmed", o.ID(), name)
		}
		r.want(err == nil && allowed >= needed, "%s: max_connections %q is below the %d that pods may open", o.ID(), text, needed)
	}
	for _, o := range s.Of("Database") {
		r.want(text(o, "spec", "databaseReclaimPolicy") == "retain", "%s: databaseReclaimPolicy", o.ID())
	}
	return r
}

// loses are parameters of PostgreSQL whose defaults, and what the operator sets, keep what was confirmed, and passwords secret.
var loses = []string{
	"fsync", "full_page_writes", "synchronous_commit", "synchronous_standby_names", "wal_level", "wal_sync_method",
	"data_sync_retry", "zero_damaged_pages", "ignore_checksum_failure", "ignore_invalid_pages", "archive_mode", "recovery_target_action",
	"ssl", "password_encryption",
}

// Tenants (D3): on a cluster that an operator makes, each part has a database and a role of its own, which is let into it by TLS and
// into nothing else; the instances stand on different nodes and run an image of a catalog, which has them by digest.
func Tenants(s *manifest.Set, programs map[string]*program.Program) []string {
	var r report
	for _, o := range s.Of("Cluster") {
		lines, _ := o.At("spec", "postgresql", "pg_hba").([]any)
		r.want(len(lines) > 0 && lines[len(lines)-1] == "host all all all reject", "%s: pg_hba does not end with a refusal", o.ID())
		for _, line := range lines[:max(0, len(lines)-1)] {
			words := strings.Fields(line.(string))
			strict := len(words) == 5 && words[0] == "hostssl" && words[1] == words[2] && words[1] != "all" && words[4] == "scram-sha-256"
			r.want(strict, "%s: pg_hba lets in by %q", o.ID(), line)
		}
		r.want(o.At("spec", "imageName") == nil && text(o, "spec", "imageCatalogRef", "name") != "", "%s: the image is not of a catalog", o.ID())
		affinity := o.At("spec", "affinity", "enablePodAntiAffinity") == true && text(o, "spec", "affinity", "podAntiAffinityType") == "required"
		r.want(affinity, "%s: may put two instances on one node", o.ID())
		zones := text(o, "spec", "topologySpreadConstraints", 0, "topologyKey") == corev1.LabelTopologyZone &&
			text(o, "spec", "topologySpreadConstraints", 0, "labelSelector", "matchLabels", "cnpg.io/cluster") == o.Name()
		r.want(zones, "%s: does not spread over zones", o.ID())
		memory := text(o, "spec", "resources", "requests", "memory")
		r.want(memory != "" && memory == text(o, "spec", "resources", "limits", "memory"), "%s: the memory limit is not the request", o.ID())
		r.want(text(o, "spec", "resources", "requests", "cpu") != "", "%s: no request of cpu", o.ID())
		for _, p := range programs {
			if _, stores := p.Settings[p.Variable("DATABASE_URL")]; stores {
				r.tenant(s, o, p.Name, lines)
				r.believes(s, o, p.Name)
			}
		}
	}
	return r
}

// believes wants the pods and the Job of a part to have the authority of the databases' servers where secrets/make.sh has the
// database's address name it.
func (r *report) believes(s *manifest.Set, cluster manifest.Object, part string) {
	const file = "/etc/concord/database-authority/ca.crt"
	want := manifest.Source{Kind: "Secret", Name: cluster.Name() + "-ca", Key: "ca.crt"}
	for _, w := range s.Workloads {
		if c := w.Pod().Containers[0]; manifest.Program(c) == part {
			r.want(s.File(w, c, file) == want, "%s: %s is not the authority of %s", w.ID(), file, cluster.ID())
		}
	}
}

func (r *report) tenant(s *manifest.Set, cluster manifest.Object, part string, lines []any) {
	r.want(slices.Contains(lines, any("hostssl "+part+" "+part+" all scram-sha-256")), "%s: pg_hba does not let %s in", cluster.ID(), part)
	of := func(kind string, wants map[string]any) {
		for _, o := range s.Of(kind) {
			if o.Name() != part {
				continue
			}
			wants["name"] = part
			for key, value := range wants {
				r.want(o.At("spec", key) == value, "%s: %s is not %v", o.ID(), key, value)
			}
			r.want(text(o, "spec", "cluster", "name") == cluster.Name(), "%s: of another cluster", o.ID())
			return
		}
		r.add("there is no %s/%s", kind, part)
	}
	of("Database", map[string]any{"owner": part})
	of("DatabaseRole", map[string]any{"login": true, "superuser": nil, "createdb": nil, "createrole": nil, "replication": nil, "bypassrls": nil})
	for _, o := range s.Of("DatabaseRole") {
		r.want(text(o, "spec", "passwordSecret", "name") == o.Name()+"-database", "%s: passwordSecret", o.ID())
	}
}

// retention is how many days back docs/deploying.md says that a restore goes.
const retention = 30

// Backups (D5): where there is an object store for backups, the log goes to it all the time, and a whole copy by the clock.
func Backups(s *manifest.Set) []string {
	var r report
	for _, store := range s.Of("ObjectStore") {
		days, err := strconv.Atoi(strings.TrimSuffix(text(store, "spec", "retentionPolicy"), "d"))
		r.want(err == nil && days >= retention, "%s: retentionPolicy is not %d days or more", store.ID(), retention)
		for _, cluster := range s.Of("Cluster") {
			plugins, _ := cluster.At("spec", "plugins").([]any)
			archived := slices.ContainsFunc(plugins, func(p any) bool {
				o, _ := p.(map[string]any)
				return o["isWALArchiver"] == true && o["enabled"] != false && text(o, "parameters", "barmanObjectName") == store.Name()
			})
			r.want(archived, "%s: its log does not go to %s", cluster.ID(), store.ID())
			copied := slices.ContainsFunc(s.Of("ScheduledBackup"), func(o manifest.Object) bool {
				return text(o, "spec", "cluster", "name") == cluster.Name() && text(o, "spec", "method") == "plugin" && o.At("spec", "immediate") == true &&
					o.At("spec", "suspend") == nil && text(o, "spec", "pluginConfiguration", "name") != "" && len(strings.Fields(text(o, "spec", "schedule"))) == 6
			})
			r.want(copied, "%s: no ScheduledBackup of six fields copies it, at once and then by the clock", cluster.ID())
		}
	}
	return r
}

// spare are connections for the operator, for replication and for people.
const spare = 12

// Connections counts what the pods of all parts may open at once: as many pods as a scaler allows, one more during a rollout. A pod
// has those of its pool, of which the locks of its relays are some, and one that only asks whether the database is there.
func Connections(s *manifest.Set, programs map[string]*program.Program) int {
	total := spare
	for _, w := range s.Workloads {
		p := programs[manifest.Program(w.Pod().Containers[0])]
		if p == nil || p.Settings[p.Variable("DATABASE_URL")].Variable == "" {
			continue
		}
		if w.Job != nil {
			total++ // the migrate command opens one
			continue
		}
		each, _ := strconv.Atoi(s.Env(w.Pod().Containers[0]).Values[p.Variable("DATABASE_MAX_CONNS")])
		count := 1
		if w.Replicas != nil {
			count = int(*w.Replicas)
		}
		for _, h := range s.Autoscalers {
			if h.Spec.ScaleTargetRef.Name == w.Meta.Name {
				count = int(h.Spec.MaxReplicas)
			}
		}
		total += (count + 1) * (each + 1)
	}
	return total
}

// Volumes (D6): what keeps data says what becomes of its volume, and volumes can be found again.
func Volumes(s *manifest.Set) []string {
	var r report
	for _, w := range s.Workloads {
		if w.StatefulSet == nil {
			continue
		}
		policy := w.StatefulSet.Spec.PersistentVolumeClaimRetentionPolicy
		r.want(policy != nil && policy.WhenDeleted == "Retain" && policy.WhenScaled == "Retain", "%s: persistentVolumeClaimRetentionPolicy", w.ID())
		for _, claim := range w.StatefulSet.Spec.VolumeClaimTemplates {
			r.want(!claim.Spec.Resources.Requests.Storage().IsZero(), "%s: claim %s has no size", w.ID(), claim.Name)
		}
	}
	for _, o := range s.Of("PersistentVolumeClaim") {
		r.want(o.At("spec", "resources", "requests", "storage") != nil, "%s: has no size", o.ID())
		owned := slices.ContainsFunc(s.Workloads, func(w manifest.Workload) bool {
			return slices.ContainsFunc(w.Pod().Volumes, func(v corev1.Volume) bool {
				return v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == o.Name()
			})
		})
		r.want(owned, "%s: no pod has it", o.ID())
		modes, _ := o.At("spec", "accessModes").([]any)
		shared := slices.Contains(modes, any("ReadWriteMany"))
		for _, w := range s.Workloads {
			has := slices.ContainsFunc(w.Pod().Volumes, func(v corev1.Volume) bool {
				return v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == o.Name()
			})
			r.want(!has || shared || is(w.Replicas, 1), "%s: several pods of %s can't share it", o.ID(), w.ID())
		}
	}
	return r
}
