package rule

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/concord-suite/concord/tools/kube/manifest"
	"github.com/concord-suite/concord/tools/kube/program"
)

// Settings (D1, X3): every variable of a pod is one that its program knows, nothing required is missing, and the program
// itself finds no mistake in them. Files that settings name are mounted, from where they come in a cluster; in their place
// the program is given files with a sample.
func Settings(s *manifest.Set, programs map[string]*program.Program) []string {
	var r report
	eachContainer(s, func(w manifest.Workload, c corev1.Container, at string) {
		env := s.Env(c)
		for _, missing := range env.Missing {
			r.add("%s: there is no ConfigMap %s", at, missing)
		}
		p := programs[manifest.Program(c)]
		if p == nil {
			return
		}
		for name, secret := range env.Secret {
			r.add("%s: %s comes from Secret %s by the environment, which children and dumps show: mount it as a file", at, name, secret)
		}
		r.files(s, w, c, at, p, env)
		mistakes, err := p.Check(env.Values)
		if err != nil {
			mistakes = []string{err.Error()}
		}
		for _, line := range mistakes {
			r.add("%s: %s", at, line)
		}
	})
	return r
}

// other are variables that are not the suite's: Go's, OpenTelemetry's, and those that the manifests make values of.
var other = []string{"GOMEMLIMIT", "GOMAXPROCS", "OTEL_RESOURCE_ATTRIBUTES", "POD_NAME", "POD_UID", "POD_NAMESPACE", "POD_IP", "NODE_NAME"}

// files checks the settings that name files, and that no secret stands in the manifests.
func (r *report) files(s *manifest.Set, w manifest.Workload, c corev1.Container, at string, p *program.Program, env manifest.Env) {
	for _, name := range slices.Sorted(maps.Keys(env.Values)) {
		setting, known := p.Settings[name]
		base, named := strings.CutSuffix(name, "_FILE")
		secret := named && !known && p.Settings[base].Secret()
		r.want(known || secret || slices.Contains(other, name), "%s: %s is no setting of %s", at, name, p.Name)
		r.want(!known || !setting.Secret(), "%s: %s is a secret: name a file in %s_FILE", at, name, name)
		if !named {
			continue
		}
		source := s.File(w, c, env.Values[name])
		switch {
		case source.Kind == "":
			r.add("%s: %s names %s, where nothing is mounted", at, name, env.Values[name])
		case source.Key == "":
			r.add("%s: %s names %s, which %s %s has not", at, name, env.Values[name], source.Kind, source.Name)
		case secret && source.Kind != "Secret" && source.Kind != "csi":
			r.add("%s: %s is a secret and comes from %s %s", at, name, source.Kind, source.Name)
		}
	}
}

// Secrets (D1): no secret stands in what is rendered.
func Secrets(s *manifest.Set) []string {
	var r report
	for _, secret := range s.Secrets {
		r.want(len(secret.Data)+len(secret.StringData) == 0, "Secret/%s: its values stand in the manifests", secret.Name)
	}
	for _, c := range s.ConfigMaps {
		for key, text := range c.Data {
			r.want(!strings.Contains(text, "PRIVATE KEY"), "ConfigMap/%s: %s has a private key", c.Name, key)
			r.want(!withPassword.MatchString(text), "ConfigMap/%s: %s has an address with a password", c.Name, key)
		}
	}
	eachContainer(s, func(_ manifest.Workload, c corev1.Container, at string) {
		for _, v := range c.Env {
			r.want(!withPassword.MatchString(v.Value), "%s: %s has an address with a password", at, v.Name)
		}
	})
	return r
}

// withPassword is an address with the password of a user in it.
var withPassword = regexp.MustCompile(`://[^/\s@]*:[^/\s@]+@`)

// Stores (D1): a secret that a store gives is that of its part alone, and is looked at again.
func Stores(s *manifest.Set) []string {
	var r report
	for _, o := range s.Of("ExternalSecret") {
		entry := "concord/" + strings.TrimSuffix(o.Name(), "-secrets")
		r.want(text(o, "spec", "dataFrom", 0, "extract", "key") == entry && o.At("spec", "dataFrom", 1) == nil && o.At("spec", "data") == nil,
			"%s: does not take %s alone", o.ID(), entry)
		r.want(text(o, "spec", "target", "name") == o.Name(), "%s: makes another Secret", o.ID())
		r.want(text(o, "spec", "secretStoreRef", "kind") == "ClusterSecretStore" && text(o, "spec", "secretStoreRef", "name") != "", "%s: of no store", o.ID())
		if template := func(path ...any) string { return text(o, append([]any{"spec", "target", "template"}, path...)...) }; strings.HasSuffix(o.Name(), "-database") {
			whole := template("type") == "kubernetes.io/basic-auth" && template("mergePolicy") == "Merge" && template("metadata", "labels", "cnpg.io/reload") == "true"
			r.want(whole, "%s: the databases' operator does not take it, or not again", o.ID())
		}
		every, err := time.ParseDuration(text(o, "spec", "refreshInterval"))
		r.want(err == nil && every > 0 && every <= 24*time.Hour, "%s: refreshInterval", o.ID())
	}
	return r
}

// References (D1): every Secret, ConfigMap and claim that a pod needs is in the rendering, or made by an object of it, or
// named by prerequisites: what docs/deploying.md says is made by hand.
func References(s *manifest.Set, prerequisites string) []string {
	var r report
	made := madeSecrets(s)
	check := func(at, kind, name string) {
		// The names stand as code, so that no word of a sentence counts; those of all parts may stand as one.
		part, rest, _ := strings.Cut(name, "-")
		said := strings.Contains(prerequisites, "`"+name+"`") ||
			slices.Contains(program.Parts, part) && strings.Contains(prerequisites, "`<part>-"+rest+"`")
		r.want(said || s.Has(kind, name) || kind == "Secret" && made[name],
			"%s: there is no %s %s, and docs/deploying.md does not say who makes it", at, kind, name)
	}
	for _, w := range s.Workloads {
		for _, v := range w.Pod().Volumes {
			switch {
			case v.Secret != nil:
				check(w.ID(), "Secret", v.Secret.SecretName)
			case v.ConfigMap != nil:
				check(w.ID(), "ConfigMap", v.ConfigMap.Name)
			case v.PersistentVolumeClaim != nil:
				check(w.ID(), "PersistentVolumeClaim", v.PersistentVolumeClaim.ClaimName)
			case v.Projected != nil:
				for _, p := range v.Projected.Sources {
					if p.Secret != nil {
						check(w.ID(), "Secret", p.Secret.Name)
					}
					if p.ConfigMap != nil {
						check(w.ID(), "ConfigMap", p.ConfigMap.Name)
					}
				}
			}
		}
	}
	for _, i := range s.Ingresses {
		for _, t := range i.Spec.TLS {
			check("Ingress/"+i.Name, "Secret", t.SecretName)
		}
	}
	return r
}

// madeSecrets are the secrets that operators make of the rendering's objects.
func madeSecrets(s *manifest.Set) map[string]bool {
	made := map[string]bool{}
	for _, o := range s.Objects {
		switch o.Kind() {
		case "Certificate":
			made[text(o, "spec", "secretName")] = true
		case "ExternalSecret":
			made[text(o, "spec", "target", "name")] = true
		case "Cluster": // CloudNativePG makes the authority of the servers
			made[o.Name()+"-ca"] = true
		}
	}
	return made
}

func text(o manifest.Object, path ...any) string {
	found, _ := o.At(path...).(string)
	return found
}
