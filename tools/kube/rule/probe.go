package rule

import (
	"cmp"
	"regexp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/concord-suite/concord/tools/kube/manifest"
	"github.com/concord-suite/concord/tools/kube/program"
)

// health is the port of the parts that answers in plain HTTP whether they are well; nothing else is on it.
const (
	health     = "health"
	healthPort = 8086
)

// Health (P1): every part is asked on its port for health, by plain HTTP, since the kubelet has no certificate.
func Health(s *manifest.Set) []string {
	var r report
	eachService(s, func(w manifest.Workload, c corev1.Container) {
		found := false
		for _, p := range c.Ports {
			r.want(p.Name != "", "%s: port %d has no name", w.ID(), p.ContainerPort)
			found = found || p.Name == health && p.ContainerPort == healthPort
		}
		r.want(found, "%s: no port %s %d", w.ID(), health, healthPort)
		for name, probe := range probes(c) {
			get := probe.HTTPGet
			r.want(get != nil && get.Port.String() == health && (get.Scheme == "" || get.Scheme == corev1.URISchemeHTTP), "%s: %s probe is not plain HTTP on %s", w.ID(), name, health)
		}
	})
	return r
}

// probes are the three of a container; one that is missing has no handler.
func probes(c corev1.Container) map[string]corev1.Probe {
	all := map[string]corev1.Probe{}
	for name, p := range map[string]*corev1.Probe{"startup": c.StartupProbe, "liveness": c.LivenessProbe, "readiness": c.ReadinessProbe} {
		if p == nil {
			p = &corev1.Probe{}
		}
		all[name] = *p
	}
	return all
}

// eachService calls f for the main container of every part's pods: not those of Jobs, and not the bus.
func eachService(s *manifest.Set, f func(w manifest.Workload, c corev1.Container)) {
	for _, w := range s.Workloads {
		for _, c := range w.Pod().Containers {
			for _, part := range program.Parts {
				if w.Serves() && manifest.Program(c) == part {
					f(w, c)
				}
			}
		}
	}
}

// Bounds of probes. The check behind /readyz answers within two seconds; a pod that turns unready is out of DNS two probes
// later, which must be sooner than its drain ends.
const (
	minTimeout     = 3 // seconds: the check's two, and a busy node
	maxTimeout     = 5 // a server that hangs is found out by now
	maxNotReady    = 5 * time.Second
	minStart       = 30 * time.Second // a start on a busy node
	maxStart       = 15 * time.Minute // a server of the bus that was away for long catches up; more is stuck
	minUnresponse  = 20 * time.Second // before a process is killed for not answering
	maxUnresponse  = time.Minute      // and the longest that one is kept that does not
	maxNotReadyBus = 20 * time.Second // clients of the bus know three servers, and go on with another at once
	livez, readyz  = "/livez", "/readyz"
	natsLiveness   = "/healthz?js-enabled-only=true"
	natsReadiness  = "/healthz?js-server-only=true"
	natsStartProbe = "/healthz"
)

// Probes (P2): the three probes ask what they are for, and none is impatient.
func Probes(s *manifest.Set) []string {
	var r report
	paths := map[string]string{"startup": livez, "liveness": livez, "readiness": readyz}
	eachService(s, func(w manifest.Workload, c corev1.Container) { r.probes(w, c, paths) })
	for _, w := range s.Workloads {
		for _, c := range w.Pod().Containers {
			if manifest.Program(c) == "nats" {
				r.probes(w, c, map[string]string{"startup": natsStartProbe, "liveness": natsLiveness, "readiness": natsReadiness})
			}
		}
	}
	return r
}

func (r *report) probes(w manifest.Workload, c corev1.Container, paths map[string]string) {
	for name, p := range probes(c) {
		if p.HTTPGet == nil {
			r.add("%s: no %s probe by HTTP", w.ID(), name)
			continue
		}
		r.want(slices.ContainsFunc(c.Ports, func(port corev1.ContainerPort) bool { return port.Name == p.HTTPGet.Port.String() }), "%s: %s probe asks port %s, which is not there", w.ID(), name, p.HTTPGet.Port.String())
		r.want(p.HTTPGet.Path == paths[name], "%s: %s probe asks %s, not %s", w.ID(), name, p.HTTPGet.Path, paths[name])
		r.want(p.TimeoutSeconds >= minTimeout && p.TimeoutSeconds <= maxTimeout, "%s: %s probe: timeoutSeconds", w.ID(), name)
		r.want(p.InitialDelaySeconds == 0, "%s: %s probe: initialDelaySeconds: the startup probe is for that", w.ID(), name)
		r.want(p.SuccessThreshold <= 1, "%s: %s probe: successThreshold", w.ID(), name)
		r.want(p.TerminationGracePeriodSeconds == nil, "%s: %s probe: terminationGracePeriodSeconds", w.ID(), name)
		lasts := noticed(p)
		switch name {
		case "startup":
			r.want(lasts >= minStart && lasts <= maxStart, "%s: startup probe gives up after %s", w.ID(), lasts)
		case "liveness":
			r.want(lasts >= minUnresponse && lasts <= maxUnresponse, "%s: liveness probe kills after %s", w.ID(), lasts)
		case "readiness":
			r.want(lasts <= maxNotReady || w.StatefulSet != nil && lasts <= maxNotReadyBus, "%s: readiness probe takes %s to notice", w.ID(), lasts)
		}
	}
}

// noticed is how long a probe takes to say no, by the API server's defaults where nothing is said.
func noticed(p corev1.Probe) time.Duration {
	return time.Duration(cmp.Or(p.PeriodSeconds, 10)*cmp.Or(p.FailureThreshold, 3)) * time.Second
}

// stopRule is how a program says, in the meaning of drain_delay, what a stop takes beside the two settings.
var stopRule = regexp.MustCompile(`drain_delay \+ grace \+ ([0-9a-z]+)`)

// rest is what a stop takes beside drain and grace: outbox, connections, last traces. -1 when the program does not say it.
func rest(p *program.Program) time.Duration {
	found := stopRule.FindStringSubmatch(p.Settings[p.Variable("DRAIN_DELAY")].Meaning)
	if found == nil {
		return -1
	}
	d, err := time.ParseDuration(found[1])
	if err != nil {
		return -1
	}
	return d
}

// Grace (P3) adds up what a part's shutdown may take, by the settings in force, and wants the kubelet to wait longer. Drain
// must outlast the time in which the pod goes out of DNS.
func Grace(s *manifest.Set, programs map[string]*program.Program) []string {
	var r report
	eachService(s, func(w manifest.Workload, c corev1.Container) {
		p, env := programs[manifest.Program(c)], s.Env(c)
		drain, grace := duration(p, env, "DRAIN_DELAY"), duration(p, env, "GRACE")
		if drain < 0 || grace < 0 || rest(p) < 0 {
			r.add("%s: DRAIN_DELAY, GRACE or what a stop takes beside them is not known", w.ID())
			return
		}
		given := w.Pod().TerminationGracePeriodSeconds
		needs := preStop(c) + drain + grace + rest(p)
		r.want(given != nil && time.Duration(*given)*time.Second > needs, "%s: terminationGracePeriodSeconds is not above the %s that its shutdown may take", w.ID(), needs)
		if ready := c.ReadinessProbe; ready != nil {
			r.want(drain > noticed(*ready), "%s: drains for %s, and is seen to be not ready after %s", w.ID(), drain, noticed(*ready))
		}
	})
	return r
}

// duration is the value of one of a program's settings in an environment, -1 when there is none.
func duration(p *program.Program, env manifest.Env, name string) time.Duration {
	setting, known := p.Settings[p.Variable(name)]
	text, set := env.Values[p.Variable(name)]
	if !set {
		text = setting.Default
	}
	d, err := time.ParseDuration(text)
	if err != nil || !known {
		return -1
	}
	return d
}

// preStop is how long a container is kept before it is told to stop.
func preStop(c corev1.Container) time.Duration {
	if c.Lifecycle == nil || c.Lifecycle.PreStop == nil || c.Lifecycle.PreStop.Sleep == nil {
		return 0
	}
	return time.Duration(c.Lifecycle.PreStop.Sleep.Seconds) * time.Second
}
