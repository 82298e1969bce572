package manifest

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Workload is what makes pods. One of the last three is set.
type Workload struct {
	Kind     string
	Meta     metav1.ObjectMeta
	Template corev1.PodTemplateSpec
	Selector *metav1.LabelSelector // nil for a Job
	Replicas *int32                // nil when somebody else decides

	Deployment  *appsv1.Deployment
	StatefulSet *appsv1.StatefulSet
	Job         *batchv1.Job
}

// ID is the workload's kind and name: "Deployment/auth".
func (w Workload) ID() string { return w.Kind + "/" + w.Meta.Name }

// Pod is the specification of its pods.
func (w Workload) Pod() corev1.PodSpec { return w.Template.Spec }

// Containers are all of its pods' containers, those that run first included.
func (w Workload) Containers() []corev1.Container {
	return slices.Concat(w.Template.Spec.InitContainers, w.Template.Spec.Containers)
}

// Program is the name of the suite's program that a container runs, from its image's name: "auth", "nats".
func Program(c corev1.Container) string {
	name, _, _ := strings.Cut(path.Base(c.Image), "@")
	name, _, _ = strings.Cut(name, ":")
	return name
}

// Serves tells whether the workload's pods are those of a part, and not those of its Job.
func (w Workload) Serves() bool { return w.Job == nil }

// Env is what a container finds in its environment.
type Env struct {
	Values map[string]string // what the manifests decide; fields of the pod stand as a sample
	// Secret has the variables that come from a Secret, with its name.
	Secret map[string]string
	// Missing names ConfigMaps that the rendering does not have.
	Missing []string
}

// Env works out a container's environment as the kubelet does.
func (s *Set) Env(c corev1.Container) Env {
	env := Env{Values: map[string]string{}, Secret: map[string]string{}}
	for _, from := range c.EnvFrom {
		switch {
		case from.ConfigMapRef != nil:
			config, found := s.configMap(from.ConfigMapRef.Name)
			if !found {
				env.Missing = append(env.Missing, from.ConfigMapRef.Name)
			}
			for key, value := range config.Data {
				env.Values[from.Prefix+key] = value
			}
		case from.SecretRef != nil:
			env.Secret["*"] = from.SecretRef.Name
		}
	}
	for _, v := range c.Env {
		env.add(s, v)
	}
	return env
}

// reference is how a value refers to a variable that stands before it.
var reference = regexp.MustCompile(`\$\([A-Za-z_][A-Za-z0-9_]*\)`)

func (e *Env) add(s *Set, v corev1.EnvVar) {
	from := v.ValueFrom
	switch {
	case from == nil:
		e.Values[v.Name] = reference.ReplaceAllStringFunc(v.Value, func(text string) string {
			if value, found := e.Values[text[2:len(text)-1]]; found {
				return value
			}
			return text
		})
	case from.SecretKeyRef != nil:
		e.Secret[v.Name] = from.SecretKeyRef.Name
	case from.ConfigMapKeyRef != nil:
		config, found := s.configMap(from.ConfigMapKeyRef.Name)
		if !found {
			e.Missing = append(e.Missing, from.ConfigMapKeyRef.Name)
		}
		e.Values[v.Name] = config.Data[from.ConfigMapKeyRef.Key]
	case from.FieldRef != nil:
		e.Values[v.Name] = sample(from.FieldRef.FieldPath)
	default:
		e.Values[v.Name] = "1"
	}
}

// sample stands for a field that a pod has only once it runs.
func sample(field string) string {
	if strings.HasSuffix(field, "IP") {
		return "10.0.0.7"
	}
	return path.Ext("." + field)[1:]
}

func (s *Set) configMap(name string) (corev1.ConfigMap, bool) {
	at := slices.IndexFunc(s.ConfigMaps, func(c corev1.ConfigMap) bool { return c.Name == name })
	if at < 0 {
		return corev1.ConfigMap{}, false
	}
	return s.ConfigMaps[at], true
}

// ConfigMapText returns what a ConfigMap has under a key.
func (s *Set) ConfigMapText(name, key string) (string, bool) {
	config, _ := s.configMap(name)
	text, found := config.Data[key]
	return text, found
}

// Source says where a file comes from that a container finds at a path.
type Source struct {
	Kind, Name string // "Secret", "ConfigMap", "emptyDir", "csi", "claim", "token"; empty when nothing is mounted there
	Key        string // the key in the Secret or ConfigMap, empty when it has no such file
}

// File finds what is mounted at a path of a container.
func (s *Set) File(w Workload, c corev1.Container, file string) Source {
	var mount corev1.VolumeMount
	for _, m := range c.VolumeMounts {
		if (file == m.MountPath || strings.HasPrefix(file, strings.TrimSuffix(m.MountPath, "/")+"/")) && len(m.MountPath) > len(mount.MountPath) {
			mount = m
		}
	}
	at := slices.IndexFunc(w.Template.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == mount.Name })
	if at < 0 {
		return Source{}
	}
	inside := strings.TrimPrefix(strings.TrimPrefix(file, strings.TrimSuffix(mount.MountPath, "/")), "/")
	if mount.SubPath != "" {
		inside = path.Join(mount.SubPath, inside)
	}
	return s.inVolume(w.Template.Spec.Volumes[at].VolumeSource, inside)
}

func (s *Set) inVolume(v corev1.VolumeSource, file string) Source {
	switch {
	case v.Secret != nil:
		return Source{Kind: "Secret", Name: v.Secret.SecretName, Key: key(v.Secret.Items, file, nil)}
	case v.ConfigMap != nil:
		config, _ := s.configMap(v.ConfigMap.Name)
		return Source{Kind: "ConfigMap", Name: v.ConfigMap.Name, Key: key(v.ConfigMap.Items, file, config.Data)}
	case v.Projected != nil:
		for _, p := range v.Projected.Sources {
			if source := s.inVolume(unprojected(p), file); source.Key != "" {
				return source
			}
		}
		return Source{Kind: "projected"}
	case v.EmptyDir != nil:
		return Source{Kind: "emptyDir"}
	case v.PersistentVolumeClaim != nil:
		return Source{Kind: "claim", Name: v.PersistentVolumeClaim.ClaimName}
	case v.CSI != nil:
		return Source{Kind: "csi", Name: v.CSI.Driver, Key: file}
	}
	return Source{}
}

// unprojected is a projected source as the volume it would be alone.
func unprojected(p corev1.VolumeProjection) corev1.VolumeSource {
	switch {
	case p.Secret != nil:
		return corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: p.Secret.Name, Items: p.Secret.Items}}
	case p.ConfigMap != nil:
		return corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: p.ConfigMap.LocalObjectReference, Items: p.ConfigMap.Items}}
	}
	return corev1.VolumeSource{}
}

// key is the key whose value stands in a file. Without items every key is a file; of a ConfigMap the keys are known.
func key(items []corev1.KeyToPath, file string, known map[string]string) string {
	for _, item := range items {
		if item.Path == file {
			return item.Key
		}
	}
	if len(items) > 0 || known != nil && !slices.Contains(slices.Collect(maps.Keys(known)), file) {
		return ""
	}
	return file
}
