package rule

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/concord-suite/concord/tools/kube/manifest"
	"github.com/concord-suite/concord/tools/kube/program"
)

// longest is how long a certificate of a part may be good: a stolen key is of use that long.
const longest = 31 * 24 * time.Hour

// Certificates (N5): every part has a certificate with its one identity and the names by which it is reached, short-lived,
// with a new key each time, and it is the one that its pods have. Renderings without cert-manager are given secrets by hand;
// rule References knows those.
func Certificates(s *manifest.Set, programs map[string]*program.Program) []string {
	var r report
	if len(s.Of("Certificate")) == 0 {
		return nil
	}
	eachService(s, func(w manifest.Workload, c corev1.Container) {
		p, env := programs[manifest.Program(c)], s.Env(c)
		file := s.File(w, c, env.Values[p.Variable("TLS_CERT_FILE")])
		i := slices.IndexFunc(s.Of("Certificate"), func(o manifest.Object) bool { return text(o, "spec", "secretName") == file.Name })
		if file.Kind != "Secret" || i < 0 {
			r.add("%s: no Certificate makes %s %s", w.ID(), file.Kind, file.Name)
			return
		}
		domain := env.Values[p.Variable("TLS_TRUST_DOMAIN")]
		if domain == "" {
			domain = p.Settings[p.Variable("TLS_TRUST_DOMAIN")].Default
		}
		cert := s.Of("Certificate")[i]
		r.identity(cert, "spiffe://"+domain+"/"+p.Name, p.Name)
	})
	for _, w := range s.Workloads {
		for _, v := range w.Pod().Volumes {
			at := slices.IndexFunc(s.Of("Certificate"), func(o manifest.Object) bool {
				return v.Secret != nil && text(o, "spec", "secretName") == v.Secret.SecretName
			})
			if manifest.Program(w.Pod().Containers[0]) == bus && at >= 0 {
				r.server(s.Of("Certificate")[at])
			}
		}
	}
	for _, o := range s.Of("Certificate") {
		if o.At("spec", "isCA") == true {
			r.authority(s, o)
			continue
		}
		algorithm := text(o, "spec", "privateKey", "algorithm")
		r.want(algorithm == "ECDSA" || algorithm == "Ed25519", "%s: a key of %q", o.ID(), algorithm)
		r.want(text(o, "spec", "privateKey", "rotationPolicy") == "Always", "%s: a renewed certificate keeps its key", o.ID())
		good, err := time.ParseDuration(text(o, "spec", "duration"))
		early, err2 := time.ParseDuration(text(o, "spec", "renewBefore"))
		r.want(err == nil && err2 == nil && good <= longest && early*3 >= good && early < good, "%s: duration and renewBefore", o.ID())
		usages, _ := o.At("spec", "usages").([]any)
		for _, usage := range []any{"server auth", "client auth"} {
			r.want(slices.Contains(usages, usage), "%s: usages lack %s", o.ID(), usage)
		}
		issuer := text(o, "spec", "issuerRef", "kind") + "/" + text(o, "spec", "issuerRef", "name")
		kind, name, _ := strings.Cut(issuer, "/")
		r.want(kind == "ClusterIssuer" || s.Has(kind, name), "%s: there is no %s", o.ID(), issuer)
		for _, i := range s.Of(kind) {
			r.want(i.Name() != name || i.At("spec", "selfSigned") == nil, "%s: signs itself, and nobody else believes it", o.ID())
		}
	}
	return r
}

// authority wants a certificate that may sign others to be the one of an Issuer, and its key to be in no pod.
func (r *report) authority(s *manifest.Set, o manifest.Object) {
	secret := text(o, "spec", "secretName")
	signs := slices.ContainsFunc(s.Of("Issuer"), func(i manifest.Object) bool { return text(i, "spec", "ca", "secretName") == secret })
	r.want(signs, "%s: may sign others, and is no Issuer's", o.ID())
	good, err := time.ParseDuration(text(o, "spec", "duration"))
	early, err2 := time.ParseDuration(text(o, "spec", "renewBefore"))
	r.want(err == nil && err2 == nil && good >= 365*24*time.Hour && early > longest && early < good, "%s: duration and renewBefore of an authority", o.ID())
	r.want(text(o, "spec", "privateKey", "rotationPolicy") == "Never" && text(o, "spec", "privateKey", "algorithm") == "ECDSA",
		"%s: a renewed authority keeps its key, or nobody believes what it signed before", o.ID())
	for _, w := range s.Workloads {
		for _, v := range w.Pod().Volumes {
			r.want(v.Secret == nil || v.Secret.SecretName != secret, "%s: has the key of the authority %s", w.ID(), o.ID())
		}
	}
}

// server wants the names by which the bus is reached, and the identity that its servers know each other by.
func (r *report) server(cert manifest.Object) {
	uris, _ := cert.At("spec", "uris").([]any)
	r.want(len(uris) == 1 && uris[0] == "spiffe://concord/"+bus, "%s: uris are %v", cert.ID(), uris)
	names, _ := cert.At("spec", "dnsNames").([]any)
	for _, name := range []string{bus, bus + ".concord", bus + ".concord.svc", bus + ".concord.svc.cluster.local", "localhost"} {
		r.want(slices.Contains(names, any(name)), "%s: dnsNames lack %s", cert.ID(), name)
	}
}

// identity compares what a certificate says with whom it is for.
func (r *report) identity(cert manifest.Object, uri, part string) {
	uris, _ := cert.At("spec", "uris").([]any)
	r.want(len(uris) == 1 && uris[0] == uri, "%s: uris are %v, want %s alone", cert.ID(), uris, uri)
	names, _ := cert.At("spec", "dnsNames").([]any)
	for _, suffix := range []string{"", ".concord", ".concord.svc", ".concord.svc.cluster.local"} {
		r.want(slices.Contains(names, any(part+suffix)), "%s: dnsNames lack %s", cert.ID(), part+suffix)
	}
	for _, name := range names {
		first, _, _ := strings.Cut(name.(string), ".")
		r.want(first == part, "%s: has the name of another: %s", cert.ID(), name)
	}
}
