package rule

import (
	"crypto/tls"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/concord-suite/concord/tools/kube/broker"
	"github.com/concord-suite/concord/tools/kube/manifest"
	"github.com/concord-suite/concord/tools/kube/program"
)

// LameDuck (P4): a server of the bus sends its clients away before it stops, and the kubelet waits for that. The least that
// the server takes as duration is 30 s; its parser refuses less.
func LameDuck(s *manifest.Set) []string {
	var r report
	bus, err := broker.Read(s)
	if err != nil || bus == nil {
		return r.failed(err)
	}
	w, o := bus.Workload, bus.Options
	given := w.Pod().TerminationGracePeriodSeconds
	needs := o.LameDuckGracePeriod + o.LameDuckDuration
	r.want(o.LameDuckDuration >= 30*time.Second && o.LameDuckGracePeriod > 0, "%s: lame_duck_duration and lame_duck_grace_period are not set", w.ID())
	r.want(given != nil && time.Duration(*given)*time.Second > needs, "%s: terminationGracePeriodSeconds is not above the %s of the lame duck", w.ID(), needs)
	for _, c := range w.Pod().Containers {
		hook := c.Lifecycle != nil && c.Lifecycle.PreStop != nil && c.Lifecycle.PreStop.Exec != nil &&
			slices.Equal(c.Lifecycle.PreStop.Exec.Command, []string{"/ko-app/nats-server", "--signal", "ldm=" + o.PidFile})
		r.want(hook, "%s: preStop does not signal ldm=%s", w.ID(), o.PidFile)
		r.want(s.File(w, c, o.PidFile).Kind == "emptyDir", "%s: can't write %q", w.ID(), o.PidFile)
	}
	return r
}

// certificateFile is how the configuration names a file that is replaced while the server runs.
var certificateFile = regexp.MustCompile(`\b(?:cert|key|ca)_file:\s*"?([^\s"]+)`)

// follows checks that the server looks again at the certificates that it was given, which are mounted.
func (r *report) follows(s *manifest.Set, b *broker.Bus) {
	w := b.Workload
	c := w.Pod().Containers[0]
	for _, text := range b.Files {
		for _, found := range certificateFile.FindAllStringSubmatch(text, -1) {
			at := slices.Index(c.Args, found[1])
			r.want(at > 0 && c.Args[at-1] == "--follow", "%s: does not follow %s", w.ID(), found[1])
			r.want(s.File(w, c, found[1]).Key != "", "%s: %s is not mounted", w.ID(), found[1])
		}
	}
}

// failed is the report of a rule that could not look.
func (r report) failed(err error) report {
	if err != nil {
		r.add("%v", err)
	}
	return r
}

// Bus (D4): the servers keep what they confirmed, on more than one machine, and let in nobody they do not know.
func Bus(s *manifest.Set, programs map[string]*program.Program) []string {
	var r report
	bus, err := broker.Read(s)
	if err != nil || bus == nil {
		return r.failed(err)
	}
	w, o := bus.Workload, bus.Options
	r.want(o.JetStream && o.SyncAlways, "%s: jetstream without sync_interval: always loses what it confirmed", w.ID())
	asked := o.TLSConfig != nil && o.TLSConfig.ClientAuth == tls.RequireAndVerifyClientCert
	r.want(o.TLSMap && asked, "%s: clients are not known by their certificates", w.ID())
	r.want(o.SystemAccount != "" && o.NoAuthUser == "" && o.Username == "", "%s: accounts", w.ID())
	r.volume(bus)
	r.follows(s, bus)
	servers := int32(1)
	if w.Replicas != nil {
		servers = *w.Replicas
	}
	r.want(servers%2 == 1, "%s: %d servers have no majority more than one less", w.ID(), servers)
	if servers > 1 {
		r.cluster(s, bus, int(servers))
	}
	eachContainer(s, func(w manifest.Workload, c corev1.Container, at string) {
		if p := programs[manifest.Program(c)]; p != nil && p.Settings[p.Variable("DATABASE_URL")].Variable != "" {
			copies := s.Env(c).Values[p.Variable("NATS_REPLICAS")]
			r.want(copies == strconv.Itoa(min(int(servers), 3)), "%s: %s copies of each event on %d servers", at, copies, servers)
		}
	})
	return r
}

// volume compares what the server may store with the volume that it stores it on.
func (r *report) volume(bus *broker.Bus) {
	w := bus.Workload
	if w.StatefulSet == nil || len(w.StatefulSet.Spec.VolumeClaimTemplates) != 1 {
		r.add("%s: has not one volume of its own", w.ID())
		return
	}
	claim := w.StatefulSet.Spec.VolumeClaimTemplates[0]
	size := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	stored := bus.Options.JetStreamMaxStore
	r.want(stored > 0 && stored < size.Value(), "%s: max_file_store %d is not below the volume's %s: a full disk breaks the store", w.ID(), stored, size.String())
	mounted := slices.ContainsFunc(w.Pod().Containers[0].VolumeMounts, func(m corev1.VolumeMount) bool {
		return m.Name == claim.Name && strings.HasPrefix(bus.Options.StoreDir+"/", m.MountPath+"/")
	})
	r.want(mounted, "%s: store_dir %s is not on the volume", w.ID(), bus.Options.StoreDir)
}

// cluster checks that each server finds the others by the names in their certificate, and lets nobody else join.
func (r *report) cluster(s *manifest.Set, bus *broker.Bus, servers int) {
	w, o := bus.Workload, bus.Options
	r.want(len(o.Routes) == servers, "%s: %d routes for %d servers", w.ID(), len(o.Routes), servers)
	r.want(o.Cluster.TLSConfig != nil && o.Cluster.TLSCheckKnownURLs, "%s: a part's certificate lets its owner join the cluster", w.ID())
	r.want(o.Cluster.NoAdvertise, "%s: the servers advertise addresses that are in no certificate", w.ID())
	peers := slices.ContainsFunc(s.Services, func(service corev1.Service) bool {
		port := slices.ContainsFunc(service.Spec.Ports, func(p corev1.ServicePort) bool { return int(p.Port) == o.Cluster.Port })
		return service.Name == w.StatefulSet.Spec.ServiceName && service.Spec.ClusterIP == corev1.ClusterIPNone && service.Spec.PublishNotReadyAddresses && port
	})
	r.want(peers, "%s: servers that are not ready don't find each other by Service/%s", w.ID(), w.StatefulSet.Spec.ServiceName)
	hosts := map[string]bool{}
	for _, route := range o.Routes {
		hosts[route.Hostname()] = true
		named := len(s.Of("Certificate")) == 0
		for _, cert := range s.Of("Certificate") {
			names, _ := cert.At("spec", "dnsNames").([]any)
			named = named || slices.Contains(names, any(route.Hostname()))
		}
		r.want(named, "%s: route %s is in no certificate", w.ID(), route.Hostname())
	}
	for i := range servers {
		host := w.Meta.Name + "-" + strconv.Itoa(i) + "." + w.StatefulSet.Spec.ServiceName
		r.want(hosts[host], "%s: no route to %s", w.ID(), host)
	}
}

// Accounts (D4): the users of the bus and what each may do are what the programs print, by their declaration of streams.
func Accounts(s *manifest.Set, printed string) []string {
	var r report
	bus, err := broker.Read(s)
	if err != nil || bus == nil {
		return r.failed(err)
	}
	for _, text := range bus.Files {
		if strings.TrimSpace(text) == strings.TrimSpace(printed) {
			return nil
		}
	}
	r.add("%s: no file of the configuration is what `bus permissions` prints", bus.Workload.ID())
	return r
}

// host is the host of an address: "dns:///auth:9090", "tls://nats:4222", "documents:8081".
func host(address string) (name, port string) {
	if !strings.Contains(address, "://") {
		address = "tcp://" + address
	}
	address = strings.Replace(address, ":///", "://", 1)
	u, err := url.Parse(address)
	if err != nil {
		return "", ""
	}
	return u.Hostname(), u.Port()
}
