package lint

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/zegl/kube-score/config"
	"github.com/zegl/kube-score/domain"
	"github.com/zegl/kube-score/parser"
	"github.com/zegl/kube-score/score"
	"github.com/zegl/kube-score/score/checks"
	"github.com/zegl/kube-score/scorecard"
	"sigs.k8s.io/yaml"

	"github.com/concord-suite/concord/tools/kube/manifest"
)

// Ignored are the checks of kube-score that do not hold here, with the reason.
var Ignored = map[string]string{
	"container-ephemeral-storage-request-and-limit": "the only writable paths are emptyDirs with a sizeLimit, which the kubelet enforces as well (W3)",
	"container-image-pull-policy":                   "images are named by digest, so a node that has one has the right one (W5)",
	"container-image-tag":                           "W5 wants more: a digest, and no tag",
	"container-security-context-user-group-id":      "uid and gid 65532 are those of the images; the check wants more than 10000 and reads only the container, not the pod (W2)",
	"deployment-strategy":                           "S3 looks closer, and knows the pod that can't share its volume with the next",
	"networkpolicy-targets-pod":                     "N1 does it, and knows the pods that an operator makes",
	"deployment-has-host-podantiaffinity":           "topology spread constraints do it, and count only the pods of one revision (S4, S5)",
	"statefulset-has-host-podantiaffinity":          "topology spread constraints do it (S4, S5)",
}

// Score lists what kube-score says about a rendering that is worse than "OK". At is the version of Kubernetes that deprecations
// are judged by, "v1.36".
func Score(s *manifest.Set, at string) ([]string, error) {
	version, err := config.ParseSemver(at)
	if err != nil {
		return nil, err
	}
	all, err := parse(s)
	if err != nil {
		return nil, err
	}
	run := &config.RunConfiguration{
		KubernetesVersion: version,
		// CPU limits are a choice of ours: S1 says which container has one.
		IgnoreContainerCpuLimitRequirement: true,
		MinReplicasDeployment:              1,
		MinReplicasHPA:                     2,
	}
	ignored := map[string]struct{}{}
	for id := range Ignored {
		ignored[id] = struct{}{}
	}
	card, err := score.Score(all, score.RegisterAllChecks(all, &checks.Config{IgnoredTests: ignored}, run), run)
	if err != nil {
		return nil, err
	}
	return worse(*card), nil
}

// parse gives kube-score the rendering as the file that it would read.
func parse(s *manifest.Set) (domain.AllTypes, error) {
	var text bytes.Buffer
	for _, o := range s.Objects {
		data, err := json.Marshal(o)
		if err != nil {
			return nil, err
		}
		if data, err = yaml.JSONToYAML(data); err != nil {
			return nil, err
		}
		text.WriteString("---\n")
		text.Write(data)
	}
	p, err := parser.New(nil)
	if err != nil {
		return nil, err
	}
	return p.ParseFiles([]domain.NamedReader{named{&text, s.Name}})
}

type named struct {
	*bytes.Buffer
	name string
}

// Name implements what kube-score asks of a file.
func (n named) Name() string { return n.name }

func worse(card scorecard.Scorecard) []string {
	var breaks []string
	for _, object := range card {
		for _, check := range object.Checks {
			if check.Skipped || check.Grade > scorecard.GradeWarning {
				continue
			}
			line := fmt.Sprintf("%s/%s: %s", object.TypeMeta.Kind, object.ObjectMeta.Name, check.Check.ID)
			for _, comment := range check.Comments {
				line += fmt.Sprintf("; %s %s", comment.Path, comment.Summary)
			}
			breaks = append(breaks, line)
		}
	}
	slices.Sort(breaks)
	return breaks
}
