package rule

import (
	"slices"
	"strconv"
	"strings"

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

func (r *report) migration(s *manifest.Set, job manifest.Workload, p *program.Program) {
	spec := job.Job.Spec
	r.want(slices.Equal(job.Pod().Containers[0].Args, []string{"migrate"}), "%s: does not migrate", job.ID())
	r.want(spec.BackoffLimit != nil && *spec.BackoffLimit > 0, "%s: backoffLimit", job.ID())
	r.want(spec.ActiveDeadlineSeconds != nil, "%s: activeDeadlineSeconds", job.ID())
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
		durable := o.At("spec", "postgresql", "synchronous", "dataDurability") == "required" && o.At("spec", "postgresql", "synchronous", "method") == "any"
		r.want(instances == 1 || instances >= 3 && durable, "%s: %v instances, durable: %t", o.ID(), instances, durable)
		r.want(o.At("spec", "enableSuperuserAccess") == false, "%s: enableSuperuserAccess", o.ID())
		r.want(o.At("spec", "storage", "size") != nil, "%s: storage", o.ID())
		_, deprecated := o.At("spec", "monitoring", "enablePodMonitor").(bool)
		r.want(!deprecated, "%s: enablePodMonitor goes with a coming version", o.ID())
		text, _ := o.At("spec", "postgresql", "parameters", "max_connections").(string)
		allowed, err := strconv.Atoi(text)
		needed := connections(s, programs)
		r.want(err == nil && allowed >= needed, "%s: max_connections %q is below the %d that pods may open", o.ID(), text, needed)
	}
	for _, o := range s.Of("Database") {
		r.want(text(o, "spec", "databaseReclaimPolicy") == "retain", "%s: databaseReclaimPolicy", o.ID())
	}
	return r
}

// spare are connections for the operator, for replication and for people.
const spare = 12

// connections counts what the pods of all parts may open at once: as many pods as a scaler allows, one more during a rollout.
func connections(s *manifest.Set, programs map[string]*program.Program) int {
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
		total += (count + 1) * each
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
	}
	return r
}
