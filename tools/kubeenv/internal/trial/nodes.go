package trial

import (
	"context"
	"fmt"
	"path"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/concord-suite/concord/tools/kubeenv/internal/cluster"
)

// zones have two nodes each: one can be emptied and its pods still find another in the same zone, where their disk is.
var zones = []string{"a", "b", "c"}

const nodesPerZone = 2

// diskClass is the cluster's default class of volumes.
const diskClass = "disk"

// addNodes makes nodes that kwok plays and the class of their disks.
func (t *Trial) addNodes(ctx context.Context) error {
	start := time.Now()
	wait := storagev1.VolumeBindingWaitForFirstConsumer
	class := &storagev1.StorageClass{
		ObjectMeta:        metav1.ObjectMeta{Name: diskClass, Annotations: map[string]string{"storageclass.kubernetes.io/is-default-class": "true"}},
		Provisioner:       "kubernetes.io/no-provisioner",
		VolumeBindingMode: &wait,
	}
	if _, err := t.Cluster.StorageV1().StorageClasses().Create(ctx, class, metav1.CreateOptions{}); err != nil {
		return err
	}
	for _, zone := range zones {
		for i := range nodesPerZone {
			if _, err := t.Cluster.CoreV1().Nodes().Create(ctx, node(zone, i+1), metav1.CreateOptions{}); err != nil {
				return err
			}
		}
	}
	err := cluster.Await(ctx, settleLimit, func(ctx context.Context) (string, error) {
		nodes, err := t.Cluster.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return "", err
		}
		for _, n := range nodes.Items {
			if len(n.Spec.Taints) > 0 || !ready(n) {
				return n.Name + " to be ready", nil
			}
		}
		return "", nil
	})
	t.Report.Head("nodes: %d in %d zones, ready in %s", len(zones)*nodesPerZone, len(zones), round(start))
	return err
}

func node(zone string, number int) *corev1.Node {
	name := fmt.Sprintf("node-%s%d", zone, number)
	size := corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse("16"),
		corev1.ResourceMemory: resource.MustParse("64Gi"),
		corev1.ResourcePods:   resource.MustParse("110"),
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			corev1.LabelHostname: name, corev1.LabelTopologyZone: zone, corev1.LabelTopologyRegion: "region",
			corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64",
		}},
		Status: corev1.NodeStatus{Capacity: size, Allocatable: size},
	}
}

func ready(node corev1.Node) bool {
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// addDisks makes what a platform's provisioner would make when it is asked: for each zone a disk that only its nodes
// reach, and one that several pods may share, wherever they are. name keeps the disks of one set from those of another,
// which nobody takes again.
func (t *Trial) addDisks(ctx context.Context, name string) error {
	disks := []*corev1.PersistentVolume{disk(name+"-shared", corev1.ReadWriteMany)}
	for _, zone := range zones {
		disks = append(disks, zoned(name+"-"+zone, zone))
	}
	for _, d := range disks {
		if _, err := t.Cluster.CoreV1().PersistentVolumes().Create(ctx, d, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// moreDisks are for the two servers that a StatefulSet of a set gets later. Disks are the cluster's, so their names have the set's in
// them: every overlay that is there is tried in one cluster.
func moreDisks(set, servers string) []*corev1.PersistentVolume {
	var disks []*corev1.PersistentVolume
	for _, zone := range zones[:2] {
		disks = append(disks, zoned(path.Base(set)+"-"+servers+"-more-"+zone, zone))
	}
	return disks
}

// zoned is a disk that only the nodes of a zone reach.
func zoned(name, zone string) *corev1.PersistentVolume {
	d := disk(name, corev1.ReadWriteOnce)
	d.Spec.NodeAffinity = &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
		MatchExpressions: []corev1.NodeSelectorRequirement{{
			Key: corev1.LabelTopologyZone, Operator: corev1.NodeSelectorOpIn, Values: []string{zone},
		}},
	}}}}
	return d
}

func disk(name string, mode corev1.PersistentVolumeAccessMode) *corev1.PersistentVolume {
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeSpec{
			StorageClassName: diskClass,
			Capacity:         corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Ti")},
			AccessModes:      []corev1.PersistentVolumeAccessMode{mode},
			PersistentVolumeSource: corev1.PersistentVolumeSource{
				HostPath: &corev1.HostPathVolumeSource{Path: "/disk"}, // no kubelet is there to look at it
			},
		},
	}
}
